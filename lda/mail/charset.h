/*
 * Bytes of a message become valid UTF-8, and UTF-8 becomes header text again.
 *
 * Nothing here fails: what cannot be converted is replaced, because a message in a broken encoding
 * is delivered like every other. All results are valid UTF-8 without NUL (a NUL in the input
 * becomes U+FFFD), NUL terminated, owned by the caller (g_free).
 */
#ifndef VMAIL_MAIL_CHARSET_H
#define VMAIL_MAIL_CHARSET_H

#include <stdbool.h>
#include <stddef.h>

/* The charsets tried on undeclared 8-bit text that is not UTF-8, where the site names none:
 * { "CP949", NULL }. A Korean charset is only believed when the result has Hangul in it, so Western
 * Latin-1 text comes out right all the same. */
extern const char *const charset_default_fallbacks[];

/* True when a converter for @charset (any usual alias) exists. */
bool charset_is_known(const char *charset);

/* @bytes in the charset that the message declares to UTF-8. Labels are read as mail programs read
 * them: euc-kr and ks_c_5601-1987 as CP949, shift_jis as CP932, gb2312 as GB18030, iso-8859-1 as
 * windows-1252. @declared NULL, "", us-ascii, unknown or contradicted by the bytes: as
 * charset_guess_utf8. Bytes that do not convert become U+FFFD. @fallbacks may be NULL (default). */
char *charset_to_utf8(const void *bytes, size_t length, const char *declared,
                      const char *const *fallbacks);

/* Undeclared bytes: UTF-8 when valid, ISO-2022-JP/KR when its escapes are there, else the first of
 * @fallbacks (NULL-terminated; NULL = default) that converts all of it, else Latin-1 (read as
 * windows-1252). */
char *charset_guess_utf8(const void *bytes, size_t length, const char *const *fallbacks);

/* The decoded form of an unfolded header value (RFC 2047): encoded words anywhere in the text, also
 * where the RFC forbids them; characters split over two words; raw 8-bit text between them. CR, LF
 * and TAB become a space. */
char *charset_decode_header(const char *raw, const char *const *fallbacks);

/* A header value for the wire: ASCII stays, the rest becomes UTF-8 encoded words (RFC 2047), folded
 * with "\n " before column 76 where it can be; @column is where the value begins (length of "Name:
 * "). Control characters, line ends above all, cannot get out: they are encoded or become a space.
 */
char *charset_encode_header(const char *utf8, size_t column);

/* As charset_encode_header for a display name: quoted string when ASCII with specials, encoded word
 * when not ASCII; never folded. "" gives "". */
char *charset_encode_phrase(const char *utf8);

/* The length in bytes of the first @characters characters (code points, as VARCHAR(n) counts) of
 * @utf8; a character never gets cut. */
size_t charset_cut(const char *utf8, size_t characters);

/* A copy of those. */
char *charset_cut_dup(const char *utf8, size_t characters);

/* The greatest length <= @limit that does not end inside a character of @utf8. */
size_t charset_cut_bytes(const char *utf8, size_t length, size_t limit);

#endif
