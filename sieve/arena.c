#include "sieve/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#define CHUNK_FIRST 16384u /* a script of six rules */
/* What a process gives back to the kernel it pays for again, in page faults, with the next arena. glibc
 * keeps twice the largest block that it ever mapped; so all chunks of an arena together must stay
 * below twice the last: each is four times the one before. Pages that are not touched cost nothing. */
#define CHUNK_GROWTH 4
#define CHUNK_MAX (16u * 1024u * 1024u)

struct arena_chunk {
    struct arena_chunk *next;
    _Alignas(8) char data[];
};

struct arena_owned {
    struct arena_owned *next;
    void *data;
    void (*cleanup)(void *data);
};

struct arena *arena_new(void)
{
    struct arena *arena = g_new0(struct arena, 1);

    arena->next_size = CHUNK_FIRST;
    return arena;
}

void arena_free(struct arena *arena)
{
    if (arena == NULL)
        return;
    for (struct arena_owned *owned = arena->owned; owned != NULL; owned = owned->next)
        owned->cleanup(owned->data);
    for (struct arena_chunk *chunk = arena->chunks; chunk != NULL;) {
        struct arena_chunk *next = chunk->next;

        g_free(chunk);
        chunk = next;
    }
    g_free(arena);
}

void *arena_take_slow(struct arena *arena, size_t rounded)
{
    size_t size = MAX(arena->next_size, rounded);
    struct arena_chunk *chunk;

    g_assert(rounded % 8 == 0 && size < SIZE_MAX - sizeof(*chunk));
    if (arena->chunks != NULL)
        arena->full += (size_t)(arena->at - arena->chunks->data);
    chunk = g_malloc(sizeof(*chunk) + size);
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    arena->at = chunk->data + rounded;
    arena->end = chunk->data + size;
    if (arena->next_size < CHUNK_MAX)
        arena->next_size *= CHUNK_GROWTH;
    return chunk->data;
}

void *arena_memdup(struct arena *arena, const void *data, size_t length)
{
    char *copy = arena_take(arena, length + 1);

    if (length > 0)
        memcpy(copy, data, length);
    copy[length] = '\0';
    return copy;
}

void *arena_copy(struct arena *arena, const void *data, size_t size)
{
    return memcpy(arena_take(arena, size), data, size);
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return text == NULL ? NULL : arena_memdup(arena, text, strlen(text));
}

char *arena_vprintf(struct arena *arena, const char *format, va_list args)
{
    g_autofree char *text = g_strdup_vprintf(format, args);

    return arena_strdup(arena, text);
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    char *text = arena_vprintf(arena, format, args);
    va_end(args);
    return text;
}

void *arena_own(struct arena *arena, void *data, void (*cleanup)(void *data))
{
    struct arena_owned *owned = ARENA_NEW(arena, struct arena_owned);

    owned->data = data;
    owned->cleanup = cleanup;
    owned->next = arena->owned;
    arena->owned = owned;
    return data;
}

void arena_count(struct arena *arena, size_t bytes)
{
    arena->full += bytes;
}

size_t arena_used(const struct arena *arena)
{
    return arena->full + (arena->chunks == NULL ? 0 : (size_t)(arena->at - arena->chunks->data));
}
