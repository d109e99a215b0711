#!/usr/bin/env python3
"""Writes malformed and hostile messages, one a file, always the same, into the given folder."""
import base64
import os
import random
import sys

HEAD = b"From: a@example.com\nTo: b@example.com\nSubject: test\nDate: Wed, 1 Jan 2025 00:00:00 +0000\n"


def multipart(boundary, parts, closed=True, kind=b"mixed"):
    head = b"Content-Type: multipart/" + kind + b'; boundary="' + boundary + b'"\n\n'
    body = b"".join(b"--" + boundary + b"\n" + part + b"\n" for part in parts)
    return head + body + (b"--" + boundary + b"--\n" if closed else b"")


def nested(depth, closed):
    out = HEAD
    for level in range(depth):
        out += b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (level, level)
    out += b"\ninnermost\n"
    if closed:
        for level in reversed(range(depth)):
            out += b"--b%d--\n" % level
    return out


def messages():
    rng = random.Random(20250101)
    korean = "안녕하세요 회의 안내".encode("cp949")
    japanese = "会議のお知らせ".encode("iso-2022-jp")

    def noise(size):
        return rng.randbytes(size)

    # header and body missing
    yield "empty", b""
    yield "one-newline", b"\n"
    yield "no-header", b"Hello,\nthis is a body without any header.\n"
    yield "no-body", HEAD
    yield "no-body-no-newline", HEAD.rstrip(b"\n")
    yield "no-empty-line", HEAD + b"this line is no field\nand this: is one\n"
    yield "body-only", b"\n\n\nbody\n"
    yield "five-megabytes-no-colon", (b"x" * 77 + b"\n") * (5 * 1024 * 1024 // 78)
    yield "five-megabytes-one-line", b"y" * (5 * 1024 * 1024)
    yield "mbox-line", b"From a@example.com Wed Jan  1 00:00:00 2025\n" + HEAD + b"\nbody\n"
    yield "quoted-mbox-line", HEAD + b">From a@example.com Wed Jan  1 2025\nX: y\n\nbody\n"
    # line ends and control characters
    yield "nul-in-header", HEAD + b"X-Nul: a\0b\0\n\0Y: z\n\nbody\n"
    yield "nul-only", b"\0" * 4096
    yield "bare-cr", HEAD.replace(b"\n", b"\r") + b"\r\rbody\r"
    yield "crlf", (HEAD + b"\nbody\n").replace(b"\n", b"\r\n")
    yield "mixed-line-ends", HEAD.replace(b"\n", b"\r\n", 2) + b"\nbody\r\nbody\n"
    yield "cr-cr-lf", HEAD.replace(b"\n", b"\r\r\n") + b"\r\r\nbody\r\r\n"
    yield "controls", HEAD + b"X: " + bytes(range(1, 32)).replace(b"\n", b"") + b"\x7f\n\nbody\n"
    # size
    yield "header-line-1mb", HEAD + b"X-Long: " + b"a" * (1 << 20) + b"\nX-After: seen\n\nbody\n"
    yield "subject-2mb-folded", HEAD + b"Subject: a\n" + b" word word word\n" * 130000 + b"\nbody\n"
    yield "subject-encoded-1mb", b"Subject:" + b"\n =?UTF-8?B?7JWI64WV?=" * 50000 + b"\n" + HEAD + b"\nb\n"
    yield "fields-100000", HEAD + b"".join(b"X-%d: %d\n" % (i, i) for i in range(100000)) + b"\nbody\n"
    yield "fields-tiny", b"a:\n" * 200000 + b"\nbody\n"
    yield "long-field-name", b"N" * 5000 + b": x\n" + HEAD + b"\nbody\n"
    # addresses
    yield "groups-50000", b"From: " + b"a:" * 50000 + b"\n\nbody\n"
    yield "groups-50000-closed", b"From: " + b"a:" * 50000 + b"x@y" + b";" * 50000 + b"\n\nbody\n"
    yield "comments-nested", b"From: " + b"(" * 60000 + b"x@y" + b")" * 60000 + b" a@b\n\nbody\n"
    yield "comments-open", b"From: " + b"(" * 120000 + b"\nTo: " + b'"' * 99999 + b"\n\nbody\n"
    yield "angles", b"From: " + b"<" * 100000 + b"\nTo: " + b"<@a," * 30000 + b"\n\nbody\n"
    yield "backslashes", b'From: "' + b"\\" * 100001 + b"\n\nbody\n"
    yield "recipients-20000", HEAD + b"To: " + b",\n ".join(
        b"User %d <user%d@example.com>" % (i, i) for i in range(20000)) + b"\n\nbody\n"
    # dates
    yield "date-absent", b"From: a@b\nSubject: x\n\nbody\n"
    for name, date in (("empty", b""), ("nonsense", b"the day before"), ("year-0", b"1 Jan 0 00:00:00 +0000"),
                       ("year-9999", b"Fri, 31 Dec 9999 23:59:59 +0000"),
                       ("overflow", b"99999999999 Jan 99999999999 99:99:99 +999999"),
                       ("comments", b"(" * 2000 + b" Wed, 1 Jan 2025 00:00:00 +0000")):
        yield "date-" + name, b"From: a@b\nDate: " + date + b"\n\nbody\n"
    # character sets
    yield "raw-euckr", b"From: " + korean + b" <a@b>\nSubject: " + korean + b"\n\n" + korean + b"\n"
    yield "encoded-euckr", b"Subject: =?euc-kr?B?" + base64.b64encode(korean) + b"?=\n\nbody\n"
    yield "raw-iso2022jp", b"Subject: " + japanese + b"\n\n" + japanese + b"\n"
    yield "encoded-iso2022jp", b"Subject: =?ISO-2022-JP?B?" + base64.b64encode(japanese) + b"?=\n\nbody\n"
    yield "iso2022jp-open", b"Subject: =?ISO-2022-JP?B?" + base64.b64encode(b"\x1b$B\xff\xff\x1b") + b"?=\n\n\x1b$B" + noise(999)
    yield "charset-unknown", HEAD + b"Content-Type: text/plain; charset=x-no-such\n\n" + korean + b"\n"
    yield "charset-hostile", HEAD + b'Content-Type: text/plain; charset="../../../../tmp/x//TRANSLIT%n%s"\n\n' + korean
    yield "charset-long", HEAD + b"Content-Type: text/plain; charset=" + b"z" * 100000 + b"\n\n" + korean
    yield "charset-lies", HEAD + b"Content-Type: text/plain; charset=utf-8\n\n" + noise(2000) + b"\n"
    yield "garbage-header", b"Subject: " + noise(3000).replace(b"\n", b"") + b"\n\nbody\n"
    yield "garbage", noise(200000)
    for charset in (b"utf-7", b"iso-2022-kr", b"hz-gb-2312", b"gb18030", b"big5", b"shift_jis", b"euc-tw", b"utf-16"):
        yield "garbage-" + charset.decode(), (
            HEAD + b"Content-Type: text/plain; charset=" + charset + b"\n\n" + noise(5000))
    broken_words = [b"=?", b"=?x", b"=?x?", b"=?x?Q", b"=?x?Q?", b"=?x?Q?a", b"=?x?Q?a?", b"=??B?YQ==?=", b"=?utf-8?B?Y?=",
                    b"=?utf-8?B?####?=", b"=?utf-8?Q?=?=", b"=?utf-8?Q?=4?=", b"=?utf-8?Q?=00=0A=0D?=", b"=?utf-8?Z?a?="]
    yield "encoded-words-broken", b"".join(b"Subject: " + word + b"\n" for word in broken_words) + b"\nbody\n"
    yield "encoded-words-unterminated", b"Subject: " + b"=?utf-8?Q?" * 20000 + b"\n\nbody\n"
    # MIME
    yield "parts-10000", HEAD + multipart(b"b", [b"\npart %d" % i for i in range(10000)])
    yield "parts-300000-empty", HEAD + multipart(b"b", [b""] * 300000)
    yield "parts-rich-headers", HEAD + multipart(b"b", [b"a:\n" * 300 + b"\nx"] * 2000)
    yield "depth-1500", nested(1500, False)
    yield "depth-1500-closed", nested(1500, True)
    yield "rfc822-depth-3000", HEAD + b"Content-Type: message/rfc822\n\n" * 3000 + b"\nbody\n"
    yield "digest-depth", HEAD + b"Content-Type: multipart/digest; boundary=b\n\n" + b"--b\n\nContent-Type: multipart/digest; boundary=b\n\n" * 2000
    yield "unterminated", HEAD + multipart(b"b", [b"\none", b"\ntwo"], closed=False)
    yield "no-boundary", HEAD + b"Content-Type: multipart/mixed\n\n--b\n\nx\n--b--\n"
    yield "empty-boundary", HEAD + multipart(b"", [b"\none"])
    yield "boundary-never", HEAD + b'Content-Type: multipart/mixed; boundary="b"\n\nnothing here\n'
    yield "boundary-prefix", HEAD + multipart(b"b", [multipart(b"bb", [b"\none", b"\ntwo"]), multipart(b"b-", [b"\nx"])])
    yield "boundary-same", HEAD + multipart(b"b", [multipart(b"b", [b"\none"]), b"\ntwo"])
    yield "boundary-1mb", HEAD + multipart(b"q" * (1 << 20), [b"\none"])
    yield "boundary-lines", HEAD + multipart(b"b" * 60, [b"\n" + (b"--" + b"b" * 59 + b"c\n") * 60000])
    yield "boundary-in-header", HEAD + multipart(b"b", [b"Content-Type: text/plain;", b"Subject: x\n folded"])
    yield "content-type-twice", b"Content-Type: text/html\n" + HEAD + multipart(b"b", [b"\none"])
    yield "content-type-broken", HEAD + b'Content-Type: ;;;/=";;boundary="\n\nbody\n'
    yield "params-many", HEAD + b"Content-Type: text/plain" + b"; a=b" * 50000 + b"\n\nbody\n"
    yield "params-2231", HEAD + b"Content-Disposition: attachment" + b"".join(
        b";\n filename*%d*=utf-8''%%EC%%95%%88" % (i * 7919 % 3001) for i in range(3000)) + b"\n\nbody\n"
    yield "params-2231-huge-index", HEAD + b"Content-Disposition: attachment; filename*99999999999999999999*=x; filename*-1=y\n\nb\n"
    yield "base64-broken", HEAD + b"Content-Transfer-Encoding: base64\n\n" + b"####YWJj=YWJj==\n" * 1000 + b"Y"
    yield "qp-broken", HEAD + b"Content-Transfer-Encoding: quoted-printable\n\n" + b"=Z=\n==41=4" * 1000 + b"="
    yield "uu-broken", HEAD + b"Content-Transfer-Encoding: x-uuencode\n\nbegin 644 a\n" + noise(3000) + b"\nend\nbegin "
    yield "html-open", HEAD + b"Content-Type: text/html\n\n" + b"<a " * 50000 + b"<!--" * 50000 + b"<script>" * 9999
    yield "html-entities", HEAD + b"Content-Type: text/html\n\n" + b"&#99999999999;&#x;&amp&" * 5000
    yield "html-garbage", HEAD + b"Content-Type: text/html\n\n" + noise(50000)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: make_malformed.py FOLDER")
    os.makedirs(sys.argv[1], exist_ok=True)
    for name, data in messages():
        with open(os.path.join(sys.argv[1], name + ".eml"), "wb") as file:
            file.write(data)


if __name__ == "__main__":
    main()
