"""What an IMAP client sees."""
import re

from lib.maildir import decode_mailbox, row_flags, rows_of
from lib.story import until, want_equal


def parse_flags(text):
    return frozenset(re.search(rb"FLAGS \(([^)]*)\)", text).group(1).decode().split()) \
        - {"\\Recent"}


def seen_by(client):
    """Every message a client sees, sorted: (mailbox, message id, flags)."""
    found = []
    for line in client.list()[1]:
        if b"\\Noselect" in line:
            continue  # a folder of mboxes
        name = line.decode().rsplit(' "." ', 1)[1].strip('"')
        status, (count,) = client.select('"%s"' % name)
        want_equal(status, "OK", "SELECT " + name)
        if int(count) == 0:
            continue
        answer = client.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")[1]
        # a message is a tuple (before the literal, the literal) and what stands behind it
        for number, part in enumerate(answer):
            if isinstance(part, tuple):
                behind = answer[number + 1] if number + 1 < len(answer) else b""
                flags = part[0] if b"FLAGS (" in part[0] else behind
                found.append((decode_mailbox(name.removeprefix("INBOX.")),
                              part[1].decode().split("<")[1].split(">")[0], parse_flags(flags)))
        want_equal(sum(isinstance(part, tuple) for part in answer), int(count),
                   "messages fetched from " + name)
    return sorted((box, mid, sorted(flags)) for box, mid, flags in found)


def sync_until_rows_agree(s, user, client, when):
    """Runs vmail sync until the rows of @user tell what @client sees, all messages and all flags;
    returns it. More than one run may be needed: a file without a row is left for some seconds to the
    delivery that may be about to write it."""
    shown = []

    def agree():
        s.vmail("sync", "-u", user)
        view = seen_by(client)
        rows = sorted((r["mailbox"], r["message_id"], row_flags(r)) for r in rows_of(s, user))
        shown[:] = [view, [v for v in view if v not in rows], [r for r in rows if r not in view]]
        return view == rows
    try:
        until(agree, "rows agree", patience=30, pause=0.5)
    except AssertionError:
        want_equal((shown[1], shown[2]), ([], []),
                   "%s: rows say what IMAP says (only in IMAP, only in rows)" % when)
        raise
    return shown[0]
