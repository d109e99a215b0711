"""Malformed and hostile mail (tests/data/make_malformed.py) through vmail-lda, under the sanitizers.

Whatever comes is delivered, with the row that its header allows; no message costs the process its
life, its memory or its time. Twice: without a script, and with one that asks for everything."""
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from lib.maildir import check_rows, leftovers, messages, rows_of
from lib.story import SOURCE, run, want, want_equal

ALICE, BOB = "alice@example.com", "bob@example.com"
SCRIPT = '''require ["fileinto", "body", "mime", "variables", "date", "relational", "envelope",
         "comparator-i;ascii-numeric", "subaddress", "imap4flags", "regex"];
if body :text :contains "no such words anywhere" { discard; stop; }
if header :mime :anychild :contenttype "content-type" "application/x-hostile" { setflag "hostile"; }
if address :all :contains ["from", "to", "cc", "sender", "reply-to"] "nobody@nowhere.example" {
    discard; stop;
}
if address :detail :is ["to", "cc"] "nothing" { discard; stop; }
if date :value "ge" "date" "year" "9000" { addflag "future"; }
if header :matches ["subject", "from"] "*a*b*c*d*e*f*g*h*i*j*" { set "s" "${1}${2}"; }
if header :regex "subject" "^(a+)+$" { addflag "regex"; }
if size :over 100M { discard; stop; }
keep;
'''


def story(s):
    s.configure()
    s.vmail("migrate")
    s.vmail("user", "add", ALICE)
    s.vmail("user", "add", BOB)
    corpus = s.path("corpus")
    subprocess.run([sys.executable, "-B", SOURCE + "/tests/data/make_malformed.py", corpus],
                   check=True)
    names = sorted(os.listdir(corpus))
    want(len(names) > 50, "the corpus is there", len(names))
    s.deliver(b"Subject: first\n\n", BOB)
    s.write(s.home(BOB) + "/.dovecot.sieve", SCRIPT, 0o600, s.user)

    def deliver(job):
        user, name = job
        # only no input at all is not a message: an MTA always writes at least a header
        path = os.path.join(corpus, name)
        wanted = 0 if os.path.getsize(path) else 75
        with open(path, "rb") as file:
            done = s.deliver(file.read(), user, "-f", "sender@remote.example", status=None)
        if done.status != wanted or "Sanitizer" in done.err or "runtime error" in done.err:
            return "%s for %s: %r" % (name, user, done)
        return None

    s.step("%d messages, without a script and with one" % len(names))
    with ThreadPoolExecutor(2) as pool:
        problems = [p for p in pool.map(deliver, [(u, n) for n in names for u in (ALICE, BOB)]) if p]
    want(not problems, "%d deliveries went wrong" % len(problems), *problems[:10])

    s.step("each has its file and its row")
    empty = sum(os.path.getsize(os.path.join(corpus, name)) == 0 for name in names)
    want_equal(len(messages(s.home(ALICE))), len(names) - empty, "files of alice")
    want_equal(len(messages(s.home(BOB))), len(names) - empty + 1, "files of bob")
    for user in (ALICE, BOB):
        check_rows(s, user, "after the corpus")
        want_equal(leftovers(s.home(user)), [], "nothing is left pending")
        for row in rows_of(s, user):
            want(row["date"] is not None, "a row has its date", row)
            for value in row.values():
                want(not isinstance(value, str) or "\0" not in value, "no NUL in a row", row)
    with open(s.path("log/vmail.log"), encoding="utf-8", errors="replace") as log:
        killed = [line for line in log if "signal" in line or "Sanitizer" in line]
    want_equal(killed, [], "no process died")


if __name__ == "__main__":
    run(story)
