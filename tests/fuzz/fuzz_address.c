/* Address lists, envelope addresses, and what is made of them. */
#include "fuzz.h"

#include "lda/mail/address.h"
#include "lda/mail/charset.h"

#include <string.h>

#include <glib.h>

static void check_item(const struct address *item)
{
    g_autofree char *local = NULL;
    g_autofree char *domain = NULL;
    g_autofree char *folded = address_domain_fold(item->domain);
    g_autofree char *formatted = address_format(item->name, item->full);

    g_assert(g_utf8_validate(item->full, -1, NULL));
    g_assert(item->name == NULL || g_utf8_validate(item->name, -1, NULL));
    g_assert(item->group == NULL || g_utf8_validate(item->group, -1, NULL));
    g_assert(folded != NULL);
    g_assert(strpbrk(formatted, "\r\n") == NULL);
    if (!item->valid)
        return;
    /* What was valid is so again, and means the same. */
    g_assert(address_parse_path(item->full, &local, &domain));
    g_assert_cmpstr(local, ==, item->local);
    g_assert_cmpstr(domain, ==, item->domain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    AUTO_ADDRESS_LIST list = address_list_parse(text, 0, NULL);
    g_autofree char *decoded = charset_decode_header(text, NULL);
    g_autofree char *encoded = charset_encode_header(decoded, 9);
    g_autofree char *phrase = charset_encode_phrase(decoded);
    g_autofree char *user = NULL;
    g_autofree char *detail = NULL;
    g_autofree char *local = NULL;
    g_autofree char *domain = NULL;

    for (size_t i = 0; i < list->count; i++)
        check_item(&list->items[i]);
    address_split_detail(text, "+-", &user, &detail);
    address_parse_path(text, &local, &domain);
    address_equal(text, text);
    g_assert(g_utf8_validate(decoded, -1, NULL));
    g_assert(g_str_is_ascii(encoded));
    g_assert(g_str_is_ascii(phrase));
    g_assert(strpbrk(phrase, "\r\n") == NULL);
    /* A line end in a field comes with a space behind it, and no other control gets out. */
    for (const char *at = encoded; *at != '\0'; at++) {
        g_assert((*at >= ' ' && *at < 0x7f) || *at == '\n');
        g_assert(*at != '\n' || at[1] == ' ');
    }
    return 0;
}
