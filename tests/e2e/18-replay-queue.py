"""vmail replay beside Postfix: what waits in its queue, and old mail in files, comes by hand; each once.

Postfix tries the same messages before, meanwhile and afterwards."""
import json
import os
import shutil
import signal
import subprocess
import threading

from lib import postfix_delivery
from lib.maildir import check_rows, leftovers, messages, rows_of
from lib.mails import message
from lib.postfix_delivery import ALICE, BOB, CAROL
from lib.servers import Postfix, Postgres
from lib.story import PATIENCE, run, until, want, want_equal

AS_ROOT = {"user": None, "group": None, "extra_groups": None}  # the queue is Postfix's and root's
REMOTE = "sender@remote.example"


def replay(s, *words, status=0):
    return s.vmail("replay", *words, status=status, **AS_ROOT)


def summary(result):
    """The summary of --json."""
    return json.loads(result.out.splitlines()[-1])


def counts(result):
    found = summary(result)
    return {name: found[name] for name in ("delivered", "before", "skipped", "failed")}


def subjects(s, user, start):
    return sorted(r["subject"] for r in rows_of(s, user) if r["subject"].startswith(start))


class Queue:
    """Mail that waits in Postfix, because vmail-lda's database is away."""

    def __init__(self, s, postfix):
        self.s, self.postfix = s, postfix
        self.right = dict(s.keys)
        self.config = ("--postfix-config", postfix.config)

    def fill(self, mails, wanted):
        self.s.configure(**{**self.right, "database": "sqlite:%s/away.db" % self.s.root,
                            "database_timeout": "2s"})
        self.postfix.inject(mails)
        until(lambda: len(self.postfix.queue_ids("deferred")) == wanted
              and not self.postfix.queue_ids("active"), "%d messages are deferred" % wanted)

    def database_back(self):
        self.s.configure(**self.right)

    def flushed(self):
        """Only what is on hold is left."""
        self.postfix.flush()
        return not self.postfix.queue_ids("maildrop", "incoming", "active", "deferred")

    def replay(self, *words, status=0):
        return replay(self.s, *self.config, *words, status=status)


