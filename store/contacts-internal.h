/* What the files of the address book share. */
#ifndef VMAIL_STORE_CONTACTS_INTERNAL_H
#define VMAIL_STORE_CONTACTS_INTERNAL_H

#include "store/contacts.h"

/* A logical line of an imported file is cut here: photographs live in such lines. */
#define CONTACTS_LINE_MAX 65536

/* A contact with copies of @name and @email, everything else empty. */
struct contact *contact_new(const char *name, const char *email);
/* An array that frees its contacts. */
GPtrArray *contacts_array_new(void);
/* Imported bytes as valid UTF-8 without NUL: a byte order mark is dropped, UTF-16 with a mark is
 * converted (Outlook writes it), other bytes are taken for CP949, then Latin-1. The caller frees. */
char *contacts_text_from(const char *data, size_t length);

#endif
