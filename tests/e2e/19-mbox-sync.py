"""mbox users: rows follow what clients do, and is_read from SQL reaches the clients. Deliveries with
flags and keywords go on while Dovecot expunges; in the end all messages and all flags agree."""
import os
import threading

from lib.imapview import seen_by, sync_until_rows_agree
from lib.maildir import row_flags, rows_of
from lib.mails import message, mixed
from lib.servers import Dovecot, Postgres, Watch
from lib.story import run, until, want, want_equal

ALICE = "alice@example.com"
SCRIPT = '''require ["fileinto", "imap4flags", "mailbox", "copy"];
if header :contains "subject" "label" { addflag ["$label1", "work"]; }
if header :contains "subject" "three" { fileinto :copy :create "보관.2025"; fileinto :copy "Sent"; }
'''


def by_id(s):
    return {r["message_id"]: r for r in rows_of(s, ALICE)}


def deliver_many(s, name, count, problems):
    try:
        for number in range(count):
            subject = "%s %d %s" % (name, number, "label three" if number % 3 == 0 else "")
            s.deliver(message(subject, message_id="%s%d@x" % (name, number)), ALICE,
                      "-q", "%s%d" % (name, number))
    except Exception as problem:  # told by the story's own thread
        problems.append(problem)


def agree(s, client, when):
    return sync_until_rows_agree(s, ALICE, client, when)


