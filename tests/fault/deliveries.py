"""Deliveries that are killed, or whose system calls fail, and the retry that the MTA would make.

    deliveries.py --do kill   --database sqlite --format maildir --story three
    deliveries.py --do errors --database pgsql  --format mbox    --story vacation --points 20

--do kill: SIGKILL before the Nth call that changes something, for every N until the delivery ends by
itself. --do errors: the Nth call fails, in turn with each of EIO, ENOSPC, EDQUOT, EINTR, EMFILE,
ENOMEM and a short write. After each: the retry; then exactly one file and one row per target, nothing
pending, and the right number of messages sent. --points N takes N of the points, evenly spread;
without it, all of them.

The summary line: points tried, deliveries that failed as they should, messages lost, messages doubled.
"""
import argparse
import glob
import itertools
import mailbox
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))

from lib import maildir                                              # noqa: E402
from lib.mails import message                                        # noqa: E402
from lib.servers import Postgres                                     # noqa: E402
from lib.story import Failure, run, want, want_equal                 # noqa: E402

ALICE = "alice@example.com"
PRELOAD = os.environ.get("FAULT_PRELOAD", "")
KINDS = ("EIO", "ENOSPC", "EDQUOT", "EINTR", "EMFILE", "ENOMEM", "short")

# name: (script, mailboxes that get the message, sent at least, sent at most)
STORIES = {
    "keep": ("", ["INBOX"], 0, 0),
    "three": ('require ["fileinto","copy","mailbox"];\n'
              'fileinto :copy :create "A"; fileinto :copy :create "B.C";\n', ["INBOX", "A", "B.C"],
              0, 0),
    # at least once: between the MTA's yes and our mark a kill makes a second copy
    "redirect": ('require ["copy"];\nredirect :copy "carol@remote.example";\n', ["INBOX"], 1, 2),
    # at most once: between COMMIT and the hand-over a kill loses the answer
    "vacation": ('require ["vacation"];\nvacation "I am away.";\n', ["INBOX"], 0, 1),
}

SENDMAIL = """#!/bin/sh
file=$(mktemp %s/XXXXXXXX) && cat > "$file" && mv "$file" "$file.eml"
"""


class Counts:
    tried = failed = lost = doubled = early = 0
    exact = 0       # sends: exactly one


