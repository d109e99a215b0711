"""Messages as they come: languages, charsets, attachments; each knows what its subject reads."""
import base64
import email.header
import itertools

DATE = "Tue, 02 Jan 2024 03:04:05 +0900"  # 2024-01-01 18:04:05 UTC

WORDS = ["회의록", "견적서", "주문 확인", "日程", "請求書", "Grüße", "Straße", "счёт", "résumé", "🚀"]


def encoded(text, charset="utf-8", kind="b"):
    """RFC 2047, folded."""
    if kind == "q":
        hexed = "".join("=%02X" % byte for byte in text.encode(charset))
        return "=?%s?Q?%s?=" % (charset, hexed)
    return email.header.Header(text, charset, header_name="Subject").encode()


def message(subject, body="Hello.\n", sender="Bob <bob@remote.example>",
            to="alice@example.com", message_id=None, extra=b"", date=DATE):
    """A message as bytes; @subject may be bytes (raw) or text (written in ASCII or RFC 2047)."""
    if isinstance(subject, str):
        subject = subject if subject.isascii() else encoded(subject)
        subject = subject.encode("ascii")
    if isinstance(body, str):
        body = body.encode("utf-8")
    head = b"From: %s\nTo: %s\nSubject: %s\n" % (sender.encode(), to.encode(), subject)
    if date:
        head += b"Date: %s\n" % date.encode()
    if message_id:
        head += b"Message-ID: <%s>\n" % message_id.encode()
    return head + extra + b"\n" + body


def attachment(name, content, text="Siehe Anhang.\n"):
    """(extra header lines, body) of a multipart/mixed message with one attachment."""
    boundary = b"=_part"
    return (b'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="%s"\n' % boundary,
            b"--%s\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n%s"
            b"\n--%s\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n"
            b"Content-Disposition: attachment; filename*=utf-8''%s\n\n%s\n--%s--\n"
            % (boundary, text.encode(), boundary,
               "".join("%%%02X" % byte for byte in name.encode()).encode(),
               base64.encodebytes(content), boundary))


def mixed(count):
    """Yields (what the subject reads, has an attachment, bytes) in rotation of ten kinds."""
    for number in range(count):
        mark = "#%03d" % number
        mid = "m%d@remote.example" % number
        kind = number % 10
        word = WORDS[number // 10 % len(WORDS)]
        extra, body = attachment("파일 %d.bin" % number, bytes(range(256)) * (1 + number % 7))
        if kind == 0:
            yield "Plain " + mark, False, message("Plain " + mark, message_id=mid)
        elif kind == 1:
            subject = "안녕하세요, 첨부 파일을 보냅니다 %s %s" % (word, mark)
            yield subject, True, message(subject, body, message_id=mid, extra=extra)
        elif kind == 2:
            subject = "会議のお知らせ " + mark
            yield subject, False, message(encoded(subject, "iso-2022-jp"), message_id=mid)
        elif kind == 3:
            subject = "Größere Änderungen für Übermorgen " + mark
            yield subject, False, message(encoded(subject, "iso-8859-1", "q"), message_id=mid)
        elif kind == 4:
            subject = "날것 그대로의 UTF-8 %s %s" % (word, mark)
            yield subject, False, message(subject.encode("utf-8"), message_id=mid)
        elif kind == 5:
            subject = "중요한 공지사항 " + mark
            yield subject, False, message(encoded(subject, "euc-kr"), message_id=mid)
        elif kind == 6:
            subject = "선언 없는 옛 메일 " + mark
            yield subject, False, message(subject.encode("cp949"), message_id=mid)
        elif kind == 7:
            subject = mark + " " + " ".join(itertools.islice(itertools.cycle(WORDS), 60))
            yield subject, True, message(subject, body, message_id=mid, extra=extra)
        elif kind == 8:
            extra = (b'MIME-Version: 1.0\nContent-Type: multipart/alternative; boundary="b"\n')
            body = ("--b\nContent-Type: text/plain; charset=utf-8\n\n본문\n--b\n"
                    "Content-Type: text/html; charset=utf-8\n\n<p>본문</p>\n--b--\n")
            subject = "HTML %s %s" % (word, mark)
            yield subject, False, message(subject, body, message_id=mid, extra=extra)
        else:
            subject = "From the start of a line " + mark
            body = "From here on\n.\n..dots\nFrom there on, without an end of line"
            yield subject, False, message(subject, body, message_id=mid)
