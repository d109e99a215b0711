"""vmail sync --watch: rows follow as it happens, whatever dies meanwhile."""
import os

from lib.imapview import seen_by
from lib.maildir import check_rows, row_flags, rows_of
from lib.mails import message, mixed
from lib.servers import Dovecot, Postgres, Watch
from lib.story import run, until, want, want_equal

ALICE = "alice@example.com"


def story(s):
    postgres = Postgres(s).start()
    s.configure(database=postgres.uri, database_timeout="5s")
    s.vmail("migrate")
    s.vmail("user", "add", ALICE)
    s.execute("UPDATE virtual_users SET password = '{PLAIN}secret'")
    for _, _, mail in mixed(40):
        s.deliver(mail, ALICE)
    dovecot = Dovecot(s, "pgsql").start()
    client = dovecot.imap(ALICE)
    watch = Watch(s).start()
    shown = []

    def agree():
        view = seen_by(client)
        rows = sorted((r["mailbox"], r["message_id"], row_flags(r)) for r in rows_of(s, ALICE))
        shown[:] = [[v for v in view if v not in rows], [r for r in rows if r not in view]]
        return view == rows

    def follow(what):
        s.step("rows follow: " + what)
        try:
            until(agree, what)
        except AssertionError:
            want_equal(shown, [[], []], "rows follow %s (only in IMAP, only in rows)" % what)
            raise

    follow("what was there before")
    client.select("INBOX")
    for number in range(1, 41):  # one command each: as many events
        client.store(str(number), "+FLAGS.SILENT", "(\\Seen)" if number % 2 else "(\\Flagged)")
    follow("forty changes of flags, one after the other")
    client.create("INBOX.Later")
    client.select("INBOX")
    client._simple_command("MOVE", "1:10", "INBOX.Later")
    follow("a new folder, and messages moved into it")
    client.append("INBOX.Sent", "(\\Seen)", None,
                  message("sent", sender=ALICE, message_id="sent@example.com")
                  .replace(b"\n", b"\r\n"))
    follow("a message appended to Sent")
    client.select("INBOX.Later")
    client.store("1:5", "+FLAGS.SILENT", "(\\Deleted)")
    client.expunge()
    follow("messages deleted")

    s.step("a webmail marks a message in SQL: the file follows at once")
    row = [r for r in rows_of(s, ALICE) if r["mailbox"] == "INBOX" and not r["is_read"]][0]
    s.execute("UPDATE email_headers SET is_read = TRUE WHERE id = %d" % row["id"])
    until(lambda: ("INBOX", row["message_id"], sorted(["\\Seen", *row_flags(row)]))
          in seen_by(client), "IMAP shows it as read")

    postgres.kill()
    client.select("INBOX")
    client.store("1:3", "+FLAGS.SILENT", "($label1)")
    postgres.start()
    want(watch.running(), "the daemon outlives the database")
    follow("what happened while the database was down")
    watch.kill()
    client.select("INBOX")
    client.store("4:6", "+FLAGS.SILENT", "($label2)")
    watch.start()
    follow("what happened while nobody watched")

    s.step("a delivery in between is not disturbed")
    s.deliver(message("late", message_id="late@x"), ALICE)
    follow("a delivery")
    client.logout()
    check_rows(s, ALICE, "at the end")
    watch.stop()
    want(os.path.exists(s.home(ALICE)), "the mail is where it was")


if __name__ == "__main__":
    run(story, needs=["root", "vmail", "postgres", "dovecot"])