class Faults:
    """One account, one script; every point has a message, a sender and a queue id of its own."""

    def __init__(self, s, options):
        self.s = s
        self.options = options
        self.script, self.targets, self.least, self.most = STORIES[options.story]
        self.counts = Counts()
        self.number = 0
        self.report = s.path("outbox/report")
        self.outbox = s.path("outbox")
        os.mkdir(self.outbox)
        os.chmod(self.outbox, 0o777)
        keys = {"mail_format": options.format, "database_timeout": "3s",
                "sendmail_path": s.write("bin/sendmail", SENDMAIL % self.outbox, 0o755)}
        if options.database == "pgsql":
            keys["database"] = Postgres(s).start().uri
        s.configure(**keys)
        s.vmail("migrate")
        s.vmail("user", "add", ALICE)
        s.deliver(message("first of all"), ALICE)
        if self.script:
            s.write(s.home(ALICE) + "/.dovecot.sieve", self.script, 0o600, s.user)
        self.preload = os.path.join(s.path("libexec"), os.path.basename(PRELOAD))
        s.run("cp", PRELOAD, self.preload, user=0, group=0, status=0)
        os.chmod(self.preload, 0o755)

    def deliver(self, number, faults=None):
        mail = message("point %d" % number, body="This is point %d.\n" % number, to=ALICE,
                       message_id="point-%d@remote.example" % number)
        words = ("-q", "Q%d" % number, "-f", "sender-%d@remote.example" % number)
        if faults is None:
            return self.s.deliver(mail, ALICE, *words, status=None)
        if os.path.exists(self.report):
            os.unlink(self.report)
        program = os.path.join(self.s.path("libexec"), "vmail-lda")
        return self.s.run(program, "-c", self.s.config, "-d", ALICE, *words, input=mail, env={
            "LD_PRELOAD": self.preload, "FAULT_REPORT": self.report, "LC_ALL": "C.UTF-8",
            "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0", **faults})

    def happened(self):
        """(what the report says of the fault, calls counted in all or None when it did not end)."""
        try:
            with open(self.report, encoding="utf-8", errors="replace") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            return "", None
        ends = [int(line.split()[1]) for line in lines if line.startswith("end ")]
        return next((l for l in lines if not l.startswith("end ")), ""), ends[0] if ends else None

    # ---------------------------------------------------------------- what is there

    def files(self, number):
        """Mailboxes in which the message of that point lies, sorted, with repetition."""
        text = ("This is point %d.\n" % number).encode()
        home = self.s.home(ALICE)
        if self.options.format == "maildir":
            return sorted(m.mailbox for m in maildir.messages(home) if text in m.bytes())
        found = []
        for path in [home + "/mbox"] + glob.glob(home + "/mail/**", recursive=True):
            if os.path.isfile(path) and not os.path.basename(path).startswith("."):
                name = ("INBOX" if path == home + "/mbox"
                        else os.path.relpath(path, home + "/mail").replace("/", "."))
                with open(path, "rb") as file:
                    if not file.read(5) == b"From ":
                        continue
                box = mailbox.mbox(path, create=False)
                found += [name for key in box.keys() if text in box.get_bytes(key)]
                box.close()
        return sorted(found)

    def rows(self, number):
        rows = self.s.rows("SELECT mailbox FROM email_headers WHERE message_id = $1",
                           "point-%d@remote.example" % number)
        return sorted(row["mailbox"] for row in rows)

    def sent(self, number):
        mark = ("point-%d@remote.example" % number).encode()
        count = 0
        for path in glob.glob(self.outbox + "/*.eml"):
            with open(path, "rb") as file:
                count += mark in file.read()
        return count

    def leftovers(self, spools=False):
        """What a finished delivery leaves nowhere. Without @spools: a spool of a process that was
        killed before it knew its key is nobody's to resume; the sweep takes it."""
        home = self.s.home(ALICE)
        return [path for path in maildir.leftovers(home)
                if spools or not os.path.basename(path).startswith("spool.")
                ] + glob.glob(home + "/**/*.lock", recursive=True)

    # ---------------------------------------------------------------- one point

    def check(self, number, place, tidy=True):
        wanted = sorted(self.targets)
        files, rows = self.files(number), self.rows(number)
        self.counts.lost += sum(files.count(name) == 0 for name in set(wanted))
        self.counts.doubled += sum(files.count(name) > 1 for name in set(files))
        want_equal((files, rows), (wanted, wanted), "files and rows after the retry of %s" % place)
        if tidy:
            want_equal(self.leftovers(), [], "nothing is left after the retry of %s" % place)
        sent = self.sent(number)
        self.counts.exact += sent == 1
        want(self.least <= sent <= self.most,
             "%d to %d messages sent after the retry of %s" % (self.least, self.most, place), sent)

    def retry(self, number, place):
        again = self.deliver(number)
        want(again.status == 0, "the retry of %s succeeds" % place, again)
        once_more = self.deliver(number)
        want(once_more.status == 0, "a second retry of %s succeeds" % place, once_more)
        self.check(number, place)

    def total(self, which):
        self.number += 1
        first = self.deliver(self.number, {"FAULT_AT": "0", "FAULT_SET": which})
        want(first.status == 0, "the delivery without a fault succeeds", first)
        self.check(self.number, "the delivery without a fault")
        _, total = self.happened()
        want(total is not None and total > 10, "more than ten points are seen", total)
        return total

    def points(self, total):
        """The points to try: all, or as many as asked for, evenly spread."""
        wanted = self.options.points or total
        step = max(1.0, total / wanted)
        return sorted({1 + int(i * step) for i in range(min(wanted, total))})

    def kill(self):
        total = self.total("changes")
        for at in self.points(total) + ([] if self.options.points else [total + 1, total + 2]):
            self.number += 1
            ended = self.deliver(self.number, {"FAULT_AT": str(at), "FAULT_DO": "kill",
                                               "FAULT_SET": "changes"})
            what, _ = self.happened()
            place = "kill at %s" % (what or at)
            if what:
                want_equal(ended.status, -9, "killed: " + place)
                self.counts.tried += 1
            self.retry(self.number, place)
        want(self.counts.tried >= min(10, self.options.points or 10),
             "kill points were really visited", self.counts.tried)

    def fail(self):
        total = self.total("all")
        kinds = itertools.cycle(KINDS)
        plan = [(at, kind) for at in self.points(total) for kind in
                ([next(kinds)] if self.options.points else KINDS)]
        for at, kind in plan:
            self.number += 1
            started = time.monotonic()
            ended = self.deliver(self.number, {"FAULT_AT": str(at), "FAULT_DO": kind,
                                               "FAULT_SET": "all"})
            what, _ = self.happened()
            if time.monotonic() - started > 10:
                print("%.1f s: %s at %s" % (time.monotonic() - started, kind, what), flush=True)
            if not what:
                continue
            place = "%s at %s" % (kind, what)
            self.counts.tried += 1
            want(ended.status in (0, 75), "status 0 or 75: " + place, ended)
            files, rows = self.files(self.number), self.rows(self.number)
            if ended.status == 75:
                self.counts.failed += 1
                want(ended.err[:2] == "4." and ended.err.count("\n") == 1,
                     "one line that starts with a code: " + place, ended)
                if rows or files:
                    # only a COMMIT whose answer was lost may leave something: it says so
                    want("COMMIT" in ended.err or "commit" in ended.err,
                         "nothing is visible after " + place, files, rows, ended)
                    self.counts.early += 1
            else:
                # a leftover that could not be removed after COMMIT waits for the sweep
                self.check(self.number, place + " (which did not fail the delivery)", tidy=False)
            self.retry(self.number, place)
        want(self.counts.tried >= min(10, self.options.points or 10),
             "errors were really injected", self.counts.tried)

    def whole(self):
        """At the end all files and all rows, of every point, agree."""
        if self.options.format == "maildir":
            maildir.check_rows(self.s, ALICE, "at the end")
        for path in self.leftovers(spools=True):  # the sweep spares what is young
            os.utime(path, (0, 0))
        self.s.vmail("doctor", "--repair", status=None)
        want_equal(self.leftovers(spools=True), [], "nothing is left after vmail doctor --repair")

    def summary(self):
        c = self.counts
        print("%s %s %s %s: %d points tried, %d deferred, %d in doubt until the retry, %d lost, "
              "%d doubled" % (self.options.do, self.options.database, self.options.format,
                              self.options.story, c.tried, c.failed, c.early, c.lost, c.doubled),
              flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--do", choices=["kill", "errors"], required=True)
    parser.add_argument("--database", choices=["sqlite", "pgsql"], default="sqlite")
    parser.add_argument("--format", choices=["maildir", "mbox"], default="maildir")
    parser.add_argument("--story", choices=sorted(STORIES), default="keep")
    parser.add_argument("--points", type=int, default=0)
    options = parser.parse_args()

    def story(s):
        if not os.path.exists(PRELOAD):
            raise Failure("FAULT_PRELOAD must name the preloaded library")
        faults = Faults(s, options)
        try:
            (faults.kill if options.do == "kill" else faults.fail)()
            faults.whole()
        finally:
            faults.summary()

    run(story, needs=["postgres"] if options.database == "pgsql" else [])


if __name__ == "__main__":
    main()
