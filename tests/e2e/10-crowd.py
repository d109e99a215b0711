"""A crowd: many IMAP clients at random while mail is delivered, rows are synced and clients die.

At the end files = IMAP = rows, and every message that nobody deleted is there once."""
import os
import random
import socket
import threading
import time

from lib.imapview import seen_by, sync_until_rows_agree
from lib.maildir import check_rows, leftovers
from lib.mails import message
from lib.servers import Dovecot, Postgres
from lib.story import run, want, want_equal

ALICE = "alice@example.com"
CLIENTS = int(os.environ.get("VMAIL_CROWD", "8"))
SECONDS = float(os.environ.get("VMAIL_CROWD_SECONDS", "12"))  # the long form: 20 and 120
DATABASE = os.environ.get("VMAIL_CROWD_DATABASE", "pgsql")  # or sqlite
BOXES = ["INBOX", "INBOX.Sent", "INBOX.Drafts", "INBOX.Work"]
FLAGS = ["\\Seen", "\\Flagged", "\\Answered", "$label1", "$Junk"]


class Crowd:
    def __init__(self, s, dovecot):
        self.s, self.dovecot = s, dovecot
        self.until = time.monotonic() + SECONDS
        self.lock = threading.Lock()
        self.born, self.deleted, self.moved, self.doubtful = set(), set(), set(), set()
        self.problems = []
        self.done = {"delivered": 0, "commands": 0, "killed": 0, "synced": 0}

    def more(self):
        return time.monotonic() < self.until and not self.problems

    def guard(self, work, *words):
        try:
            work(*words)
        except Exception as problem:
            with self.lock:
                self.problems.append("%s: %r" % (work.__name__, problem))

    def deliver(self, number):
        count = 0
        while self.more():
            mid = "d%d.%d@remote.example" % (number, count)
            self.s.deliver(message("delivered", message_id=mid), ALICE)
            with self.lock:
                self.born.add(mid)
                self.done["delivered"] += 1
            count += 1

    def sync(self):
        while self.more():
            self.s.vmail("sync", "-u", ALICE)
            self.done["synced"] += 1

    def client(self, number):
        dice = random.Random(number)
        client = self.dovecot.imap(ALICE)
        count = 0
        while self.more():
            count += 1
            self.done["commands"] += 1
            if dice.random() < 0.01:  # the phone goes into a tunnel
                client.sock.shutdown(socket.SHUT_RDWR)
                client = self.dovecot.imap(ALICE)
                self.done["killed"] += 1
            client.select(dice.choice(BOXES))
            uids = client.uid("SEARCH", "ALL")[1][0].split()
            if not uids:
                continue
            some = b",".join(dice.sample(uids, min(len(uids), dice.randint(1, 4)))).decode()
            what = dice.random()
            if what < 0.55:
                client.uid("STORE", some, dice.choice("+-") + "FLAGS.SILENT",
                           "(%s)" % dice.choice(FLAGS))
            elif what < 0.75:
                self.note(client, some, self.moved)
                client.uid("MOVE", some, dice.choice(BOXES))
            elif what < 0.85:
                self.delete(client, some)
            else:
                mid = "a%d.%d@example.com" % (number, count)
                with self.lock:
                    self.doubtful.add(mid)  # until the server has answered
                answer, _ = client.append(dice.choice(BOXES[1:3]), "(\\Seen)", None,
                                          message("appended", sender=ALICE, message_id=mid)
                                          .replace(b"\n", b"\r\n"))
                if answer == "OK":
                    with self.lock:
                        self.doubtful.discard(mid)
                        self.born.add(mid)
                else:
                    print("APPEND of %s: %s" % (mid, answer))
        client.logout()

    def note(self, client, uids, book):
        """Writes down which messages it is about to touch."""
        answer = client.uid("FETCH", uids, "(BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")[1]
        ids = {part[1].decode().split("<")[1].split(">")[0]
               for part in answer if isinstance(part, tuple) and b"<" in part[1]}
        with self.lock:
            book |= ids

    def delete(self, client, uids):
        self.note(client, uids, self.deleted)
        client.uid("STORE", uids, "+FLAGS.SILENT", "(\\Deleted)")
        client.uid("EXPUNGE", uids)


def story(s):
    if DATABASE == "pgsql":
        s.configure(database=Postgres(s).start().uri)
    else:
        s.configure()
    s.vmail("migrate")
    s.vmail("user", "add", ALICE)
    s.execute("UPDATE virtual_users SET password = '{PLAIN}secret'")
    s.deliver(message("first", message_id="first@x"), ALICE)
    dovecot = Dovecot(s, DATABASE).start()
    first = dovecot.imap(ALICE)
    first.create("INBOX.Work")
    first.logout()

    s.step("%d clients, two deliverers, one sync, for %d s" % (CLIENTS, SECONDS))
    crowd = Crowd(s, dovecot)
    crowd.born.add("first@x")
    threads = [threading.Thread(target=crowd.guard, args=(crowd.client, n)) for n in range(CLIENTS)]
    threads += [threading.Thread(target=crowd.guard, args=(crowd.deliver, n)) for n in range(2)]
    threads += [threading.Thread(target=crowd.guard, args=(crowd.sync,))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    s.step("all are gone: %s" % ", ".join("%d %s" % (n, what) for what, n in crowd.done.items()))
    want(not crowd.problems, "nobody met an error", *crowd.problems[:5])
    want(crowd.done["delivered"] > 0 and crowd.done["synced"] > 0 and crowd.done["commands"] > 20,
         "something happened at all", crowd.done)

    s.step("files = IMAP = rows")
    client = dovecot.imap(ALICE)
    seen_by(client)  # Dovecot settles what is in new/
    view = sync_until_rows_agree(s, ALICE, client, "after the crowd")
    check_rows(s, ALICE, "after the crowd")
    want_equal(leftovers(s.home(ALICE)), [], "nothing is left pending")

    s.step("no message is lost, none is doubled")
    ids = [mid for _, mid, _ in view]
    # Two clients that move one message at the same time can make two or none of it: MOVE is copy and
    # expunge. That is between Dovecot and them (it happens without vmail sync too).
    want_equal(sorted(crowd.born - crowd.deleted - crowd.moved - set(ids)), [], "messages lost")
    want_equal(sorted({mid for mid in ids if ids.count(mid) > 1} - crowd.moved), [],
               "messages doubled")
    want_equal(sorted(set(ids) - crowd.born - crowd.doubtful), [], "messages from nowhere")
    client.logout()


if __name__ == "__main__":
    run(story, needs=["root", "vmail", "postgres", "dovecot"])
