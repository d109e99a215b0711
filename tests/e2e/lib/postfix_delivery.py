"""The main job, told once for both databases: Postfix takes mail over SMTP and pipes it to vmail-lda."""
import collections

from lib.maildir import check_rows, leftovers, messages, rows_of
from lib.mails import message, mixed
from lib.servers import Postfix
from lib.story import until, want, want_equal

ALICE, BOB, CAROL = "alice@example.com", "bob@example.com", "carol@example.com"
COUNT = 200

# one rule for each kind of mail that lib.mails makes
SCRIPT = '''require ["fileinto", "imap4flags", "copy", "mailbox"];
if header :contains "subject" "중요한 공지" {
    fileinto "INBOX.Important";
} elsif header :contains "subject" "会議のお知らせ" {
    fileinto :create "会議";
} elsif header :contains "subject" "선언 없는" {
    addflag "\\\\Seen";
} elsif header :contains "subject" "Größere Änderungen" {
    fileinto :copy "Übersicht";
} elsif header :matches "subject" "Plain *" {
    discard;
}
'''


def prepare(s):
    """Accounts, an alias to nowhere, alice's script."""
    s.vmail("migrate")
    for user in (ALICE, BOB, CAROL):
        s.vmail("user", "add", user)
    s.execute("INSERT INTO virtual_aliases (source, destination) "
              "VALUES ('former@example.com', 'ghost@example.com')")
    if not s.rows("SELECT name FROM virtual_domains"):
        s.execute("INSERT INTO virtual_domains (name) VALUES ('example.com')")
    # a home exists from the first delivery on; ManageSieve would have made it as well
    s.deliver(message("first"), ALICE)
    s.write(s.home(ALICE) + "/.dovecot.sieve", SCRIPT, 0o600, s.user)


def expected(mails):
    """What alice's, bob's and carol's mailboxes must hold: a count of (user, mailbox, subject)."""
    wanted = collections.Counter({(ALICE, "INBOX", "first"): 1})
    for number, (subject, _, _) in enumerate(mails):
        row = subject[:255]  # the column's width
        if "#" in subject and number % 3 != 2:
            wanted[(BOB if number % 3 else CAROL, "INBOX", row)] += 1
        if "중요한 공지" in subject:
            wanted[(ALICE, "Important", row)] += 1
        elif "会議" in subject:
            wanted[(ALICE, "会議", row)] += 1
        elif "Größere" in subject:
            wanted[(ALICE, "INBOX", row)] += 1
            wanted[(ALICE, "Übersicht", row)] += 1
        elif not subject.startswith("Plain"):
            wanted[(ALICE, "INBOX", row)] += 1
    return wanted


def recipients(number):
    """Every message goes to alice; two of three to somebody else too, in the same SMTP dialogue."""
    return [ALICE] + ([[CAROL], [BOB], []][number % 3])


def check_all(s, mails, when):
    found = collections.Counter()
    for user in (ALICE, BOB, CAROL):
        for row in rows_of(s, user):
            found[(user, row["mailbox"], row["subject"])] += 1
        check_rows(s, user, when)
        want_equal(leftovers(s.home(user)), [], "%s: nothing is left pending" % when)
    wanted = expected(mails)
    want_equal((dict(wanted - found), dict(found - wanted)), ({}, {}),
               "%s: each message once, where the script wants it (missing, too many)" % when)


def complaints(log):
    """Warnings of Postfix that would be ours; a clock that jumps between disk and host is not."""
    ours = ("warning:", "fatal:", "panic:", "error:")
    excused = ("clock", "time warp", "future")
    return [line for line in log.splitlines()
            if any(word in line for word in ours) and not any(word in line for word in excused)]


