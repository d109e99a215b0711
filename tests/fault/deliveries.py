"""Deliveries that are killed, or whose system calls fail, and the retry that the MTA would make.

    deliveries.py --do kill   --database sqlite --format maildir --story three
    deliveries.py --do errors --database pgsql  --format mbox    --story vacation --points 20
    deliveries.py --do kill   --story three --between move
    deliveries.py --do race   --story keep

--do kill: SIGKILL before the Nth call that changes something, for every N until the delivery ends by
itself. --do twice: the retry is killed too, and then its retry is made. --do errors: the Nth call
fails, in turn with each of EIO, ENOSPC, EDQUOT, EINTR, EMFILE, ENOMEM and a short write. --do race: at
the Nth call the delivery stands still, another process delivers the same message, or another one to
the same user; then the first goes on, or is killed.

--between: what happens between the kill and the retry. script: the user's script changes; read, move,
copy, delete: a mail client does that to a file in a Maildir (move: into another folder under another
name, as IMAP does); dovecot: a real Dovecot does each of these in turn; refuse: the database refuses
COMMIT in the try and takes it in the retry.

After each: the retry; then exactly one file and one row per target, nothing pending, and the right
number of messages sent. --points N takes N of the points, evenly spread; without it, all of them.

The summary line: points tried, deliveries that failed as they should, messages lost, messages doubled.
"""
import argparse
import itertools
import os
import shutil
import time

from account import ALICE, Account, REFUSE
from lib import maildir
from lib.servers import Dovecot, Postgres
from lib.story import Failure, run, until, want, want_equal

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
    # two contents: what is kept and what is filed differ
    "edit": ('require ["editheader","fileinto","copy","mailbox"];\nfileinto :copy :create "A";\n'
             'addheader "X-Seen" "yes";\n', ["INBOX", "A"], 0, 0),
}
# the same, and the account is new each time: home and folders are made
STORIES["new"] = STORIES["three"]

# what the script is when it changed between the try and the retry
OTHER_SCRIPT = 'require ["fileinto","mailbox"];\nfileinto :create "A"; fileinto :create "D";\n'
OTHER_TARGETS = ["A", "D"]

CLIENTS = ("read", "move", "copy", "delete")


class Counts:
    tried = failed = lost = doubled = early = resumed = 0
    exact = 0       # sends: exactly one