def by_hand(s, queue):
    s.step("the database is away: what Postfix takes is deferred")
    odd = message("waits odd", "*** HEADER EXTRACTED x ***\nFrom here\n.\n..\n안녕 no end")
    queue.fill([(REMOTE, [ALICE], odd),
                (REMOTE, ["Alice@Example.COM"], message("waits capitals")),
                ("", [BOB], message("waits bounce")),
                (REMOTE, [ALICE, BOB, CAROL], message("waits three")),
                (REMOTE, ["bob+shop@example.com"], message("waits detail")),
                (REMOTE, [CAROL], message("waits last"))], 6)
    ids = sorted(queue.postfix.queue_ids("deferred"))

    s.step("a replay now delivers nothing and says why, message by message")
    report = s.path("report.txt")
    early = queue.replay("-q", "ALL", "--report", report, status=75)
    want("8 not delivered, 8 of them may be later" in early.out, "the summary", early)
    with open(report, encoding="utf-8") as file:
        lines = file.read().splitlines()
    want_equal(len(lines), 8, "a line for each delivery")
    want(all("away.db" in line for line in lines), "the reason", lines)
    queue.database_back()

    s.step("who may not read the queue is told, an unknown id too")
    refused = s.vmail("replay", *queue.config, "-q", ids[0], status=75)
    want("ermission denied" in refused.err, "postcat's reason", refused)
    queue.replay("-q", "NOSUCHID", status=75)

    s.step("--dry-run tells and changes nothing")
    dry = queue.replay("-q", "ALL", "--dry-run", "--json")
    want_equal(counts(dry), {"delivered": 8, "before": 0, "skipped": 0, "failed": 0}, "dry run")
    want_equal([subjects(s, user, "waits") for user in (ALICE, BOB, CAROL)], [[], [], []], "no row")

    s.step("by id, then all; the second time there is nothing to do")
    first = summary(queue.replay("-q", ids[0], "--json"))["delivered"]
    want(first in (1, 3), "the recipients of one message", first)
    rest = queue.replay("-q", "ALL", "-j", "4", "--json")
    want_equal(counts(rest), {"delivered": 8 - first, "before": first, "skipped": 0, "failed": 0},
               "the others")
    again = queue.replay("-q", "ALL")
    want(again.out.startswith("nothing to deliver: 8 delivered before"), "it says so", again)

    s.step("the files belong to the owner of the store, the message is as Postfix would bring it")
    stored = [m for m in messages(s.home(ALICE)) if b"waits odd" in m.bytes()][0]
    want_equal(os.stat(stored.path).st_uid, os.stat(s.root).st_uid, "owner")
    text = stored.text()
    want(text.startswith("Return-Path: <%s>\n" % REMOTE) and "\nReceived: from client" in text,
         "header", text)
    want(text.endswith("\n\n*** HEADER EXTRACTED x ***\nFrom here\n.\n..\n안녕 no end\n"), "body", text)

    s.step("a queue file that was saved is known by its name, a torn one is not believed")
    saved = s.path(ids[0])
    for root, _, files in os.walk(queue.postfix.queue + "/deferred"):
        if ids[0] in files:
            shutil.copy(os.path.join(root, ids[0]), saved)
    want_equal(counts(queue.replay(saved, "--json"))["before"], first, "delivered before")
    with open(saved, "rb") as file:
        whole = file.read()
    # postcat has nothing to say when it is cut between two records
    for cut, reason in (2, "its end is missing"), (len(whole) // 2, "unexpected EOF"):
        with open(s.path("TORN99"), "wb") as file:
            file.write(whole[:-cut])
        torn = queue.replay(s.path("TORN99"), status=75)
        want(reason in torn.err, "the reason", torn)

    s.step("Postfix tries again: it hears success, and nothing comes twice")
    until(queue.flushed, "the queue is empty", patience=PATIENCE * 2, pause=0.5)
    wanted = {ALICE: ["capitals", "odd", "three"], BOB: ["bounce", "detail", "three"],
              CAROL: ["last", "three"]}
    for user, words in wanted.items():
        want_equal(subjects(s, user, "waits"), ["waits " + word for word in words], user)
        check_rows(s, user, "after the flush")


def at_once(s, queue):
    s.step("Postfix and two replays at once; what is on hold stays")
    postfix = queue.postfix
    queue.fill([(REMOTE, [ALICE], message("race %02d" % n)) for n in range(20)]
               + [(REMOTE, [BOB], message("held"))], 21)
    held = [i for i in postfix.queue_ids("deferred")
            if b"Subject: held" in subprocess.run(
                ["/usr/sbin/postcat", "-c", postfix.config, "-hq", i], stdout=subprocess.PIPE,
                check=True).stdout][0]
    subprocess.run(["/usr/sbin/postsuper", "-c", postfix.config, "-h", held], check=True,
                   stderr=subprocess.DEVNULL)
    queue.database_back()
    results = []
    threads = [threading.Thread(target=lambda: results.append(
        queue.replay("-q", "ALL", "-j", "3", "--json"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    postfix.flush()
    for thread in threads:
        thread.join()
    want_equal([summary(result)["failed"] for result in results], [0, 0], "nothing fails")
    want(any("on hold" in result.out for result in results), "the held one is named", results)
    until(queue.flushed, "only what is held stays", patience=PATIENCE * 2, pause=0.5)
    want_equal(subjects(s, ALICE, "race"), ["race %02d" % n for n in range(20)], "each once")
    want_equal(subjects(s, BOB, "held"), [], "not what is held")
    want_equal(counts(queue.replay("-q", held, "--json"))["delivered"], 1, "by its id")


def live_maildir(s):
    s.step("a Maildir with folders, flags and keywords, while mail moves from new/ to cur/")
    old = s.path("old")
    for folder in ("", ".Sent", ".&yRHGlA-"):
        for sub in ("new", "cur", "tmp"):
            os.makedirs("%s/%s/%s" % (old, folder, sub))
    with open(old + "/.Sent/dovecot-keywords", "w", encoding="utf-8") as file:
        file.write("0 work\n")

    def put(path, subject):
        with open("%s/%s" % (old, path), "wb") as file:
            file.write(message(subject, message_id=subject.replace(" ", "") + "@x"))
    for number in range(150):
        put("new/%d.M1P1.host" % number, "old new %03d" % number)
    put(".Sent/cur/1.M1P1.host:2,RSa", "old sent")
    put(".&yRHGlA-/cur/2.M1P1.host:2,", "old important")
    put("cur/7.M2P1.host:2,FS", "old read")
    os.mkfifo(old + "/cur/8.M1P1.fifo")
    os.symlink("/etc/passwd", old + "/cur/9.M1P1.link")

    def client():
        """Reads one message after the other, as Dovecot would."""
        for number in range(149, -1, -1):
            for source, target in (("new/%d.M1P1.host", "cur/%d.M1P1.host:2,"),
                                   ("cur/%d.M1P1.host:2,", "cur/%d.M1P1.host:2,S")):
                os.rename(os.path.join(old, source % number), os.path.join(old, target % number))
    reader = threading.Thread(target=client)
    reader.start()
    live = replay(s, "-u", CAROL, "-j", "2", "--json", old)
    reader.join()
    want_equal(counts(live), {"delivered": 153, "before": 0, "skipped": 2, "failed": 0}, "all")
    want("is a FIFO" in live.out and "is a symbolic link" in live.out, "the reasons", live)
    want_equal(subjects(s, CAROL, "old new"), ["old new %03d" % n for n in range(150)], "each once")
    rows = {r["subject"]: r for r in rows_of(s, CAROL)}
    want_equal([rows["old " + what]["mailbox"] for what in ("sent", "important", "read")],
               ["Sent", "중요", "INBOX"], "each in its folder")
    want_equal([bool(rows["old " + what]["is_read"]) for what in ("sent", "important", "read")],
               [True, False, True], "read or not")
    want_equal(sorted(rows["old sent"]["flags"].split()), ["\\Answered", "work"], "flags")
    second = replay(s, "-u", CAROL, "--json", old)
    want_equal(counts(second), {"delivered": 0, "before": 153, "skipped": 2, "failed": 0}, "again")


def interrupted(s):
    s.step("interrupted by ^C, then killed, then run to its end: each once")
    source = s.path("many")
    os.mkdir(source)
    for number in range(400):
        with open("%s/%04d.eml" % (source, number), "wb") as file:
            file.write(message("many %04d" % number, body="x" * 2000 + "\n"))
    command = [s.path("bin/vmail"), "replay", "-u", BOB, "-j", "2", source]

    def started():
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                start_new_session=True)

    def stop(process, number):
        if process.poll() is None:
            os.killpg(process.pid, number)

    def count():
        return len(subjects(s, BOB, "many"))
    process = started()
    until(lambda: count() > 5 or process.poll() is not None, "some are delivered")
    stop(process, signal.SIGINT)
    out = process.communicate(timeout=PATIENCE)[0].decode()
    if process.returncode != 0:  # else it was quicker than we
        want_equal(process.returncode, 75, "status: " + out)
        want("interrupted; run it again" in out, "it says so", out)
    before = count()
    process = started()
    until(lambda: count() > before or process.poll() is not None, "some more are delivered")
    stop(process, signal.SIGKILL)
    process.communicate()
    replay(s, "-u", BOB, "-j", "3", source)
    last = replay(s, "-u", BOB, source)
    want("nothing to deliver: 400 delivered before" in last.out, "the last run", last)
    want_equal(subjects(s, BOB, "many"), ["many %04d" % n for n in range(400)], "each once")


def story(s):
    postgres = Postgres(s).start()
    s.configure(database=postgres.uri, database_timeout="10s")
    postfix_delivery.prepare(s)
    queue = Queue(s, Postfix(s, "pgsql").start())
    by_hand(s, queue)
    at_once(s, queue)
    live_maildir(s)
    interrupted(s)
    for user in (ALICE, BOB, CAROL):
        check_rows(s, user, "at the end")
        # a spool that a kill left is nobody's message; the sweep takes it when it is old
        want_equal([name for name in leftovers(s.home(user)) if "/spool." not in name], [],
                   "nothing is left pending")


if __name__ == "__main__":
    run(story, needs=["root", "vmail", "postgres", "postfix"])
