/*
 * The words a script may use: commands, tests and tags of the extensions that are on. What is not
 * among them is reported once, with the `require` that it needs or the name that was meant.
 */
#ifndef VMAIL_SIEVE_VOCABULARY_H
#define VMAIL_SIEVE_VOCABULARY_H

#include "sieve/sieve-internal.h"

/* What a tag at a node can be. @tag is always there; beside one of the others it stands for all of
 * their kind. */
struct sieve_tag_found {
    const struct sieve_tag *tag;
    const struct sieve_match_type *match_type;
    const struct sieve_address_part *part;
    const struct sieve_modifier *modifier;
};

/* The tag of all modifiers at a bound node. */
extern const struct sieve_tag sieve_modifier_tag;

/* "test" or "command". */
const char *sieve_kind_name(const struct sieve_word *word);

/* The word among the extensions that are on, of the other kind where there is none of this. */
const struct sieve_word *sieve_find_word(const struct sieve_compiler *compiler, const char *name,
    bool test);
void sieve_report_unknown_word(struct sieve_compiler *compiler, const struct sieve_node *node,
    bool test);

/* A tag that the word of @node may have. */
bool sieve_find_tag(const struct sieve_compiler *compiler, const struct sieve_node *node,
    const char *name, struct sieve_tag_found *found);
void sieve_report_unknown_tag(struct sieve_compiler *compiler, const struct sieve_node *node,
    const struct sieve_arg *arg);

const struct sieve_match_type *sieve_match_type_find(const struct sieve_extension *extension,
    const char *name);

#endif
