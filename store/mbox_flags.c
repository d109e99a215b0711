#include "store/format_mbox.h"

#include <stdlib.h>
#include <string.h>

#include "store/maildir_name.h"
#include "store/mbox_rewrite.h"
#include "store/scan.h"

/* A new keyword may move the whole file once; not beyond this size. */
#define KEYWORD_REWRITE_MAX (64 * 1024 * 1024)

/* RFC 3501: an atom. */
static bool is_keyword(const char *flag)
{
    for (const char *p = flag; *p != '\0'; p++)
        if (!g_ascii_isgraph(*p) || strchr("(){%*\"\\]", *p) != NULL)
            return false;
    return flag[0] != '\0' && strlen(flag) <= 100;
}

static int compare_letters(gconstpointer a, gconstpointer b)
{
    return *(const char *)a - *(const char *)b;
}

static char *letters_of(const struct target *target)
{
    GString *letters = g_string_new(NULL);

    for (guint i = 0; i < target->flags->len; i++) {
        char letter = maildir_flag_letter(g_ptr_array_index(target->flags, i));

        if (letter != '\0' && strchr(letters->str, letter) == NULL)
            g_string_append_c(letters, letter);
    }
    qsort(letters->str, letters->len, 1, compare_letters);
    return g_string_free(letters, FALSE);
}

static GPtrArray *keywords_of(struct delivery *delivery, const struct target *target)
{
    GPtrArray *keywords = g_ptr_array_new();

    for (guint i = 0; i < target->flags->len; i++) {
        char *flag = g_ptr_array_index(target->flags, i);

        if (maildir_flag_letter(flag) != '\0')
            continue;
        if (flag[0] == '\\')
            delivery_note(delivery, "flag %s is none that can be stored", flag);
        else if (!is_keyword(flag))
            delivery_note(delivery, "keywords not stored in %s: %s", target->mailbox, flag);
        else
            g_ptr_array_add(keywords, flag);
    }
    return keywords;
}

/* Dovecot drops keywords that the first message's X-IMAPbase does not name: makes it name them. */
static bool announce_keywords(struct delivery *delivery, const struct target *target,
                              const GPtrArray *keywords, bool *ret_possible, struct error *err)
{
    struct place *place = target->own;
    struct mbox *mbox = place->box->mbox;
    g_autoptr(GArray) edits = mbox_edits_new();
    off_t size;

    if (!mbox_size(mbox, &size, err))
        return false;
    if (size == 0) {
        /* only the delivery's first entry there is the first message */
        if (target->copy == 0)
            place->imapbase = mbox_imapbase_new(keywords);
        *ret_possible = target->copy == 0;
        return true;
    }
    if (!mbox_edits_imapbase(edits, mbox, keywords, ret_possible, err))
        return false;
    if (!*ret_possible || edits->len == 0)
        return true;
    *ret_possible = size <= KEYWORD_REWRITE_MAX || mbox_edits_keep_length(edits);
    return !*ret_possible || mbox_rewrite(delivery->user->home, mbox, edits, err);
}

bool mbox_target_name_flags(struct delivery *delivery, struct target *target, struct error *err)
{
    struct place *place = target->own;
    g_autoptr(GPtrArray) keywords = keywords_of(delivery, target);
    g_autoptr(GString) words = g_string_new(NULL);
    g_autofree char *system = NULL;
    bool possible = true;

    place->letters = letters_of(target);
    for (guint i = 0; i < keywords->len; i++)
        g_string_append_printf(words, "%s%s", i > 0 ? " " : "", (const char *)keywords->pdata[i]);
    if (keywords->len > 0 &&
        !announce_keywords(delivery, target, keywords, &possible, err))
        return false;
    if (!possible) {
        delivery_note(delivery, "keywords not stored in %s: %s", target->mailbox, words->str);
        g_string_truncate(words, 0);
    }
    place->keywords = g_strdup(words->str);
    system = scan_flags_describe(place->letters, NULL);
    target->flags_text = g_strdup_printf("%s%s%s", system,
                                         *system != '\0' && words->len > 0 ? " " : "", words->str);
    target->is_read = strchr(place->letters, 'S') != NULL;
    return true;
}