def tell(s, lookups, database_away, database_back):
    """@database_away(), @database_back(): make the story's database fail and work again."""
    postfix = Postfix(s, lookups).start()
    mails = list(mixed(COUNT))

    s.step("%d messages in Korean, Japanese, German… over SMTP" % COUNT)
    refused = postfix.inject(("sender@remote.example", recipients(number), mail)
                             for number, (_, _, mail) in enumerate(mails))
    want_equal(refused, {}, "no recipient is refused")
    postfix.wait_empty()
    s.step("files = rows, subjects decoded, the script obeyed")
    check_all(s, mails, "after %d messages" % COUNT)
    seen = [r for r in rows_of(s, ALICE) if "선언 없는" in r["subject"]]
    want_equal({bool(r["is_read"]) for r in seen}, {True}, "what the script marked is read")
    with_files = {subject[:255]: attached for subject, attached, _ in mails}
    want_equal([r["subject"] for r in rows_of(s, BOB)
                if bool(r["has_attachment"]) != with_files[r["subject"]]], [],
               "has_attachment is right in every row")
    want_equal(complaints(postfix.log_text()), [], "Postfix has nothing to complain about")

    s.step("an unknown user is refused at the door")
    refused = postfix.inject([(BOB, [ALICE, "nobody@example.com"], message("to nobody"))])
    want_equal(list(refused), ["nobody@example.com"], "only the unknown one is refused")

    s.step("one that an alias leads to is bounced, with our sentence")
    postfix.inject([(BOB, ["former@example.com"], message("to a former user"))])
    postfix.wait_empty()
    bounce = until(lambda: [m for m in messages(s.home(BOB)) if "Undelivered Mail" in m.text()],
                   "bob gets the bounce")[0].text()
    want("Diagnostic-Code" in bounce and "Status: 5.1.1" in bounce, "it says 5.1.1", bounce)
    want("ghost@example.com" in bounce and "user" in bounce.split("Diagnostic-Code", 1)[1],
         "it carries our sentence", bounce)
    want(bounce.startswith("Return-Path: <>\n"), "bounces come from the null sender", bounce)

    s.step("vmail-lda alone cannot reach its database: deferred with 4.3.0 and the reason")

    right = dict(s.keys)
    s.configure(**{**right, "database": "sqlite:%s/away.db" % s.root, "database_timeout": "2s"})
    postfix.inject([("sender@remote.example", [BOB], message("waits %d" % n)) for n in range(5)])
    until(lambda: len(postfix.queue_ids("deferred")) == 5 and not postfix.queue_ids("active"),
          "five messages are deferred")
    log = postfix.log_text()
    want("dsn=4.3." in log and "away.db" in log, "Postfix logs our sentence", log[-3000:])
    s.configure(**right)
    postfix.wait_empty()
    want_equal(sorted(r["subject"] for r in rows_of(s, BOB) if r["subject"].startswith("waits")),
               ["waits %d" % n for n in range(5)], "each of them once")

    s.step("the database fails while mail comes in: what Postfix took waits in its queue")
    late = [("Late %03d" % n, message("Late %03d" % n, message_id="late%d@x" % n))
            for n in range(60)]
    # alice alone: her script leaves them in INBOX
    if lookups == "sqlite":  # Postfix only reads: a writer's lock does not keep it from taking mail
        database_away()
    postfix.inject(("sender@remote.example", [ALICE], mail) for _, mail in late)
    if lookups != "sqlite":
        database_away()
    until(lambda: not postfix.queue_ids("incoming", "active"), "each was tried")
    waiting = len(postfix.queue_ids("deferred"))
    s.step("%d of %d wait; the database comes back, postqueue -f delivers each exactly once"
           % (waiting, len(late)))
    database_back()
    postfix.wait_empty()
    want_equal(sorted(r["subject"] for r in rows_of(s, ALICE) if r["subject"].startswith("Late ")),
               [subject for subject, _ in late], "each message that Postfix took, once")

    for user in (ALICE, BOB, CAROL):
        check_rows(s, user, "at the end")
        want_equal(leftovers(s.home(user)), [], "at the end nothing is left pending")
