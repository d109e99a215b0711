#include "sieve/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#define CHUNK_FIRST 4096u
#define CHUNK_MAX (64u * 1024u) /* below the size from which malloc asks the kernel each time */
#define ALIGNMENT 8u

struct chunk {
    struct chunk *next;
    size_t size, used;
    _Alignas(ALIGNMENT) char data[];
};

struct owned {
    struct owned *next;
    void *data;
    void (*cleanup)(void *data);
};

struct arena {
    struct chunk *chunks; /* newest first */
    struct owned *owned;  /* newest first */
    size_t next_size;
    size_t total;
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
    for (struct owned *owned = arena->owned; owned != NULL; owned = owned->next)
        owned->cleanup(owned->data);
    for (struct chunk *chunk = arena->chunks; chunk != NULL;) {
        struct chunk *next = chunk->next;

        g_free(chunk);
        chunk = next;
    }
    g_free(arena);
}

static struct chunk *chunk_add(struct arena *arena, size_t room)
{
    size_t size = MAX(arena->next_size, room);
    struct chunk *chunk = g_malloc(sizeof(*chunk) + size);

    chunk->size = size;
    chunk->used = 0;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    if (arena->next_size < CHUNK_MAX)
        arena->next_size *= 2;
    return chunk;
}

/* Not zeroed. */
static void *take(struct arena *arena, size_t size)
{
    struct chunk *chunk = arena->chunks;
    size_t rounded = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);

    g_assert(rounded >= size);
    if (rounded == 0)
        rounded = ALIGNMENT;
    if (chunk == NULL || chunk->size - chunk->used < rounded)
        chunk = chunk_add(arena, rounded);
    void *result = chunk->data + chunk->used;
    chunk->used += rounded;
    arena->total += rounded;
    return result;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    return memset(take(arena, size), 0, size);
}

void *arena_memdup(struct arena *arena, const void *data, size_t length)
{
    char *copy = take(arena, length + 1);

    if (length > 0)
        memcpy(copy, data, length);
    copy[length] = '\0';
    return copy;
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
    struct owned *owned = ARENA_NEW(arena, struct owned);

    owned->data = data;
    owned->cleanup = cleanup;
    owned->next = arena->owned;
    arena->owned = owned;
    return data;
}

size_t arena_used(const struct arena *arena)
{
    return arena->total;
}
