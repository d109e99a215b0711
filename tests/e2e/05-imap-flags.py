"""Rows follow IMAP: two clients read, flag, move, delete and append; after each step the rows of
all messages, with all their flags, are what both clients see."""
from lib.imapview import seen_by, sync_until_rows_agree
from lib.maildir import check_rows, rows_of
from lib.mails import message, mixed
from lib.servers import Dovecot, Postgres
from lib.story import run, want, want_equal

ALICE = "alice@example.com"


def agree(s, clients, when):
    """Both clients and the rows tell the same; returns what they tell."""
    view = sync_until_rows_agree(s, ALICE, clients[0], when)
    want_equal(seen_by(clients[1]), view, "%s: both clients see the same" % when)
    check_rows(s, ALICE, when)
    return view


def story(s):
    postgres = Postgres(s).start()
    s.configure(database=postgres.uri)
    s.vmail("migrate")
    s.vmail("user", "add", ALICE)
    s.execute("UPDATE virtual_users SET password = '{PLAIN}secret'")
    mails = list(mixed(24))
    for _, _, mail in mails:
        s.deliver(mail, ALICE)
    dovecot = Dovecot(s, "pgsql").start()
    outlook, phone = dovecot.imap(ALICE), dovecot.imap(ALICE)
    clients = (outlook, phone)
    s.step("24 messages are delivered; two clients log in")
    want_equal(len(agree(s, clients, "at first")), 24, "messages at first")

    s.step("one reads, flags, sets keywords")
    outlook.select("INBOX")
    outlook.store("1:5", "+FLAGS", "(\\Seen)")
    outlook.store("3:4", "+FLAGS", "(\\Flagged \\Answered)")
    outlook.store("2,7", "+FLAGS", "($label1 $Forwarded)")
    view = agree(s, clients, "after flags")
    want_equal(sum("\\Seen" in flags for _, _, flags in view), 5, "five are read")

    s.step("the other takes some back")
    phone.select("INBOX")
    phone.store("1,3", "-FLAGS", "(\\Seen)")
    phone.store("2", "-FLAGS", "($label1)")
    agree(s, clients, "after flags were taken back")

    s.step("one makes a folder and moves mail there, and copies some")
    outlook.create("INBOX.&yRHGlA-")
    outlook.subscribe("INBOX.&yRHGlA-")
    outlook.select("INBOX")
    outlook._simple_command("MOVE", "6:9", "INBOX.&yRHGlA-")
    view = agree(s, clients, "after a move")
    want_equal(sum(box == "중요" for box, _, _ in view), 4, "four are in 중요")

    s.step("one deletes")
    phone.select("INBOX")
    phone.store("1:2", "+FLAGS", "(\\Deleted)")
    phone.expunge()
    view = agree(s, clients, "after an expunge")
    want_equal(len(view), 22, "two are gone")

    s.step("one appends to Sent: mail that no delivery brought")
    outlook.append("INBOX.Sent", "(\\Seen)", None,
                   message("보낸 편지", sender=ALICE, to="Dora <dora@remote.example>",
                           message_id="sent@example.com").replace(b"\n", b"\r\n"))
    view = agree(s, clients, "after an append")
    want_equal([v for v in view if v[0] == "Sent"], [("Sent", "sent@example.com", ["\\Seen"])],
               "the sent message is known, and read")
    row = [r for r in rows_of(s, ALICE) if r["mailbox"] == "Sent"][0]
    want_equal(row["subject"], "보낸 편지", "the row of the sent message is decoded")

    s.step("a webmail marks messages in SQL; the next sync carries it into the files")
    ids = [r["id"] for r in rows_of(s, ALICE) if r["mailbox"] == "INBOX" and not r["is_read"]][:3]
    for number in ids:
        s.execute("UPDATE email_headers SET is_read = TRUE WHERE id = %d" % number)
    s.vmail("sync", "-u", ALICE)
    view = agree(s, clients, "after SQL")
    for number in ids:
        row = s.rows("SELECT * FROM email_headers WHERE id = $1", number)[0]
        want(["\\Seen" in flags for _, mid, flags in view if mid == row["message_id"]] == [True],
             "IMAP shows as read what the webmail marked", row)

    s.step("nothing goes back and forth: another sync changes nothing")
    before = (seen_by(outlook), rows_of(s, ALICE))
    s.vmail("sync", "-u", ALICE)
    want_equal((seen_by(outlook), rows_of(s, ALICE)), before, "all is as it was")

    s.step("a folder is renamed, and one is deleted with what it holds")
    outlook.rename("INBOX.&yRHGlA-", "INBOX.Work")
    agree(s, clients, "after a rename")
    phone.delete("INBOX.Work")
    view = agree(s, clients, "after a folder was deleted")
    want_equal(len(view), 19, "its four messages are gone")
    for client in clients:
        client.logout()
    want_equal(dovecot.complaints(), [], "Dovecot has nothing to complain about")


if __name__ == "__main__":
    run(story, needs=["root", "vmail", "postgres", "dovecot"])
