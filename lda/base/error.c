#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void text_clean(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p != '\0'; p++)
        if (*p < 0x20 || *p == 0x7f)
            *p = '?';
}

/* Marks a text that was cut with an ellipsis, without leaving half a UTF-8 character before it. */
static void text_mark_cut(char *text, size_t size)
{
    static const char ellipsis[] = "…";
    size_t end = size - sizeof ellipsis;

    while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80)
        end--;
    memcpy(text + end, ellipsis, sizeof ellipsis);
}

static void text_format(char *text, size_t size, const char *format, va_list args)
{
    int length = vsnprintf(text, size, format, args);

    if (length < 0)
        text[0] = '\0';
    else if ((size_t)length >= size)
        text_mark_cut(text, size);
    text_clean(text);
}

void error_set(struct error *err, enum error_kind kind, const char *format, ...)
{
    va_list args;

    err->kind = kind;
    err->code = 0;
    va_start(args, format);
    text_format(err->text, sizeof err->text, format, args);
    va_end(args);
}

void error_set_errno(struct error *err, enum error_kind kind, int code, const char *format, ...)
{
    va_list args;
    char reason[128];
    char what[ERROR_TEXT_SIZE];

    va_start(args, format);
    text_format(what, sizeof what, format, args);
    va_end(args);
    /* the GNU strerror_r: it may answer with a static text instead of filling the buffer */
    const char *why = strerror_r(code, reason, sizeof reason);
    error_set(err, kind, "%s: %s", what, why);
    err->code = code;
    if (code == EDQUOT && kind == ERROR_TEMPORARY)
        err->kind = ERROR_QUOTA_DEFER;
}

void error_prefix(struct error *err, const char *format, ...)
{
    va_list args;
    char prefix[ERROR_TEXT_SIZE / 2];
    char old[ERROR_TEXT_SIZE];
    enum error_kind kind = err->kind;
    int code = err->code;

    memcpy(old, err->text, sizeof old);
    va_start(args, format);
    text_format(prefix, sizeof prefix, format, args);
    va_end(args);
    error_set(err, kind, "%s: %s", prefix, old);
    err->code = code;
}

void error_clear(struct error *err)
{
    err->kind = ERROR_NONE;
    err->code = 0;
    err->text[0] = '\0';
}
