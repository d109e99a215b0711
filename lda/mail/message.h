/*
 * A message: a header that is read at once, a MIME tree that is read when somebody asks, and edits
 * that are kept beside the original until the result is written.
 *
 * The bytes stay in the file (pread); what is held in memory is bounded by struct message_options,
 * whatever the message holds. A message beyond the bounds is no error: what is within them can be
 * read, and message_write copies all of it. The only errors are I/O errors.
 */
#ifndef VMAIL_MAIL_MESSAGE_H
#define VMAIL_MAIL_MESSAGE_H

#include "lda/base/error.h"
#include "lda/mail/headers.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct message;
struct message_part;

/* Zero or NULL means the default. Strings are copied. */
struct message_options {
    const char *const *charsets; /* for raw 8-bit text that is not UTF-8 (charset.h); {"CP949"} */
    size_t max_header_bytes;     /* header of the message that is kept; 1 MiB */
    size_t max_fields;           /* fields of one header; 10,000 */
    size_t max_field_bytes; /* one field, name and folded value; 256 KiB, the rest is not seen */
    size_t max_part_header_bytes; /* header of a MIME part; 64 KiB */
    size_t max_parts;             /* MIME parts; 10,000; the tree ends there */
    size_t max_depth;             /* nesting; 100; deeper multiparts are leaves */
};

/* --- open and close ----------------------------------------------------------------------- */

/* The regular file @fd from its beginning to its present end. The descriptor is duplicated, its
 * position neither used nor moved. A first line "From " (mbox) is passed over: not part of the
 * message. @options may be NULL. NULL and @err on an I/O error. */
struct message *message_open_fd(int fd, const struct message_options *options, struct error *err);

/* A message in memory; the bytes are copied. Never fails. */
struct message *message_open_bytes(const void *data, size_t length,
                                   const struct message_options *options);

/* The same message as it is now, edits included; later edits of either do not show in the other
 * (savepoints). The copy has a MIME tree of its own. Cheap: nothing is read. */
struct message *message_copy(const struct message *message);
void message_free(struct message *message);

static inline void message_cleanup(struct message **message)
{
    message_free(*message);
}
#define AUTO_MESSAGE __attribute__((cleanup(message_cleanup))) struct message *

/* --- header ------------------------------------------------------------------------------- */

/* The fields with all edits, in order; the pointer stays the same for the life of the message. */
struct headers *message_headers(struct message *message);

/* The charsets of the options (or the default), for address_list_parse and charset.h. */
const char *const *message_charsets(const struct message *message);

/* --- body --------------------------------------------------------------------------------- */

/* Bytes of header (with the empty line) and of the body, as message_write would write them. */
off_t message_size(struct message *message);
off_t message_body_size(const struct message *message);

/* Bytes with every line ended by CRLF, as the message travels by SMTP (RFC 5228 5.9). Reads all of it. */
bool message_size_crlf(struct message *message, off_t *ret_size, struct error *err);

/* The body as it stands (not decoded), at most @limit bytes. g_bytes_unref. */
bool message_body_raw(struct message *message, size_t limit, GBytes **ret_bytes, struct error *err);

/* --- MIME parts --------------------------------------------------------------------------- */

/* The tree: its root stands for the whole message and shares its headers. Read on the first call,
 * kept until the content is replaced; parts live as long as the message, also those of a tree that
 * a replacement has made stale. */
bool message_mime(struct message *message, struct message_part **ret_root, struct error *err);

/* True when the bounds on parts or depth cut the tree. Only after message_mime. */
bool message_mime_truncated(const struct message *message);

/* The first part whose disposition, name or type says that a person would call it an attachment;
 * inline images that the HTML shows, and signatures, are none. */
bool message_has_attachment(struct message *message, bool *ret_has, struct error *err);

/* Walking. A multipart has its parts as children, a message/rfc822 (message/global) its message as
 * the only child. NULL where there is none. */
struct message_part *message_part_parent(const struct message_part *part);
struct message_part *message_part_first_child(const struct message_part *part);
struct message_part *message_part_next_sibling(const struct message_part *part);

/* Depth first, parents before children, staying below @root (NULL: the whole tree). NULL at the
 * end. */
struct message_part *message_part_next(const struct message_part *part,
                                       const struct message_part *root);

/* 0 for the root. */
size_t message_part_depth(const struct message_part *part);

/* The fields of the part (of the message for the root and for the child of a message/rfc822). */
struct headers *message_part_headers(struct message_part *part);

/* Content-Type in lower case; the default of RFC 2045 ("text", "plain"; "message", "rfc822" in a
 * digest) where absent or broken. */
