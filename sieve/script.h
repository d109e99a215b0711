/*
 * The compiled script and what compiling keeps beside the public compiler struct.
 */
#ifndef VMAIL_SIEVE_SCRIPT_H
#define VMAIL_SIEVE_SCRIPT_H

#include "sieve/sieve-internal.h"

struct sieve_program {
    int references; /* atomic */
    struct arena *arena;
    const char *name;
    enum sieve_engine engine;
    const char *source;      /* the text, for the second engine */
    size_t source_length;
    const char *const *requires;
    GPtrArray *units;        /* struct sieve_unit; [0] is the main one */
    size_t global_count;     /* program-wide variables */
};

/* A name's place in a script's or the program's variables. */
struct sieve_scope {
    GHashTable *names;       /* lower case name -> struct sieve_variable; NULL: none yet */
    size_t count;            /* local values a frame needs */
    bool overflowed;         /* the bound was hit, and said */
};

enum sieve_variable_kind {
    SIEVE_VARIABLE_LOCAL,
    SIEVE_VARIABLE_GLOBAL,
    SIEVE_VARIABLE_MATCH,
    SIEVE_VARIABLE_NAMESPACE,
};

struct sieve_variable {
    enum sieve_variable_kind kind;
    const char *name;
    size_t index;            /* LOCAL, GLOBAL, MATCH */
    const struct sieve_namespace *space;
    const char *rest;        /* NAMESPACE */
    void *data;
};

/* Inside of struct sieve_compiler, one per program; tables are NULL until needed. */
struct sieve_compile_extra {
    GHashTable *states;      /* extension -> its compile state */
    GHashTable *globals;     /* name -> struct sieve_variable */
    GHashTable *unknown;     /* "word :tag" and "word" reported already */
    GPtrArray *including;    /* units being compiled, to find circles */
};

struct sieve_scope *sieve_scope_new(struct sieve_compiler *compiler);

/* The variable of that (lower case) name, made at need; NULL: an error was reported. @assign: it is
 * going to be written. */
struct sieve_variable *sieve_variable_lookup(struct sieve_compiler *compiler, const char *name,
    bool assign, unsigned line, unsigned column);

/* Undoes encoded-character and splits variables, as the extensions that are on say. False: an error
 * was reported. */
bool sieve_literal_prepare(struct sieve_compiler *compiler, struct sieve_literal *literal);

#endif
