"""Power cuts: what a disk may hold after one, and the retry on it.

    power-cut.py --database sqlite --story three
    power-cut.py --database pgsql --format mbox --story keep --points 40
    power-cut.py --filesystem ext4                  (root; loop devices; not in CI)

One delivery is recorded: its writes, names, flushes and what it says to the database server. For each
flush the disk is made as a cut just before and just behind it may leave it (disk.py: every first part of
the unflushed names, unflushed bytes dropped, kept or torn; and the strict reading of POSIX). On each
such disk:

- if the delivery had been acknowledged (status 0) before the cut, its files and rows are there, whole;
- also if it had not: a committed row has all its files;
- then comes the MTA's retry: exactly one whole file and one row per target, nothing pending.

With SQLite the database's files are part of the disk. PostgreSQL is another machine, which did not lose
power: before COMMIT was sent it has no row, after its answer it has, and in between either.

--filesystem makes a real file system on a loop device: the delivery stands still at each call, the device
is copied as it is then, and the retry runs on the copy, after the file system's own recovery.

The summary line: disks made, of them with a committed row, resumed, messages lost, messages doubled.
"""
import argparse
import glob
import itertools
import os
import shutil
import sqlite3
import subprocess

from account import ALICE, Account, PRELOAD, REFUSE
from disk import Disk
from lib.servers import Postgres
from lib.story import Failure, run, want, want_equal

RECORDER = PRELOAD.replace("preload", "recorder")

STORIES = {
    "keep": ("", ["INBOX"]),
    "three": ('require ["fileinto","copy","mailbox"];\n'
              'fileinto :copy :create "A"; fileinto :copy :create "B.C";\n', ["A", "B.C", "INBOX"]),
    "edit": ('require ["editheader","fileinto","copy","mailbox"];\nfileinto :copy :create "A";\n'
             'addheader "X-Seen" "yes";\n', ["A", "INBOX"]),
    "redirect": ('require ["copy"];\nredirect :copy "carol@remote.example";\n', ["INBOX"]),
}
# nothing is there before: home and folders are made
STORIES["new"] = STORIES["three"]
# the recorded delivery is a retry: the first try was killed when its files were out, and the script
# has changed
STORIES["again"] = ('require ["fileinto","copy","mailbox"];\n'
                    'fileinto :create "A"; fileinto :create "D";\n', ["A", "D"])
# the database refuses COMMIT: what was published is taken back
STORIES["refused"] = STORIES["three"]

TABLES = ("email_headers", "deliveries", "sieve_replies", "sieve_duplicates")


