/* The inside of a message; lda/mail only. */
#ifndef VMAIL_MAIL_MESSAGE_INTERNAL_H
#define VMAIL_MAIL_MESSAGE_INTERNAL_H

#include "message.h"

#include "headers-internal.h"
#include "source.h"

struct message {
    struct message_options limits; /* all filled in; charsets is own_charsets */
    char **own_charsets;

    struct headers *headers;
    bool header_edited;
    bool content_edited;
    bool crlf; /* lines end so: added fields do too */

    /* The header as opened. Its fields beyond the bounds are the range rest_begin … rest_end. */
    struct source *source;
    off_t header_begin; /* behind an mbox From_ line */
    off_t rest_begin;   /* -1: none */
    off_t rest_end;
    bool rest_ends_line;

    struct source *body_source; /* the same as source until the content is replaced */
    off_t body_begin;
    off_t body_end;

    struct message_part *root; /* NULL: not read yet */
    bool mime_truncated;
    GPtrArray *stale; /* roots of trees that were replaced */
};

/* GMimeParamList of a header value, hidden from what need not know GMime. */
struct message_params;

struct message_part {
    struct message *message;
    struct source *source;
    struct message_part *parent;
    struct message_part *first;
    struct message_part *last;
    struct message_part *next;
    size_t depth;
    off_t entity_begin; /* where its header begins; the root: of the body */
    off_t body_begin;
    off_t body_end;
    off_t first_boundary; /* multipart: end of the preamble, begin of the epilogue; -1: no such */
    off_t epilogue;
    struct headers *headers;
    bool own_headers;
    char *type;
    char *subtype;
    char *boundary; /* multiparts that are looked into */
    char *disposition;
    char *encoding;
    struct message_params *type_params;
    struct message_params *disposition_params;
};

/* The message as it is now in one source. */
struct source *message_flatten(const struct message *message);

void message_part_free_tree(struct message_part *root);

/* Reads the tree (mime_scan.c). */
bool mime_scan(struct message *message, struct message_part **ret_root, bool *ret_truncated,
               struct error *err);

/* type, subtype and boundary of a Content-Type value; false: not one. The strings are lower case
 * but for the boundary, which may be NULL. */
bool content_type_parse(const char *raw, char **ret_type, char **ret_subtype, char **ret_boundary);

/* One parameter of a field value by GMime (RFC 2231, 2047); NULL when absent. Kept in *@params. */
const char *message_params_get(struct message_params **params, const char *raw, const char *name,
                               const char *const *charsets);
void message_params_free(struct message_params *params);

/* @html without tags (html_text.c). g_free. */
char *html_to_text(const char *html);

#endif
