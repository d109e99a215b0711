"""A user edits scripts over ManageSieve, as Roundcube and Thunderbird do; vmail-lda obeys them."""
import base64
import os
import socket

from lib.maildir import check_rows, messages
from lib.mails import message
from lib.servers import Dovecot
from lib.story import PATIENCE, run, want, want_equal

ALICE = "alice@example.com"
ROUNDCUBE = '''require ["fileinto","imap4flags","include"];
# rule:[회사]
if anyof (header :contains "from" "@company.example", header :contains "subject" "회의")
{
	addflag "\\\\Flagged";
	fileinto "INBOX.회사";
	stop;
}
include :personal "more";
'''
MORE = '''require ["fileinto","mailbox"];
if header :contains "list-id" "users" { fileinto :create "INBOX.Lists.users"; }
'''


class ManageSieve:
    """RFC 5804, as little as the story needs."""

    def __init__(self, port, user, password):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.file = self.socket.makefile("rb")
        self.answer()
        secret = base64.b64encode(b"\0%s\0%s" % (user.encode(), password.encode())).decode()
        self.command('AUTHENTICATE "PLAIN" "%s"' % secret)

    def answer(self):
        lines = []
        while True:
            line = self.file.readline().decode("utf-8").rstrip("\r\n")
            if line.startswith("NO") or not line:
                raise AssertionError("ManageSieve says: %s %s" % (line, lines))
            if line.startswith("OK"):
                return lines
            lines.append(line)

    def command(self, text):
        self.socket.sendall(text.encode("utf-8") + b"\r\n")
        return self.answer()

    def put(self, name, script):
        data = script.encode("utf-8")
        self.command('PUTSCRIPT "%s" {%d+}\r\n%s' % (name, len(data), script))


def story(s):
    s.configure()
    s.vmail("migrate")
    s.vmail("user", "add", ALICE)
    s.execute("UPDATE virtual_users SET password = '{PLAIN}secret'")
    dovecot = Dovecot(s, "sqlite").start()
    editor = ManageSieve(dovecot.sieve_port, ALICE, "secret")

    s.step("before the first mail there is only what ManageSieve made; the delivery fits in")
    editor.put("more", MORE)
    editor.put("roundcube", ROUNDCUBE)
    editor.command('SETACTIVE "roundcube"')
    s.deliver(message("회의 안내", message_id="a@x"), ALICE)
    s.deliver(message("hello", sender="boss@company.example", message_id="b@x"), ALICE)
    s.deliver(message("list", extra=b"List-Id: <users.lists.example>\n", message_id="c@x"), ALICE)
    s.deliver(message("other", message_id="d@x"), ALICE)
    want_equal([m.letters for m in messages(s.home(ALICE), "회사")], ["F", "F"],
               "two flagged messages in 회사")
    want_equal(len(messages(s.home(ALICE), "Lists.users")), 1, "one by the included script")
    want_equal(len(messages(s.home(ALICE), "INBOX")), 1, "the rest in INBOX")

    s.step("the user changes the rules: the next message follows them")
    editor.put("more", MORE.replace("users", "people"))
    editor.command('SETACTIVE ""')
    s.deliver(message("회의 둘", message_id="e@x"), ALICE)
    want_equal(len(messages(s.home(ALICE), "INBOX")), 2, "no active script: INBOX")
    editor.command('SETACTIVE "more"')
    s.deliver(message("list", extra=b"List-Id: <users.lists.example>\n", message_id="f@x"), ALICE)
    want_equal(len(messages(s.home(ALICE), "INBOX")), 3, "the changed script does not match")

    s.step("IMAP shows the folders under the names the script used; nobody complains")
    boxes = dovecot.doveadm("mailbox", "list", user=ALICE).split("\n")
    want("INBOX.회사" in boxes and "INBOX.Lists.users" in boxes, "the folders", boxes)
    want_equal(dovecot.complaints(), [], "Dovecot has nothing to complain about")
    want(os.path.islink(s.home(ALICE) + "/.dovecot.sieve"), "the active script is a link")
    check_rows(s, ALICE, "at the end")


if __name__ == "__main__":
    run(story, needs=["root", "vmail", "dovecot"])
