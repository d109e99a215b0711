"""Sieve and a real Dovecot know the same mailboxes: METADATA set over IMAP, mailbox ids, special uses; and a
client sees the flags and keywords that a script set."""
import os
import re

from lib.imapview import parse_flags
from lib.maildir import check_rows, messages
from lib.mails import message
from lib.servers import Dovecot
from lib.story import run, want, want_equal

ALICE = "alice@example.com"
METADATA = '''require ["mboxmetadata", "servermetadata", "fileinto", "variables", "relational"];
if metadata :is "INBOX.광고" "/private/comment" "여기로
두 줄" { fileinto "INBOX.광고"; }
if servermetadata :contains "/private/vendor/example/mode" "holiday" { fileinto "Holiday"; }
if metadataexists "INBOX" "/private/comment" { fileinto "Wrong"; }
if metadata :is "INBOX.Missing" "/private/comment" "" { fileinto "Wrong"; }
'''


def story(s):
    s.configure()
    s.vmail("migrate")
    s.vmail("user", "add", ALICE)
    s.execute("UPDATE virtual_users SET password = '{PLAIN}secret'")
    dovecot = Dovecot(s, "sqlite").start()
    s.deliver(message("first"), ALICE)
    client = dovecot.imap(ALICE)
    home = s.home(ALICE)

    def script(text):
        s.write(home + "/.dovecot.sieve", text, 0o600, s.user)

    def deliver(*words):
        """The mailboxes that got a message."""
        before = {m.path for m in messages(home)}
        s.deliver(message("x", message_id="m%d@x" % len(before)), ALICE, *words)
        return sorted(m.mailbox for m in messages(home) if m.path not in before)

    def command(name, *arguments):
        status, answer = client.xatom(name, *arguments)
        want_equal(status, "OK", "%s %s: %r" % (name, arguments, answer))

    s.step("annotations that a client sets decide where mail goes, from the next message on")
    name = '"INBOX.&rRGs4A-"'  # INBOX.광고
    command("CREATE", name)
    script(METADATA)
    want_equal(deliver(), ["INBOX"], "before there is any")
    text = "여기로\r\n두 줄".encode()
    command("SETMETADATA", name, b"(/private/comment {%d+}\r\n%s)" % (len(text), text))
    want_equal(deliver(), ["광고"], "the mailbox has its comment, with a line break in it")
    command("SETMETADATA", '""', '(/private/vendor/example/mode "on holiday")')
    want_equal(deliver(), ["Holiday", "광고"], "the server has one too")
    command("SETMETADATA", name, "(/private/comment NIL)")
    want_equal(deliver(), ["Holiday"], "it is gone again")

    s.step("a mailbox is found by its id, also after it was renamed")
    status = client.status(name, "(X-GUID)")[1][0]
    guid = re.search(rb"X-GUID ([0-9a-f]{32})", status).group(1).decode()
    script('require ["fileinto", "mailboxid"]; if mailboxidexists "%s" '
           '{ fileinto :mailboxid "%s" "Fallback"; }' % (guid, guid))
    want_equal(deliver(), ["광고"], "by its id")
    command("RENAME", name, '"INBOX.Renamed"')
    want_equal(deliver(), ["Renamed"], "by its id, under another name")
    command("DELETE", '"INBOX.Renamed"')
    want_equal(deliver(), ["INBOX"], "there is none with this id")
    script('require ["fileinto", "mailboxid"]; fileinto :mailboxid "%s" "Fallback";' % guid)
    want_equal(deliver(), ["Fallback"], "the name is what is left")

    s.step("special uses as dovecot.conf has them")
    script('require ["fileinto", "special-use"]; if specialuse_exists "\\\\Junk" { discard; } '
           'else { fileinto :specialuse "\\\\Sent" "Fallback"; }')
    want_equal(deliver(), ["Sent"], "Dovecot says \\Sent of Sent; Junk is not made yet")
    listed = [line.decode() for line in client.list()[1]]
    want(any("\\Sent" in line and "INBOX.Sent" in line for line in listed), "LIST says so", listed)
    command("CREATE", '"INBOX.Junk"')
    want_equal(deliver(), [], "now it is there")

    s.step("flags and keywords of a script are the client's")
    script('require ["imap4flags"]; setflag ["\\\\Flagged", "\\\\Answered", "$Label1", "작업", "work"];')
    want_equal(deliver(), ["INBOX"], "kept")
    client.select("INBOX")
    _, numbers = client.search(None, "KEYWORD", "$Label1")
    (number,) = numbers[0].split()
    flags = parse_flags(client.fetch(number, "(FLAGS)")[1][0])
    want({"\\Flagged", "\\Answered", "$Label1", "work"} <= flags and "\\Seen" not in flags,
         "flags over IMAP", flags)
    client.store(number, "+FLAGS", "(client-says)")
    want_equal(deliver(), ["INBOX"], "another one, after Dovecot changed the list of keywords")
    _, numbers = client.search(None, "KEYWORD", "work")
    client.noop()
    _, numbers = client.search(None, "KEYWORD", "work")
    want_equal(len(numbers[0].split()), 2, "both have it")
    _, numbers = client.search(None, "KEYWORD", "client-says")
    want_equal(len(numbers[0].split()), 1, "only one has what the client set")

    s.step("what somebody plants in the home is not followed")
    os.rename(home + "/dovecot-attributes", home + "/attributes.real")
    os.symlink(home + "/attributes.real", home + "/dovecot-attributes")
    script(METADATA)
    want_equal(deliver(), ["INBOX"], "a link is no dictionary")
    os.unlink(home + "/dovecot-attributes")
    os.rename(home + "/attributes.real", home + "/dovecot-attributes")
    want_equal(deliver(), ["Holiday"], "and the file is one again")
    want_equal(dovecot.complaints(), [], "Dovecot has nothing to complain about")
    s.vmail("sync", "-u", ALICE)
    check_rows(s, ALICE, "at the end")


if __name__ == "__main__":
    run(story, needs=["root", "vmail", "dovecot"])
