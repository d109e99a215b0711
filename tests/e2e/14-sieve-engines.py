"""The second engine, libsieve: what it can it does; what kills or hangs it costs no message."""
import glob
import os

from lib.maildir import check_rows, leftovers, messages
from lib.mails import message
from lib.story import run, want_equal

ALICE = "alice@example.com"
SENDMAIL = '#!/bin/sh\ncat > %s/answer.$$.eml\n'
MISSION = '''require ["fileinto"];
if address :is "from" "important@example.com" {
  fileinto "INBOX.Important";
}
'''
# measured on libsieve 2.2.6: an endless loop, a crash while validating, unbounded matching, a parse
# error that it calls OK, an extension it does not know
HOSTILE = {
    "endless": 'require "imap4flags"; setflag "a"; setflag "b"; keep;',
    "crash": 'require "imap4flags"; if hasflag :is "\\\\Flagged" { discard; }',
    "matching": 'if header :matches "subject" "*a*a*a*a*a*a*a*a*a*a*a*a*b" { discard; }',
    "parse error": 'require "fileinto"; if if if fileinto;',
    "unknown": 'require ["body", "fileinto"]; if body :contains "x" { discard; }',
}


def children(program):
    """Processes that run @program."""
    found = []
    for link in glob.glob("/proc/[0-9]*/exe"):
        try:
            if os.readlink(link) == program:
                found.append(link)
        except OSError:  # it ended meanwhile
            continue
    return found


def story(s):
    s.configure(sieve_engine="libsieve", sieve_max_cpu_ms=2000,
                sendmail_path=s.path("bin/sendmail"))
    s.write("bin/sendmail", SENDMAIL % s.path("log"), 0o755)
    s.vmail("migrate")
    s.vmail("user", "add", ALICE)
    s.deliver(message("first"), ALICE)

    def script(text):
        s.write(s.home(ALICE) + "/.dovecot.sieve", text, 0o600, s.user)

    s.step("the mission's script files by libsieve as it does by ours")
    script(MISSION)
    for engine in ("libsieve", "native"):
        s.deliver(message("x", sender="important@example.com"), ALICE, "-o", "sieve_engine=" + engine)
    want_equal(len(messages(s.home(ALICE), "Important")), 2, "two messages in Important")

    for number, (name, text) in enumerate(HOSTILE.items()):
        s.step("what libsieve does not survive (%s) ends in INBOX" % name)
        script(text)
        s.deliver(message("a" * 60 + " %d" % number), ALICE, "-q", "Q%d" % number)
        want_equal(len(messages(s.home(ALICE), "INBOX")), 2 + number, "kept in INBOX: " + name)
    check_rows(s, ALICE, "at the end")
    want_equal(leftovers(s.home(ALICE)), [], "nothing is left pending")
    want_equal(children(s.path("libexec/vmail-lda")), [], "no child is left behind")


if __name__ == "__main__":
    run(story)
