"""vmail-lda by hand: what an administrator tries first, and what each exit status means."""
import os

from lib.maildir import check_rows, leftovers, mailboxes, messages, rows_of
from lib.mails import encoded, message
from lib.story import run, want, want_equal

ALICE = "alice@example.com"
SCRIPT = '''require ["fileinto", "imap4flags", "mailbox"];
if address :is "from" "important@example.com" {
  fileinto "INBOX.Important";
}
elsif header :contains "subject" "중요" {
  addflag "\\\\Flagged";
  fileinto :create "보관함/중요";
}
'''


def story(s):
    s.configure()
    s.step("a database is made, and an account")
    s.vmail("migrate")
    s.vmail("user", "add", ALICE)

    s.step("a plain message lands in INBOX, with its row")
    s.deliver(message("Hello", message_id="one@remote.example"), ALICE, "-f", "bob@remote.example")
    inbox = messages(s.home(ALICE), "INBOX")
    want_equal(len(inbox), 1, "one file in INBOX")
    row = rows_of(s, ALICE)[0]
    want_equal((row["subject"], row["mailbox"], bool(row["is_read"]), row["message_id"]),
               ("Hello", "INBOX", False, "one@remote.example"), "the row of the first message")
    want_equal(str(row["date"]).replace("T", " ")[:19], "2024-01-01 18:04:05",
               "the row's date is UTC")
    want(inbox[0].text().startswith("Return-Path: <bob@remote.example>\n"),
         "Return-Path stands on top", inbox[0].text())
    want("\nDelivered-To: alice@example.com\n" in inbox[0].text(), "Delivered-To is there")
    want_equal(os.stat(s.home(ALICE)).st_mode & 0o777, 0o700, "the home is private")

    s.step("the first delivery made Sent and Drafts, and subscribed to them")
    want_equal(mailboxes(s.home(ALICE)), ["Drafts", "INBOX", "Sent"], "mailboxes of a new home")
    with open(s.home(ALICE) + "/subscriptions", encoding="utf-8") as file:
        subscribed = file.read()
    want("Sent" in subscribed and "Drafts" in subscribed, "both are subscribed", subscribed)

    s.step("nobody of that name: status 67, one line that starts with 5.1.1")
    nobody = s.deliver(message("x"), "nobody@example.com", status=67)
    want(nobody.err.startswith("5.1.1 ") and nobody.err.count("\n") == 1,
         "one line with the code and the reason", nobody)
    want("nobody@example.com" in nobody.err, "it names the user", nobody)

    s.step("a disabled account takes no mail either")
    s.vmail("user", "add", "carol@example.com")
    s.vmail("user", "disable", "carol@example.com")
    s.deliver(message("x"), "carol@example.com", status=67)

    s.step("a slip in master.cf bounces nobody's mail: wrong usage is 75, as is no message at all")
    for words in ((), ("--no-such-option",), ("-d",), ("-d", ALICE, "-o", "no_such_key=1")):
        slip = s.run("vmail-lda", *words, status=75)
        want(slip.err.startswith("4.3.5 "), "the code of a broken configuration", slip)
    s.deliver(b"", ALICE, status=75)
    s.step("a person who makes it on a terminal is told by 64 and how it is used")
    typed = s.run("script", "-qec", s.path("bin/vmail-lda"), "/dev/null", status=64)
    want("usage: vmail-lda" in typed.out, "the usage", typed)

    s.step("a database that cannot be opened is 75: the mail stays with Postfix")
    away = s.deliver(message("x"), ALICE, "-o", "database=sqlite:/nonexistent/vmail.db", status=75)
    want(away.err.startswith("4."), "a temporary code", away)

    s.step("--dry-run tells the plan and changes nothing")
    s.write(s.home(ALICE) + "/.dovecot.sieve", SCRIPT, 0o600, s.user)
    before = (messages(s.home(ALICE)).__repr__(), rows_of(s, ALICE))
    plan = s.deliver(message("x", sender="important@example.com"), ALICE, "--dry-run")
    want("Important" in plan.out, "the plan names the mailbox", plan)
    want_equal((messages(s.home(ALICE)).__repr__(), rows_of(s, ALICE)), before, "nothing changed")

    s.step("the script files, makes folders, sets flags")
    s.deliver(message("x", sender="Important <important@example.com>"), ALICE)
    want_equal(len(messages(s.home(ALICE), "Important")), 1, "one message in Important")
    s.deliver(message(encoded("아주 중요합니다", "euc-kr")), ALICE)
    stored = messages(s.home(ALICE), "보관함.중요")
    want_equal([m.letters for m in stored], ["F"], "one flagged message in 보관함.중요",)
    want_equal(stored[0].fresh, False, "a message with flags goes to cur/")
    want_equal([r["subject"] for r in rows_of(s, ALICE) if r["mailbox"] == "보관함.중요"],
               ["아주 중요합니다"], "its row")
    want(os.path.isdir(s.home(ALICE) + "/.&vPStANVo-.&yRHGlA-"), "the folder's name on disk",
         os.listdir(s.home(ALICE)))

    s.step("-m names the mailbox, user+detail is the same user")
    s.deliver(message("to Lists"), ALICE, "-m", "Lists")
    want_equal(len(messages(s.home(ALICE), "Lists")), 1, "one message in Lists")
    s.deliver(message("with detail"), "alice+shop@example.com")
    want("with detail" in [r["subject"] for r in rows_of(s, ALICE)], "it came to alice")

    s.step("a script that is broken costs no message: INBOX, and a log beside it")
    s.write(s.home(ALICE) + "/.dovecot.sieve", "if if if", 0o600, s.user)
    s.deliver(message("despite the script"), ALICE)
    want("despite the script" in [r["subject"] for r in rows_of(s, ALICE)
                                  if r["mailbox"] == "INBOX"], "it is in INBOX")
    want(os.path.exists(s.home(ALICE) + "/.dovecot.sieve.log"), "the log is there",
         os.listdir(s.home(ALICE)))
    os.unlink(s.home(ALICE) + "/.dovecot.sieve")

    s.step("piped twice it comes twice; with a queue id, or --once, once")
    for words, wanted in ((), 2), (("-q", "4XQueueId"), 1), (("--once",), 1):
        subject = " ".join(("twice", *words))
        for _ in range(2):
            s.deliver(message(subject), ALICE, *words)
        want_equal([r["subject"] for r in rows_of(s, ALICE)].count(subject), wanted,
                   "rows after two deliveries " + " ".join(words))

    s.step("a loop is seen and returned: Delivered-To of the same user is there already")
    loop = s.deliver(message("loop", extra=b"Delivered-To: bob@x.example\nX: y\n"
                             b"Delivered-To: alice@example.com\n"), ALICE, status=None)
    want(loop.status not in (0, 75) and loop.err.startswith("5.4.6"), "a loop bounces", loop)

    check_rows(s, ALICE, "at the end")
    want_equal(leftovers(s.home(ALICE)), [], "nothing is left pending")
    with open(s.path("log/vmail.log"), encoding="utf-8") as log:
        want("one@remote.example" in log.read(), "the log names the message")


if __name__ == "__main__":
    run(story)