class PowerCut(Account):
    def __init__(self, s, options):
        self.options = options
        self.script, self.targets = STORIES[options.story]
        self.flushes = self.made = self.committed_disks = self.resumed = self.lost = self.doubled = 0
        self.number = 2
        self.pgsql = options.database == "pgsql"
        self.ready_root(s)
        keys = {"database": Postgres(s).start().uri} if self.pgsql else {}
        super().__init__(s, options.format, **keys)

    def ready_root(self, s):
        pass

    def prepare(self):
        """Everything up to the delivery that is recorded; number 1 lies there, delivered long ago."""
        if self.options.story == "new":
            self.tell(self.script)
        else:
            for script in {STORIES["three"][0], self.script}:
                self.tell(script)
                self.deliver(1)
                self.s.execute("DELETE FROM deliveries")
            shutil.rmtree(self.home)
            self.s.execute("DELETE FROM email_headers")
            self.tell(self.script)
            self.deliver(0)  # makes the folders
            want_equal(self.deliver(1).status, 0, "a delivery before")
        if self.options.story == "again":
            self.tell(STORIES["three"][0])
            self.deliver_with(99, FAULT_AT="0", FAULT_SET="changes")
            # until all is published and COMMIT is not: the kill that leaves most
            for at in range(self.happened()[1], 0, -1):
                self.deliver_with(self.number, FAULT_AT=str(at), FAULT_DO="kill",
                                  FAULT_SET="changes")
                if not self.committed(self.number):
                    break
                self.deliver(self.number)
                self.number += 1
            want(len(self.files(self.number)) == 3, "the first try published everything")
            self.tell(self.script)
        if self.options.story == "refused":
            self.s.execute(REFUSE[self.options.database][0])

    def cure(self, pgsql):
        """COMMIT is taken again. SQLite's refusal is a part of each disk, PostgreSQL's of the server."""
        if self.options.story == "refused" and self.pgsql == pgsql:
            self.s.execute(REFUSE[self.options.database][1])

    # ---------------------------------------------------------------- the record

    def record(self):
        log = self.s.path("outbox/record")
        disk = Disk(self.s.root)
        if self.pgsql:
            self.save("before")
        ended = self.join(self.start(self.number, {"RECORD_TO": log},
                                     library=self.install(RECORDER)))
        self.acknowledged = ended.status == 0
        want_equal(ended.status, 75 if self.options.story == "refused" else 0,
                   "the recorded delivery, %r" % ended)
        disk.log(log)
        want_equal(disk.journal(len(disk.ops), len(disk.ops), "kept").differs(), [],
                   "the record is complete: it makes what is there")
        self.cure(pgsql=True)
        if self.pgsql:
            self.save("after")
        self.whole = set(self.contents(self.number))
        return disk

    def save(self, when):
        for table in TABLES:
            self.s.execute("CREATE TABLE %s_%s AS SELECT * FROM %s" % (when, table, table))

    def restore(self, when):
        self.s.execute("BEGIN; " + " ".join(
            "DELETE FROM %s; INSERT INTO %s SELECT * FROM %s_%s;" % (t, t, when, t)
            for t in TABLES) + " COMMIT")

    def sides_of_commit(self, disk, cut):
        """What PostgreSQL may have at that instant: rows as before or as after."""
        if self.options.story == "refused":
            return ["before"]
        sent = [i for i, op in enumerate(disk.ops) if op[0] == "send" and b"COMMIT\0" in op[1]]
        want_equal(len(sent), 1, "COMMIT is sent once")
        answered = next(i for i in range(sent[0], len(disk.ops)) if disk.ops[i][0] == "recv")
        return (["before"] if cut <= answered else []) + (["after"] if cut > sent[0] else [])

    # ---------------------------------------------------------------- one disk

    def contents(self, number):
        text = ("This is point %d.\n" % number).encode()
        if self.format == "maildir":
            for _, path in self.messages(number):
                with open(path, "rb") as file:
                    yield file.read()
            return
        for _, path in self.boxes():
            with open(path, "rb") as file:
                for part in file.read().split(b"\n\nFrom "):
                    if text.strip() in part:
                        yield part.split(b"\n", 1)[1].strip()

    def committed_here(self):
        """Asked without touching the disk's own files: reading a log may change it."""
        if self.pgsql:
            return self.committed(self.number)
        copy = self.s.path("outbox/look.db")
        for name in glob.glob(copy + "*"):
            os.unlink(name)
        for suffix in ("", "-wal"):
            if os.path.exists(self.s.root + "/vmail.db" + suffix):
                shutil.copy(self.s.root + "/vmail.db" + suffix, copy + suffix)
        base = sqlite3.connect(copy)
        found = base.execute("SELECT 1 FROM deliveries WHERE queue_id = ?",
                             ("Q%d" % self.number,)).fetchall()
        rows = base.execute("SELECT mailbox FROM email_headers WHERE message_id = ?",
                            ("point-%d@remote.example" % self.number,)).fetchall()
        good = base.execute("PRAGMA integrity_check").fetchall()
        base.close()
        want_equal(good, [("ok",)], "the database is in order")
        if found:
            want_equal(sorted(row[0] for row in rows), self.targets, "the key has its rows")
        return bool(found)

    def check(self, place):
        files, rows = self.files(self.number), self.rows(self.number)
        self.lost += sum(files.count(name) == 0 for name in set(self.targets))
        self.doubled += sum(files.count(name) > 1 for name in set(files))
        want_equal((files, rows), (self.targets, self.targets), "files and rows, " + place)
        if self.acknowledged:
            want_equal(set(self.contents(self.number)) - self.whole, set(),
                       "messages are whole, " + place)
        if self.options.story != "new":
            want(len(self.files(1)) == len(self.targets), "the message of before is there, " + place,
                 self.files(1))

    def look(self, place, acknowledged):
        committed = self.committed_here()
        self.committed_disks += committed
        want(committed or not acknowledged, "an acknowledged delivery is committed, " + place)
        if committed:
            self.check("committed before the retry, " + place)
        elif self.files(self.number):
            self.resumed += 1

    def retry(self, place):
        for when in ("after the retry", "after the second retry"):
            again = self.deliver(self.number)
            want_equal(again.status, 0, "%s, %s: %r" % (when, place, again))
            self.check("%s, %s" % (when, place))
            want_equal(self.leftovers(), [], "nothing is left %s, %s" % (when, place))

    def try_disk(self, disk, place, cut, state):
        state.make(self.s.user)
        self.look(place, self.acknowledged and cut == len(disk.ops))
        self.cure(pgsql=False)
        self.retry(place)
        self.made += 1

    def all(self):
        self.prepare()
        disk = self.record()
        self.flushes = len(disk.flushes())
        seen, plan = set(), []
        for place, cut, state in disk.states():
            sides = self.sides_of_commit(disk, cut) if self.pgsql else [None]
            for side in sides:
                end = cut == len(disk.ops)
                if (state.print(), side, end) not in seen:
                    seen.add((state.print(), side, end))
                    plan.append((place + (", rows as " + side if side else ""), cut, side, state))
        every = max(1.0, len(plan) / (self.options.points or len(plan)))
        chosen = sorted({int(i * every) for i in range(int(len(plan) / every))} | {len(plan) - 1})
        for place, cut, side, state in (plan[i] for i in chosen):
            if side:
                self.restore(side)
            self.try_disk(disk, place, cut, state)
        want(self.flushes >= 2 and self.made >= min(8, self.options.points or 8),
             "there were flushes to cut at", self.flushes, self.made)
        if self.options.story != "refused":
            want(self.committed_disks > 0, "some disks have the commit", self.committed_disks)

    def summary(self):
        print("power cut %s %s %s: %d disks at %d flushes, %d with the commit, %d resumed, %d lost, "
              "%d doubled" % (self.options.database, self.options.format, self.options.story,
                              self.made, self.flushes, self.committed_disks, self.resumed,
                              self.lost, self.doubled), flush=True)