def story(s):
    postgres = Postgres(s).start()
    s.configure(database=postgres.uri, contacts_from_received="no")
    s.vmail("migrate")
    s.vmail("user", "add", "--format", "mbox", ALICE)
    s.execute("UPDATE virtual_users SET password = '{PLAIN}secret'")
    s.deliver(message("label first", message_id="first@x"), ALICE)
    s.write(s.home(ALICE) + "/.dovecot.sieve", SCRIPT, 0o600, s.user)
    for _, _, mail in mixed(20):
        s.deliver(mail, ALICE)
    dovecot = Dovecot(s, "pgsql").start()
    client, other = dovecot.imap(ALICE), dovecot.imap(ALICE)

    s.step("two clients and the rows agree; keywords of the script are there")
    s.deliver(message("label second", message_id="second@x"), ALICE)
    view = agree(s, client, "at first")
    want_equal(len(view), 22, "messages")
    want_equal([flags for _, mid, flags in view if mid == "second@x"], [["$label1", "work"]],
               "keywords that the script set")
    want_equal(seen_by(other), view, "the other client sees the same")
    want_equal(s.vmail("search", "-u", ALICE, "--format=path", "subject:second").out,
               "%s/mbox\t<second@x>\n" % s.home(ALICE), "what leads to a message in an mbox")

    s.step("flags, keywords, moves and copies: rows follow and keep their ids")
    ids = {mid: r["id"] for mid, r in by_id(s).items()}
    client.select("INBOX")
    client.store("1:6", "+FLAGS", "(\\Seen)")
    client.store("3:4", "+FLAGS", "(\\Flagged \\Answered $Forwarded)")
    client.store("5", "+FLAGS", "(mine)")
    agree(s, client, "after flags")
    client.create("INBOX.Moved")
    client.select("INBOX")
    client._simple_command("MOVE", "7:9", "INBOX.Moved")
    view = agree(s, client, "after a move")
    want_equal(sum(box == "Moved" for box, _, _ in view), 3, "three are in Moved")
    want_equal({mid: r["id"] for mid, r in by_id(s).items()}, ids, "rows keep their ids")
    client.select("INBOX")
    client.copy("1", "INBOX.Moved")
    want_equal(len(agree(s, client, "after a copy")), 23, "a copy is a message of its own")

    s.step("is_read from SQL is carried into the file")
    unread = [r for r in rows_of(s, ALICE) if r["mailbox"] == "INBOX" and not r["is_read"]][:5]
    read = [r for r in rows_of(s, ALICE) if r["mailbox"] == "INBOX" and r["is_read"]][:2]
    for row, state in [(r, "TRUE") for r in unread] + [(r, "FALSE") for r in read]:
        s.execute("UPDATE email_headers SET is_read = %s WHERE id = %d" % (state, row["id"]))
    view = agree(s, client, "after SQL")
    for row, state in [(r, True) for r in unread] + [(r, False) for r in read]:
        want(any(box == "INBOX" and mid == row["message_id"] and ("\\Seen" in flags) == state
                 for box, mid, flags in view), "IMAP shows what the webmail said", row, view)
    before = (view, rows_of(s, ALICE))
    s.vmail("sync", "-u", ALICE)
    want_equal((seen_by(client), rows_of(s, ALICE)), before, "another sync changes nothing")

    s.step("rows are lost and built again from the files alone")
    want_equal(s.vmail("reindex", "-u", ALICE, "--check", status=None).status, 0, "no drift")
    kept = sorted((r["mailbox"], r["file"], r["subject"], r["size"], row_flags(r))
                  for r in rows_of(s, ALICE))
    s.execute("DELETE FROM email_headers")
    s.vmail("reindex", "-u", ALICE)
    want_equal(sorted((r["mailbox"], r["file"], r["subject"], r["size"], row_flags(r))
                      for r in rows_of(s, ALICE)), kept, "all rows as they were")

    s.step("two deliverers, a client that flags and expunges, and vmail sync --watch at once")
    view = seen_by(client)
    problems, expunged = [], 0
    watch = Watch(s).start()
    threads = [threading.Thread(target=deliver_many, args=(s, name, 12, problems))
               for name in ("left", "right")]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        client.select("INBOX")
        client.store("1:3", "+FLAGS", "(\\Flagged)")
        client.store("1", "+FLAGS", "(\\Deleted)")
        # two deletions never leave INBOX without old mail: 12 at most, and counted by what was said
        if expunged < 8:
            expunged += sum(part is not None for part in client.expunge()[1])
        if int(other.select("INBOX.Sent")[1][0]) > 0:
            other.store("1:*", "+FLAGS", "(\\Seen)")
    for thread in threads:
        thread.join()
    want_equal(problems, [], "every delivery went well")
    want(expunged > 0, "something was expunged meanwhile", expunged)
    # a session that is open knows no folder that somebody else made since
    for one in (client, other):
        one.logout()
    client = dovecot.imap(ALICE)
    shown = []

    def caught_up():
        seen = seen_by(client)
        rows = sorted((r["mailbox"], r["message_id"], row_flags(r)) for r in rows_of(s, ALICE))
        shown[:] = [[v for v in seen if v not in rows], [r for r in rows if r not in seen]]
        return seen == rows
    try:
        until(caught_up, "the watch catches up", patience=20)
    except AssertionError:
        want_equal(shown, [[], []], "the watch catches up (only in IMAP, only in rows)")
    watch.stop()
    after = agree(s, client, "in the end")
    want_equal(len(after), len(view) + 24 + 2 * 8 - expunged, "messages in the end")
    for name in ("left", "right"):
        for number in range(12):
            boxes = sorted(box for box, mid, _ in after if mid == "%s%d@x" % (name, number))
            want_equal(boxes, ["INBOX"] + (["Sent", "보관.2025"] if number % 3 == 0 else []),
                       "where %s %d is" % (name, number))
    labels = [flags for box, mid, flags in after if box == "INBOX" and mid in ("left0@x", "right9@x")]
    want(all({"$label1", "work"} <= set(flags) for flags in labels), "keywords stayed", labels)

    s.step("nothing is left behind")
    left = [os.path.join(folder, name) for folder, _, names in os.walk(s.home(ALICE)) for name in names
            if name.endswith(".lock") or "pending" in folder or name.endswith(".tail")]
    want_equal(left, [], "locks and pending files")
    client.logout()
    # a keyword in an mbox that was empty brings its UIDVALIDITY along (docs/transaction.md)
    want_equal([c for c in dovecot.complaints() if "UIDVALIDITY changed" not in c or "/Sent" not in c],
               [], "Dovecot has nothing else to complain about")


if __name__ == "__main__":
    run(story, needs=["root", "vmail", "postgres", "dovecot"])
