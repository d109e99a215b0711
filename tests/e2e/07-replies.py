"""What leaves again: vacation, reject, redirect, through a sendmail that only records."""
import os

from lib.maildir import check_rows, messages, rows_of
from lib.mails import encoded, message
from lib.outbox import Outbox
from lib.story import run, want, want_equal

ALICE = "alice@example.com"


def story(s):
    s.configure()
    outbox = Outbox(s)
    s.configure(sendmail_path=outbox.program)
    s.vmail("migrate")
    s.vmail("user", "add", ALICE)
    s.deliver(message("first"), ALICE)

    def script(text):
        s.write(s.home(ALICE) + "/.dovecot.sieve", text, 0o600, s.user)

    def deliver(mail, sender="bob@remote.example", *words, **more):
        return s.deliver(mail, ALICE, "-f", sender, *words, **more)

    def inbox():
        return len(messages(s.home(ALICE), "INBOX"))

    s.step("vacation answers, in Korean, as RFC 3834 and 5230 ask")
    script('require "vacation";\n'
           'vacation :days 3 :subject "휴가 중입니다" "안녕하세요,\n다음 주에 답장 드리겠습니다.\n";\n')
    deliver(message("질문이 있습니다", to=ALICE, message_id="q1@remote.example"))
    (words, raw, reply), = outbox.take()
    want_equal(reply["subject"], "휴가 중입니다", "the subject, decoded")
    want(all(byte < 128 for byte in raw.partition(b"\n\n")[0]), "header fields are ASCII", raw)
    want_equal(reply.get_content().strip().replace("\r\n", "\n"),
               "안녕하세요,\n다음 주에 답장 드리겠습니다.", "the text, decoded")
    want("bob@remote.example" in reply["to"], "it goes to the sender", reply["to"])
    want(ALICE in str(reply["from"]), "it comes from alice", reply["from"])
    want(reply["auto-submitted"].startswith("auto-replied"), "Auto-Submitted", raw)
    want_equal(reply["in-reply-to"], "<q1@remote.example>", "In-Reply-To")
    want("<q1@remote.example>" in reply["references"], "References", raw)
    want(words[-1] == "bob@remote.example", "recipient on sendmail's command line", words)
    want("-f" in words and words[words.index("-f") + 1] in ("", "<>") or "-f<>" in words
         or "-f" + ALICE in words, "an envelope sender is given", words)
    want_equal(inbox(), 2, "the message is kept all the same")

    s.step("it answers a sender once in the period, and others too")
    deliver(message("again", to=ALICE))
    want_equal(outbox.take(), [], "no second answer")
    deliver(message("hi", sender="Dora <dora@remote.example>", to=ALICE), "dora@remote.example")
    want_equal(len(outbox.take()), 1, "dora gets hers")

    s.step("never to lists, bounces, robots, oneself, or when alice is not addressed")
    for mail, sender in (
            (message("list", to=ALICE, extra=b"List-Id: <l.remote.example>\n"), "l@remote.example"),
            (message("bulk", to=ALICE, extra=b"Precedence: bulk\n"), "bulk@remote.example"),
            (message("auto", to=ALICE, extra=b"Auto-Submitted: auto-replied\n"), "r@remote.example"),
            (message("bounce", to=ALICE), ""),
            (message("daemon", to=ALICE), "MAILER-DAEMON@remote.example"),
            (message("owner", to=ALICE), "owner-list@remote.example"),
            (message("self", to=ALICE), ALICE),
            (message("blind", to="others@remote.example"), "blind@remote.example")):
        deliver(mail, sender)
        want_equal([(w, r) for w, r, _ in outbox.take()], [], "no answer to %s" % mail[:200])

    s.step("redirect passes the message on as it is; without keep nothing stays")
    script('redirect "away@remote.example";\n')
    before = inbox()
    mail = message(encoded("전달할 메일", "euc-kr"), "본문\n.\nFrom here\n", message_id="r1@x")
    deliver(mail)
    (words, raw, _), = outbox.take()
    want("away@remote.example" in words, "it goes to the address", words)
    want(raw.endswith(mail), "every byte of it is as it came", raw)
    want_equal(inbox(), before, "it was not kept")

    s.step("redirect with :copy keeps it too")
    script('require "copy"; redirect :copy "away@remote.example";\n')
    deliver(message("copy"))
    want_equal((len(outbox.take()), inbox()), (1, before + 1), "one leaves, one stays")

    s.step("sendmail cannot take it: 75, nothing is stored; the retry does both once")
    outbox.fail(True)
    deliver(message("later"), "bob@remote.example", "-q", "QRETRY", status=75)
    want_equal((outbox.take(), inbox()), ([], before + 1), "nothing happened")
    outbox.fail(False)
    for _ in range(2):
        deliver(message("later"), "bob@remote.example", "-q", "QRETRY")
    want_equal((len(outbox.take()), inbox()), (1, before + 2), "once, after two tries more")

    s.step("reject returns it with a reason (RFC 5429): a report from the null sender")
    script('require "reject"; reject "죄송합니다, 이 주소는 닫혔습니다.";\n')
    deliver(message("rejected", message_id="rej@remote.example"))
    (words, raw, report), = outbox.take()
    want("bob@remote.example" in words, "it goes to the envelope sender", words)
    want("-f" in words and words[words.index("-f") + 1] in ("", "<>") or "-f<>" in words,
         "from the null sender", words)
    want_equal(report.get_content_type(), "multipart/report", "its type")
    parts = list(report.walk())
    want(any("죄송합니다" in part.get_content() for part in parts
             if part.get_content_type() == "text/plain"), "it carries the reason", raw)
    want(any(part.get_content_type() == "message/disposition-notification"
             or part.get_content_type() == "message/delivery-status" for part in parts),
         "it carries the machine's part", raw)
    want_equal(inbox(), before + 2, "it was not kept")
    deliver(message("a bounce is not rejected"), "")
    want_equal(outbox.take(), [], "nothing is sent to the null sender")

    s.step("with -e the MTA does it: status 77, with the reason")
    refused = deliver(message("rejected"), "bob@remote.example", "-e", status=77)
    want(refused.err.startswith("5.7.1 ") and "죄송합니다" in refused.err.splitlines()[0],
         "the reason", refused)
    want_equal(outbox.take(), [], "no message of ours")
    os.unlink(s.home(ALICE) + "/.dovecot.sieve")
    check_rows(s, ALICE, "at the end")
    want(rows_of(s, ALICE), "there are rows")


if __name__ == "__main__":
    run(story)