class RealPowerCut(PowerCut):
    """The same on a real file system, whose device is copied while the delivery stands still."""

    SIZE_MB = {"ext4": 24, "xfs": 320, "btrfs": 128}

    def ready_root(self, s):
        self.image = s.path("image")
        with open(self.image, "wb") as image:
            image.truncate(self.SIZE_MB[self.options.filesystem] << 20)
        made = subprocess.run(["mkfs." + self.options.filesystem, "-q", self.image],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        want_equal(made.returncode, 0, "a file system is made: %r" % made.stdout)
        self.mount_on(s, self.image)
        s.servers.append(self)

    def stop(self):
        while subprocess.run(["umount", self.s.root], stderr=subprocess.DEVNULL,
                             check=False).returncode == 0:
            pass

    def mount_on(self, s, image):
        self.s = s
        done = subprocess.run(["mount", "-o", "loop", image, s.root], stderr=subprocess.PIPE,
                              check=False)
        if done.returncode != 0:
            raise Failure("no loop device: " + done.stderr.decode())
        if s.user:
            shutil.chown(s.root, s.user, s.user)

    def age(self):
        """So long it takes until the machine is up and the MTA tries again."""
        for folder, _, files in os.walk(self.s.root):
            for name in files:
                os.utime(os.path.join(folder, name), (self.began - 600, self.began - 600))

    def all(self):
        self.prepare()
        number = self.number
        copy, stopped = self.s.path("copy"), True
        for at in itertools.count(1):
            if not stopped:
                break
            self.number = number + at  # each a message of its own
            subprocess.run(["sync", "-f", self.s.root], check=True)
            process = self.start(self.number, {"FAULT_AT": str(at), "FAULT_DO": "stop",
                                               "FAULT_SET": "changes"})
            stopped = self.wait_stopped(process)
            what = self.happened()[0]
            subprocess.run(["cp", "--sparse=always", self.image, copy], check=True)
            if self.pgsql:
                committed = self.committed(self.number)
            if stopped:
                process.kill()
            ended = self.join(process)
            subprocess.run(["umount", self.s.root], check=True)
            self.mount_on(self.s, copy)
            self.acknowledged = False  # there is no whole message to compare with
            place = "cut at " + (what or "the end")
            if self.pgsql:
                want_equal(self.committed(self.number), committed, "the server did not lose power")
            self.look(place, ended.status == 0)
            self.age()
            self.retry(place)
            self.made += 1
            subprocess.run(["umount", self.s.root], check=True)
            os.replace(copy, self.image)
            self.mount_on(self.s, self.image)
        want(self.made >= 20, "there were calls to cut at", self.made)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["sqlite", "pgsql"], default="sqlite")
    parser.add_argument("--format", choices=["maildir", "mbox"], default="maildir")
    parser.add_argument("--story", choices=sorted(STORIES), default="keep")
    parser.add_argument("--points", type=int, default=0)
    parser.add_argument("--filesystem", choices=sorted(RealPowerCut.SIZE_MB))
    options = parser.parse_args()

    def story(s):
        if not os.path.exists(RECORDER):
            raise Failure("the recorder must lie beside FAULT_PRELOAD")
        cut = (RealPowerCut if options.filesystem else PowerCut)(s, options)
        try:
            cut.all()
        finally:
            cut.summary()

    run(story, needs=(["postgres"] if options.database == "pgsql" else []) +
        (["root"] if options.filesystem else []))


if __name__ == "__main__":
    main()
