/*
 * One arena per compile and per run: allocate, never free, all at once at the end.
 */
#ifndef VMAIL_SIEVE_ARENA_H
#define VMAIL_SIEVE_ARENA_H

#include <stdarg.h>
#include <stddef.h>
#include <string.h>

/* Private but for the inline function below. */
struct arena {
    char *at, *end;        /* what is free in the newest chunk */
    struct arena_chunk *chunks;
    struct arena_owned *owned;
    size_t next_size;
    size_t full;           /* bytes handed out from older chunks, and others' */
};

struct arena *arena_new(void);
void arena_free(struct arena *arena); /* takes NULL; runs the cleanups, newest first */

void *arena_take_slow(struct arena *arena, size_t rounded); /* private: a new chunk is needed */

/* Not zeroed, aligned for pointers and 64-bit numbers. Inline: a compile makes some fifty of these
 * for each rule. */
static inline void *arena_take(struct arena *arena, size_t size)
{
    size_t rounded = ((size == 0 ? 1 : size) + 7) & ~(size_t)7;

    if (rounded < size || rounded > (size_t)(arena->end - arena->at))
        return arena_take_slow(arena, rounded < size ? size : rounded);
    void *result = arena->at;
    arena->at += rounded;
    return result;
}

/* Zeroed. */
static inline void *arena_alloc(struct arena *arena, size_t size)
{
    return memset(arena_take(arena, size), 0, size);
}

void *arena_memdup(struct arena *arena, const void *data, size_t length); /* NUL is put behind */
void *arena_copy(struct arena *arena, const void *data, size_t size);     /* none */
char *arena_strdup(struct arena *arena, const char *text);                /* NULL gives NULL */
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *arena, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Calls @cleanup(@data) when the arena dies; gives @data back, for things of other libraries. */
void *arena_own(struct arena *arena, void *data, void (*cleanup)(void *data));

/* Counts @bytes of other libraries' memory that the arena owns. */
void arena_count(struct arena *arena, size_t bytes);

/* Bytes handed out or counted so far. */
size_t arena_used(const struct arena *arena);

#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, n) ((type *)arena_alloc((arena), sizeof(type) * (n)))

#endif
