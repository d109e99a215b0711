#include "sieve/fold.h"

#include <string.h>

struct sieve_string sieve_fold_ascii(char *out, const struct sieve_string *text)
{
    /* in this form a compiler makes vectors of it */
    for (size_t i = 0; i < text->length; i++) {
        unsigned char c = (unsigned char)text->data[i];

        out[i] = (char)(c + ((unsigned char)(c - 'A') < 26 ? 0x20 : 0));
    }
    out[text->length] = '\0';
    return (struct sieve_string){out, text->length};
}

static bool is_ascii(const struct sieve_string *text)
{
    for (size_t i = 0; i < text->length; i++)
        if ((unsigned char)text->data[i] >= 0x80)
            return false;
    return true;
}

/* RFC 5051 2.3: titlecase, then full compatibility decomposition, character by character. Bytes that
 * are no UTF-8 stay what they are. */
static struct sieve_string fold_unicode(struct arena *arena, const struct sieve_string *text,
    const uint32_t **ret_map)
{
    g_autoptr(GString) out = g_string_sized_new(text->length + 16);
    g_autoptr(GArray) map = g_array_new(FALSE, FALSE, sizeof(uint32_t));

    for (size_t at = 0; at < text->length;) {
        gunichar c = g_utf8_get_char_validated(text->data + at, (gssize)(text->length - at));
        gsize before = out->len;
        size_t length = 1;

        if (c >= (gunichar)-2) {
            g_string_append_c(out, text->data[at]);
        } else {
            gunichar parts[G_UNICHAR_MAX_DECOMPOSITION_LENGTH];
            gsize count = g_unichar_fully_decompose(g_unichar_totitle(c), TRUE, parts,
                G_N_ELEMENTS(parts));

            length = (size_t)g_unichar_to_utf8(c, NULL);
            for (gsize i = 0; i < count; i++)
                g_string_append_unichar(out, parts[i]);
        }
        uint32_t from = (uint32_t)at;
        for (gsize i = before; i < out->len; i++)
            g_array_append_val(map, from);
        at += length;
    }
    if (ret_map != NULL)
        *ret_map = arena_memdup(arena, map->data, map->len * sizeof(uint32_t));
    return (struct sieve_string){arena_memdup(arena, out->str, out->len), out->len};
}

struct sieve_string sieve_fold(struct arena *arena, const struct sieve_string *text,
    unsigned char fold, const uint32_t **ret_map)
{
    if (ret_map != NULL)
        *ret_map = NULL;
    if (fold == SIEVE_FOLD_NONE)
        return *text;
    if (fold == SIEVE_FOLD_UNICODE && !is_ascii(text))
        return fold_unicode(arena, text, ret_map);
    struct sieve_string folded = sieve_fold_ascii(arena_take(arena, text->length + 1), text);
    if (fold == SIEVE_FOLD_UNICODE)
        for (size_t i = 0; i < folded.length; i++)
            ((char *)(uintptr_t)folded.data)[i] = g_ascii_toupper(folded.data[i]);
    return folded;
}
