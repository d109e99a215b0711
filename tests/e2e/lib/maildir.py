"""What lies in a Maildir, and whether the header rows say the same."""
import base64
import os
import re

from lib.story import want_equal

FLAGS = {"S": "\\Seen", "F": "\\Flagged", "R": "\\Answered", "T": "\\Deleted", "D": "\\Draft"}


def decode_mailbox(name):
    """Modified UTF-7 (RFC 3501, 5.1.3) to text."""
    def part(match):
        if not match.group(1):
            return "&"
        text = match.group(1).replace(",", "/")
        return base64.b64decode(text + "=" * (-len(text) % 4)).decode("utf-16-be")
    return re.sub(r"&([^-]*)-", part, name)


class Message:
    """One file: mailbox (canonical name), file (base name without flags), flags, path, fresh."""

    def __init__(self, mailbox, folder, name):
        self.mailbox = mailbox
        self.path = os.path.join(folder, name)
        self.file, _, info = name.partition(":2,")
        self.fresh = os.path.basename(folder) == "new"
        self.letters = info
        self.seen = "S" in info

    def bytes(self):
        with open(self.path, "rb") as file:
            return file.read()

    def text(self):
        return self.bytes().decode("utf-8", "backslashreplace")

    def __repr__(self):
        return "%s/%s:2,%s" % (self.mailbox, self.file, self.letters)


def mailboxes(home):
    """Canonical names of the mailboxes that exist: INBOX, Sent, 중요…"""
    found = []
    try:
        names = os.listdir(home)
    except FileNotFoundError:
        return []
    if "new" in names:
        found.append("INBOX")
    for name in names:
        if name.startswith(".") and os.path.isdir(os.path.join(home, name, "cur")):
            found.append(decode_mailbox(name[1:]))
    return sorted(found)


def messages(home, mailbox=None):
    """All messages below a home, or those of one mailbox."""
    found = []
    try:
        names = os.listdir(home)
    except FileNotFoundError:
        return []
    folders = [("INBOX", home)] + [(decode_mailbox(n[1:]), os.path.join(home, n))
                                   for n in names if n.startswith(".")]
    for box, folder in folders:
        if mailbox not in (None, box):
            continue
        for sub in ("new", "cur"):
            path = os.path.join(folder, sub)
            try:
                entries = sorted(os.listdir(path))
            except (FileNotFoundError, NotADirectoryError):
                continue
            found += [Message(box, path, name) for name in entries if not name.startswith(".")]
    return found


def leftovers(home):
    """Files that a finished delivery leaves nowhere: in tmp/ of any folder, and pending ones."""
    found = []
    for folder, _, files in os.walk(home):
        if os.path.basename(folder) == "tmp" or "pending" in os.path.basename(folder):
            found += [os.path.join(folder, name) for name in files]
    return found


def rows_of(s, address):
    return s.rows("SELECT h.* FROM email_headers h JOIN virtual_users u ON u.id = h.user_id "
                  "WHERE u.email = $1 ORDER BY h.id", address)


def row_flags(row):
    """All IMAP flags that a row tells, sorted; \\Seen stands in is_read, not among the flags."""
    return sorted({*(row["flags"] or "").split(), *(["\\Seen"] if row["is_read"] else [])})


def check_rows(s, address, when):
    """Every file has its row and every row its file: mailbox, name, size and read or not agree."""
    files = sorted((m.mailbox, m.file, os.path.getsize(m.path), m.seen)
                   for m in messages(s.home(address)))
    rows = sorted((r["mailbox"], r["file"], r["size"], bool(r["is_read"]))
                  for r in rows_of(s, address))
    missing = [f for f in files if f not in rows]
    extra = [r for r in rows if r not in files]
    want_equal((extra, missing), ([], []),
               "%s: rows and files of %s agree (rows without a file, files without a row)"
               % (when, address))
    return len(files)
