#include "lda/correspondent.h"

#include <strings.h>
#include <time.h>

#include "lda/mail/address.h"
#include "lda/mail/message.h"
#include "store/contacts.h"

static bool is_from_a_person(struct headers *headers)
{
    const char *automatic = headers_get(headers, "Auto-Submitted");
    const char *precedence = headers_get(headers, "Precedence");

    return headers_get(headers, "List-Id") == NULL &&
           headers_get(headers, "List-Unsubscribe") == NULL &&
           (automatic == NULL || strcasecmp(automatic, "no") == 0) &&
           (precedence == NULL ||
            (strcasecmp(precedence, "bulk") != 0 && strcasecmp(precedence, "list") != 0 &&
             strcasecmp(precedence, "junk") != 0));
}

bool correspondent_note(struct db *db, int64_t user_id, struct message *message,
                        struct error *err)
{
    struct headers *headers = message_headers(message);
    const char *from = headers_get_raw(headers, "From");

    if (from == NULL || !is_from_a_person(headers))
        return true;
    AUTO_ADDRESS_LIST list = address_list_parse(from, 1, message_charsets(message));
    if (list->count == 0 || !list->items[0].valid)
        return true;
    return contacts_note_use(db, user_id, list->items[0].name, list->items[0].full, "received",
                             (int64_t)time(NULL), err) ||
           err->kind == ERROR_USAGE; /* not an address that a book can hold */
}
