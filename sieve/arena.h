/*
 * One arena per compile and per run: allocate, never free, all at once at the end.
 */
#ifndef VMAIL_SIEVE_ARENA_H
#define VMAIL_SIEVE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *arena); /* takes NULL; runs the cleanups, newest first */

/* Zeroed, aligned for pointers and 64-bit numbers. */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_memdup(struct arena *arena, const void *data, size_t length); /* NUL is put behind */
char *arena_strdup(struct arena *arena, const char *text);                /* NULL gives NULL */
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *arena, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Calls @cleanup(@data) when the arena dies; gives @data back, for things of other libraries. */
void *arena_own(struct arena *arena, void *data, void (*cleanup)(void *data));

/* Bytes handed out so far. */
size_t arena_used(const struct arena *arena);

#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, n) ((type *)arena_alloc((arena), sizeof(type) * (n)))

#endif