class Faults(Account):
    def __init__(self, s, options):
        self.options = options
        self.script, self.targets, self.least, self.most = STORIES[options.story]
        self.counts = Counts()
        self.number = 0
        self.copied = False     # a client made a copy of what was published
        keys = {}
        if options.database == "pgsql":
            keys["database"] = Postgres(s).start().uri
        if options.do == "race":
            keys.update(database_timeout="1s", lock_timeout="1s")
        super().__init__(s, options.format, **keys)
        self.deliver(self.next())
        self.tell(self.script)
        if options.between in CLIENTS:
            self.make_folder(".Moved")
        self.client = None
        if options.between == "dovecot":
            dovecot = Dovecot(s, options.database).start()
            s.execute("UPDATE virtual_users SET password = '{PLAIN}secret'")
            self.client = dovecot.imap(ALICE)
            self.client.create("INBOX.Moved")

    def next(self):
        self.number += 1
        return self.number

    # ---------------------------------------------------------------- between try and retry

    def make_folder(self, name):
        for sub in ("", "/cur", "/new", "/tmp"):
            path = os.path.join(self.home, name) + sub
            os.mkdir(path, 0o700)
            if self.s.user:
                shutil.chown(path, self.s.user, self.s.user)

    def client_of_files(self, what, number):
        """What Dovecot does with a Maildir, done to the first file that is published."""
        path = self.messages(number)[0][1]
        folder, name = os.path.split(path)
        base = name.partition(":2,")[0]
        cur = os.path.join(os.path.dirname(folder), "cur")
        moved = os.path.join(self.home, ".Moved/cur", "moved-%d.M1.mail:2,S" % number)
        if what == "read":
            os.rename(path, os.path.join(cur, base + ":2,FS"))
        elif what == "move":
            os.link(path, moved)
            os.unlink(path)
        elif what == "copy":
            os.link(path, moved)
        else:
            os.unlink(path)

    def client_of_dovecot(self, what, number):
        client = self.client
        found, answers = [], []
        for mailbox in (["INBOX"] + ["INBOX." + t for t in self.targets if t != "INBOX"]):
            answers.append(client.select(mailbox))
            if answers[-1][0] != "OK":
                continue  # the folder is not there yet
            found = client.uid("search", None, "HEADER", "Message-ID",
                               "point-%d@remote.example" % number)[1][0].split()
            if found:
                break
        want(len(found) == 1, "Dovecot finds what is published once", found, answers,
             self.files(number))
        answers = {
            "read": lambda: client.uid("store", found[0], "+FLAGS", "(\\Seen \\Flagged)"),
            "move": lambda: client.uid("move", found[0], "INBOX.Moved"),
            "copy": lambda: client.uid("copy", found[0], "INBOX.Moved"),
            "delete": lambda: (client.uid("store", found[0], "+FLAGS", "(\\Deleted)"),
                               client.expunge())[1],
        }[what]()
        want_equal(answers[0], "OK", "Dovecot does %s" % what)

    def between(self, number):
        """Something happens; the mailboxes that the retry must bring about."""
        what = self.options.between
        self.copied = False
        if what == "script":
            self.tell(OTHER_SCRIPT)
            return OTHER_TARGETS
        if what == "refuse":
            self.s.execute(REFUSE[self.options.database][1])
        wanted = sorted(self.targets)
        if what not in CLIENTS + ("dovecot",) or not self.files(number):
            return wanted
        if what == "dovecot":
            what = CLIENTS[number % len(CLIENTS)]
            self.client_of_dovecot(what, number)
        else:
            self.client_of_files(what, number)
        self.copied = what == "copy"
        if what == "move":
            # the user has decided: the message of that target belongs there now
            before = self.files(number)
            missing = [t for t in wanted if t not in before]
            wanted = sorted(set(wanted) - set(missing[:1]) | {"Moved"})
        return wanted

    def back(self):
        """As it was before the try."""
        if self.options.story == "new":
            shutil.rmtree(self.home)
            self.tell(self.script)
            self.s.execute("DELETE FROM email_headers")
        if self.options.between == "script":
            self.tell(self.script)
        if self.options.between == "refuse":
            self.s.execute(REFUSE[self.options.database][0])

    # ---------------------------------------------------------------- one point

    def check(self, number, place, wanted=None, tidy=True):
        wanted = sorted(self.targets if wanted is None else wanted)
        files, rows = self.files(number), self.rows(number)
        if self.copied and len(files) > len(wanted):
            files.remove("Moved")  # the user's own copy
        elif self.copied and "Moved" in files:
            # It stands for a target that was not published yet: a copy looks like one that was moved.
            # In an mbox, for the original, which was cut back with the append that broke off.
            wanted = sorted(set(wanted) - set([t for t in wanted if t not in files][:1]) | {"Moved"})
        self.counts.lost += sum(files.count(name) == 0 for name in set(wanted))
        self.counts.doubled += sum(files.count(name) > 1 for name in set(files))
        want_equal((files, rows), (wanted, wanted), "files and rows after the retry of %s" % place)
        if tidy:
            self.check_tidy(place)
        if self.options.between == "script":
            return
        sent = self.sent(number)
        self.counts.exact += sent == 1
        want(self.least <= sent <= self.most,
             "%d to %d messages sent after the retry of %s" % (self.least, self.most, place), sent)

    def check_committed(self, number, place, files):
        """Delivered before: the retry leaves everything as the user has it now."""
        want_equal(self.files(number), files, "files after the retry of %s (committed)" % place)
        want_equal(self.rows(number), sorted(self.targets),
                   "rows after the retry of %s (committed)" % place)
        self.check_tidy(place)

    def check_tidy(self, place):
        left = self.leftovers()
        if self.options.format == "mbox":
            # a message that was committed needs no lock any more: that of the killed process is for
            # the next one to find stale (whole)
            left = [path for path in left if not path.endswith(".lock")]
        want_equal(left, [], "nothing is left after the retry of %s" % place)

    def retry(self, number, place):
        committed = self.committed(number)
        published = bool(self.files(number))
        wanted = self.between(number)
        files = self.files(number)
        for lock in self.locks():  # the MTA tries again minutes later
            os.utime(lock, (0, 0))
        again = self.deliver(number)
        want(again.status == 0, "the retry of %s succeeds" % place, again)
        once_more = self.deliver(number)
        want(once_more.status == 0, "a second retry of %s succeeds" % place, once_more)
        if committed and self.options.between:
            self.check_committed(number, place, files)
        else:
            self.counts.resumed += published
            self.check(number, place, wanted)

    def total(self, which):
        for _ in range(2):  # the first one makes the folders
            self.back()
            number = self.next()
            first = self.deliver_with(number, FAULT_AT="0", FAULT_SET=which)
            want(first.status == 0, "the delivery without a fault succeeds", first)
            self.check(number, "the delivery without a fault")
        _, total = self.happened()
        want(total is not None and total > 10, "more than ten points are seen", total)
        return total

    def points(self, total):
        """The points to try: all, or as many as asked for, evenly spread."""
        wanted = self.options.points or total
        step = max(1.0, total / wanted)
        return sorted({1 + int(i * step) for i in range(min(wanted, total))})

    def kill_at(self, number, at):
        """The fault as reported; empty when the delivery ended before."""
        ended = self.deliver_with(number, FAULT_AT=str(at), FAULT_DO="kill", FAULT_SET="changes")
        what, _ = self.happened()
        if what:
            want_equal(ended.status, -9, "killed at " + what)
        return what

    def enough(self, what):
        want(self.counts.tried >= min(10, self.options.points or 10),
             "%s were really visited" % what, self.counts.tried)

    def kill(self):
        if self.options.between != "refuse":
            total = self.total("changes")
        else:
            self.deliver(self.next())
            self.back()
            ended = self.deliver_with(self.next(), FAULT_AT="0", FAULT_SET="changes")
            want_equal(ended.status, 75, "a refused COMMIT defers")
            want_equal((self.files(self.number), self.rows(self.number)), ([], []),
                       "nothing is visible after a refused COMMIT")
            total = self.happened()[1]
            self.s.execute(REFUSE[self.options.database][1])
        for at in self.points(total) + ([] if self.options.points else [total + 1, total + 2]):
            number = self.next()
            self.back()
            what = self.kill_at(number, at)
            self.counts.tried += bool(what)
            self.retry(number, "kill at %s" % (what or at))
        self.tell(self.script)
        self.enough("kill points")
        if self.options.between:
            want(self.counts.resumed > 0, "some deliveries were published and not committed")

    def twice(self):
        """Every pair of points would be their square: the second point runs through all of them
        once for each seventh of the first."""
        total = self.total("changes")
        second = itertools.cycle(range(1, total + 1, 1 if self.options.points else 3))
        for at in self.points(total):
            for _ in range(1 if self.options.points else max(1, total // 7)):
                self.back()
                number = self.next()
                what = self.kill_at(number, at)
                then = self.kill_at(number, next(second) * 5 % total + 1)
                self.counts.tried += bool(what) + bool(then)
                self.retry(number, "kill at %s, then at %s" % (what or at, then or "its end"))
        self.enough("kill points")

    def fail(self):
        total = self.total("all")
        kinds = itertools.cycle(KINDS)
        plan = [(at, kind) for at in self.points(total) for kind in
                ([next(kinds)] if self.options.points else KINDS)]
        for at, kind in plan:
            self.back()
            number = self.next()
            started = time.monotonic()
            ended = self.deliver_with(number, FAULT_AT=str(at), FAULT_DO=kind, FAULT_SET="all")
            what, _ = self.happened()
            if time.monotonic() - started > 10:
                print("%.1f s: %s at %s" % (time.monotonic() - started, kind, what), flush=True)
            if not what:
                continue
            place = "%s at %s" % (kind, what)
            self.counts.tried += 1
            want(ended.status in (0, 75), "status 0 or 75: " + place, ended)
            files, rows = self.files(number), self.rows(number)
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
                self.check(number, place + " (which did not fail the delivery)", tidy=False)
            self.retry(number, place)
        self.enough("errors")

    def race_at(self, at, same, killed):
        self.back()
        first = self.next()
        second = first if same else self.next()
        process = self.start(first, {"FAULT_AT": str(at), "FAULT_DO": "stop",
                                     "FAULT_SET": "changes"})
        stopped = self.wait_stopped(process)
        what, _ = self.happened()
        place = "%s at %s beside %s" % ("kill" if killed else "stop", what or at,
                                        "itself" if same else "another")
        meanwhile = self.deliver(second)
        if stopped and killed:
            process.kill()
        elif stopped:
            self.go_on(process)
        ended = self.join(process)
        self.counts.tried += stopped
        want(meanwhile.status in (0, 75), "the other delivery is made or deferred: " + place,
             meanwhile)
        want(ended.status in ((-9,) if stopped and killed else (0, 75)),
             "the delivery that stood still is made or deferred: " + place, ended)
        self.counts.failed += (ended.status == 75) + (meanwhile.status == 75)
        for number in {first, second}:
            self.deliver(number)
        for number in {first, second}:
            self.retry(number, place)

    def race(self):
        total = self.total("changes")
        ways = itertools.cycle([(True, False), (False, True), (True, True), (False, False)])
        for at in self.points(total):
            for same, killed in [next(ways) for _ in range(1 if self.options.points else 4)]:
                self.race_at(at, same, killed)
        self.enough("races")

    def synced(self):
        self.s.vmail("sync", "-u", ALICE)
        if self.options.format == "maildir":
            try:
                maildir.check_rows(self.s, ALICE, "after sync")
            except Failure:  # it leaves out files of the last two seconds
                return False
        return True

    def whole(self):
        """At the end all files and all rows, of every point, agree."""
        if self.options.between:
            until(self.synced, "vmail sync brings the rows to what the client did", pause=0.5)
        if self.options.format == "maildir":
            maildir.check_rows(self.s, ALICE, "at the end")
        last = self.deliver(self.next())
        want_equal(last.status, 0, "one more delivery, %r" % last)
        want_equal(self.locks(), [], "no lock is left behind that delivery")
        for path in self.leftovers(spools=True):  # the sweep spares what is young
            os.utime(path, (0, 0))
        self.s.vmail("doctor", "--repair", status=None)
        want_equal(self.leftovers(spools=True), [], "nothing is left after vmail doctor --repair")

    def summary(self):
        c = self.counts
        print("%s %s %s %s%s: %d points tried, %d resumed, %d deferred, %d in doubt until the "
              "retry, %d lost, %d doubled"
              % (self.options.do, self.options.database, self.options.format, self.options.story,
                 " " + self.options.between if self.options.between else "", c.tried, c.resumed,
                 c.failed, c.early, c.lost, c.doubled), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--do", choices=["kill", "twice", "errors", "race"], required=True)
    parser.add_argument("--database", choices=["sqlite", "pgsql"], default="sqlite")
    parser.add_argument("--format", choices=["maildir", "mbox"], default="maildir")
    parser.add_argument("--story", choices=sorted(STORIES), default="keep")
    parser.add_argument("--between", choices=["script", *CLIENTS, "dovecot", "refuse"])
    parser.add_argument("--points", type=int, default=0)
    options = parser.parse_args()
    if options.format == "mbox" and options.between in CLIENTS:
        parser.error("what a client does with an mbox is left to Dovecot: --between dovecot")

    def story(s):
        faults = Faults(s, options)
        try:
            {"kill": faults.kill, "twice": faults.twice, "errors": faults.fail,
             "race": faults.race}[options.do]()
            faults.whole()
        finally:
            faults.summary()

    run(story, needs=(["postgres"] if options.database == "pgsql" else []) +
        (["root", "dovecot", "vmail"] if options.between == "dovecot" else []))


if __name__ == "__main__":
    main()