const char *message_part_type(const struct message_part *part);
const char *message_part_subtype(const struct message_part *part);
bool message_part_is(const struct message_part *part, const char *type, const char *subtype);

/* A parameter of Content-Type or Content-Disposition, RFC 2231 and 2047 decoded; NULL when absent.
 * The name in any case. */
const char *message_part_param(struct message_part *part, const char *name);
const char *message_part_disposition_param(struct message_part *part, const char *name);

/* "inline", "attachment" …, lower case; NULL when there is no such field. */
const char *message_part_disposition(struct message_part *part);

/* filename of the disposition, or name of the type; NULL when neither. */
const char *message_part_filename(struct message_part *part);

/* Content-Transfer-Encoding, lower case; "7bit" where absent. */
const char *message_part_encoding(struct message_part *part);

/* Where the part's body stands in the message as opened (or as its content was replaced), in bytes.
 */
off_t message_part_body_size(const struct message_part *part);

/* The body as it stands, at most @limit bytes. g_bytes_unref. */
bool message_part_raw(struct message_part *part, size_t limit, GBytes **ret_bytes,
                      struct error *err);

/* The body with base64, quoted-printable or uuencode undone, at most @limit bytes of result. */
bool message_part_content(struct message_part *part, size_t limit, GBytes **ret_bytes,
                          struct error *err);

/* The content as UTF-8 text, at most @limit bytes, cut on a character; text/html without its tags,
 * scripts and styles, entities resolved; line ends LF. For parts that are not text it is the bytes
 * read as text. g_free. */
bool message_part_text(struct message_part *part, size_t limit, char **ret_text, struct error *err);

/* As message_part_text, but HTML stays as it is. */
bool message_part_text_source(struct message_part *part, size_t limit, char **ret_text,
                              struct error *err);

/* What a multipart has before its first and after its last boundary (RFC 5173 5.2), raw, at most
 * @limit bytes together. Empty for others. */
bool message_part_outside(struct message_part *part, size_t limit, GBytes **ret_bytes,
                          struct error *err);

/* The same in two pieces: before the first boundary (all of it where there is none), and behind the
 * last one. Either may be empty. */
bool message_part_prologue(struct message_part *part, size_t limit, GBytes **ret_bytes,
                           struct error *err);
bool message_part_epilogue(struct message_part *part, size_t limit, GBytes **ret_bytes,
                           struct error *err);

/* --- edits -------------------------------------------------------------------------------- */

/* True for a name that RFC 5322 allows: printable ASCII without colon, 1 to 255 bytes. */
bool message_header_name_is_valid(const char *name);

/* Adds a field at the top, or behind the last field. @value is UTF-8 and is encoded and folded;
 * @name must be valid. */
void message_add_header(struct message *message, const char *name, const char *value, bool last);

/* Deletes the field at @index of message_headers; the ones behind move up. */
void message_delete_header(struct message *message, size_t index);

/* Gives the whole message a new body. All Content-* fields go; MIME-Version, Content-Type and (not
 * NULL) Content-Transfer-Encoding come in their place. @body is used as it is (already encoded). */
void message_set_content(struct message *message, const char *content_type,
                         const char *transfer_encoding, const void *body, size_t length);

/* As above from a MIME entity: Content-* fields, empty line, body (RFC 5703 `:mime`). Fields of
 * other names in it are ignored. */
void message_set_entity(struct message *message, const void *entity, size_t length);

/* Gives @part another content (for the root: message_set_entity): its header and body become
 * @entity. The tree becomes stale: call message_mime again. @part must be of the present tree. */
void message_replace_part(struct message *message, struct message_part *part, const void *entity,
                          size_t length);

/* Makes the message, as it is now, the second part of a multipart/mixed whose first part is @text
 * (UTF-8; RFC 5703 section 6). All fields of the header are kept but for Content-*; the boundary is
 * made so that it does not occur in either. false only for I/O. */
bool message_enclose(struct message *message, const char *text, struct error *err);

/* True when a header or content edit was made since opening (a copy inherits it). */
bool message_is_edited(const struct message *message);

/* Writes the message with its edits from @fd's position; the original bytes are copied in a stream,
 * untouched fields byte for byte. On failure an unknown part has been written. */
bool message_write(struct message *message, int fd, struct error *err);

/* The header of it with edits and the empty line (for rejects and DSNs), at most @limit bytes. */
bool message_header_bytes(struct message *message, size_t limit, GBytes **ret_bytes,
                          struct error *err);

#endif
