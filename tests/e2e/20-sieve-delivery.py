"""What Sieve asks its host and what it makes it do, through real deliveries, on both databases: the address
book, memory, site scripts, includes, programs, edited messages, reports, notifications, DSN."""
import glob
import os
import shutil

from lib.maildir import check_rows, leftovers, messages, rows_of
from lib.mails import message
from lib.outbox import Outbox
from lib.servers import Postgres
from lib.story import is_root, run, want, want_equal

ALICE = "alice@example.com"
BOB, CAROL, DORA = "bob@remote.example", "carol@remote.example", "dora@remote.example"

EXTENSIONS = ("+editheader +vnd.dovecot.pipe +vnd.dovecot.filter +vnd.dovecot.execute "
              "+vnd.dovecot.report +imapflags +notify")
PROGRAMS = {
    # one line for each run, then what came in
    "note": '#!/bin/sh\n{ echo "run $# $1 $SENDER $RECIPIENT $HOME"; cat; } >> %s/noted\n',
    "upper": "#!/bin/sh\ntr a-z A-Z\n",
    "say": "#!/bin/sh\necho \"$1 $(cat)\"\n",
    "no": "#!/bin/sh\necho no >&2\nexit 3\n",
    "later": "#!/bin/sh\nexit 75\n",
    "plain": "no program\n",
    "slow": "#!/bin/sh\nexec sleep 60\n",
}


class Mailbox:
    """Alice, her script, and what became of a message."""

    def __init__(self, s):
        self.s = s
        self.home = s.home(ALICE)
        self.number = 0

    def script(self, text, name=".dovecot.sieve"):
        path = os.path.join(self.home, name)
        if not os.path.isdir(os.path.dirname(path)):
            os.mkdir(os.path.dirname(path))
            if self.s.user:
                shutil.chown(os.path.dirname(path), self.s.user, self.s.user)
        self.s.write(path, text, 0o600, self.s.user)

    def log(self):
        with open(self.s.path("log/vmail.log"), encoding="utf-8") as log:
            return log.read()

    def deliver(self, mail=None, *words, sender=BOB, **more):
        """The mailboxes that got it, and what the log says about it."""
        self.number += 1
        if mail is None:
            mail = message("number %d" % self.number, sender="<%s>" % sender, to=ALICE,
                           message_id="m%d@remote.example" % self.number)
        before = messages(self.home)
        logged = len(self.log())
        self.s.deliver(mail, ALICE, "-f", sender, *words, **more)
        old = {m.path for m in before}
        self.new = [m for m in messages(self.home) if m.path not in old]
        self.said = self.log()[logged:]
        return sorted(m.mailbox for m in self.new)

    def want(self, boxes, *arguments, **more):
        want_equal(self.deliver(*arguments, **more), boxes, "where it went; the log: %s" % self.said)


def address_book(s, box, outbox):
    s.step("the address book: anybody in it, a group, redirect to a group")
    s.vmail("contacts", "-u", ALICE, "add", BOB, "Bob")
    s.vmail("contacts", "-u", ALICE, "add", CAROL, "Carol")
    s.vmail("contacts", "-u", ALICE, "group", "add", "친구", CAROL)
    box.script('''require ["extlists", "fileinto", "envelope", "variables"];
if address :list "from" ":addrbook:친구" { fileinto "Friends"; }
elsif envelope :list "from" "urn:ietf:params:sieve:addrbook:default" { fileinto "Known"; }
else { fileinto "Later"; }''')
    box.want(["Friends"], sender=CAROL)
    box.want(["Friends"], message("x", sender="Carol <CAROL@Remote.example>"), sender=BOB)
    box.want(["Known"], sender=BOB)
    box.want(["Later"], sender=DORA)
    box.script('require "extlists"; if not valid_ext_list ":addrbook:nobody" { discard; }')
    box.want([])
    box.script('require ["extlists", "copy"]; redirect :copy :list ":addrbook:친구";')
    box.want(["INBOX"])
    want_equal([w[-1] for w, _, _ in outbox.take()], [CAROL], "the group's one member")


def memory(s, box, outbox):
    s.step("duplicate and vacation are remembered by the delivery's own transaction")
    box.script('''require ["duplicate", "copy", "fileinto"];
if duplicate { fileinto "Again"; } else { redirect :copy "away@remote.example"; }''')
    mail = message("once", message_id="dup@remote.example")
    outbox.fail(True)
    box.want([], mail, "-q", "QDUP", status=75)
    want_equal(s.rows("SELECT count(*) AS n FROM sieve_duplicates")[0]["n"], 0,
               "a delivery that failed leaves no mark")
    outbox.fail(False)
    box.want(["INBOX"], mail, "-q", "QDUP")
    want_equal(s.rows("SELECT count(*) AS n FROM sieve_duplicates")[0]["n"], 1, "one mark")
    box.want([], mail, "-q", "QDUP")  # the MTA's retry is the same delivery
    box.want(["Again"], mail, "-q", "QOTHER")
    want_equal(len(outbox.take()), 1, "one redirect in all of this")
    box.script('require "vacation"; vacation "away";')
    for number, sender in enumerate((BOB, BOB, CAROL)):
        box.want(["INBOX"], sender=sender)
        want_equal(len(outbox.take()), [1, 0, 1][number], "replies to message %d" % number)
    want_equal(s.rows("SELECT count(*) AS n FROM sieve_replies")[0]["n"], 2, "two are remembered")
    s.execute("UPDATE sieve_replies SET expires_at = '2001-01-01 00:00:00'")
    box.want(["INBOX"])
    want_equal(len(outbox.take()), 1, "after the period bob gets one again")


def sequences(s, box, outbox):
    s.step("site scripts before and after, in order; a default script; includes of both kinds")
    site = s.path("site")
    for folder in ("before", "after", "global"):
        os.makedirs(os.path.join(site, folder), exist_ok=True)
    s.write(site + "/before/20.sieve", 'require ["imap4flags"]; addflag "second"; keep;')
    s.write(site + "/before/10.sieve", 'require ["fileinto", "imap4flags", "copy"]; '
            'if header :contains "x-virus" "yes" { fileinto "Virus"; stop; } addflag "first";')
    s.write(site + "/before/30.txt", "nonsense")
    s.write(site + "/after/10.sieve", 'require ["fileinto"]; fileinto "After";')
    s.write(site + "/default.sieve", 'require "fileinto"; fileinto "Default";')
    s.write(site + "/global/shared.sieve", 'require ["fileinto", "variables"]; global "place"; '
            'fileinto "${place}";'.replace('"variables"', '"variables", "include"'))
    keys = dict(s.keys)
    s.configure(**{**keys, "sieve_before": site + "/before", "sieve_after": site + "/after",
                   "sieve_default": site + "/default.sieve", "sieve_global_dir": site + "/global"})
    os.unlink(box.home + "/.dovecot.sieve")
    box.want(["Default"])
    box.script("keep;")
    box.want(["After"])
    box.script('require "fileinto"; fileinto "Mine";')  # not kept: nothing is left for "after"
    box.want(["Mine"])
    box.want(["Virus"], message("v", extra=b"X-Virus: yes\n"))
    box.script('require ["include", "variables"]; global "place"; set "place" "Included";\n'
               'include :personal "mine"; include :global "shared"; '
               'include :personal :optional "missing";')
    box.script('require ["include", "variables", "imap4flags"]; global "place"; '
               'if string "${place}" "Included" { addflag "\\\\Flagged"; }', "sieve/mine.sieve")
    box.want(["Included"])
    want("F" in box.new[0].letters, "the personal include ran first", box.new)
    box.script('nonsense;')
    box.want(["INBOX"])
    want("unknown command 'nonsense'" in box.said, "why", box.said)
    s.configure(**keys)


def programs(s, box, outbox):
    s.step("programs of the site: pipe, filter, execute; one that says no, is too slow or not there")
    noted = s.path("log/noted")
    box.script('require ["vnd.dovecot.pipe", "copy"]; pipe :copy "note" ["a b; id"];')
    box.want(["INBOX"])
    with open(noted, encoding="utf-8") as file:
        text = file.read()
    os.unlink(noted)
    want(text.startswith("run 1 a b; id %s %s %s\n" % (BOB, ALICE, box.home)),
         "its argument and environment", text)
    want("Subject: number" in text and text.endswith("\nHello.\n"), "the message", text)
    box.script('require ["vnd.dovecot.pipe"]; pipe "no";')
    box.want(["INBOX"])
    want("program no ended with status 3: no" in box.said, "why", box.said)
    for program in ("slow", "plain", "missing"):  # it will be so tomorrow: nothing waits for it
        box.script('require ["vnd.dovecot.pipe"]; pipe "%s";' % program)
        box.want(["INBOX"], None, "-o", "sieve_program_timeout=1s")
        want("cannot send pipe:" + program in box.said, "why", box.said)
    box.script('require ["vnd.dovecot.pipe"]; pipe "later";')
    box.want([], None, status=75)  # the program itself asks for a retry
    box.script('require ["vnd.dovecot.pipe"]; pipe :try "missing"; keep;')
    box.want(["INBOX"])
    box.script('require ["vnd.dovecot.filter", "fileinto"]; '
               'if filter "upper" { fileinto "Upper"; }')
    box.want(["Upper"])
    want("\nHELLO.\n" in box.new[0].text(), "what is stored is what the program wrote",
         box.new[0].text())
    want_equal([r["subject"] for r in rows_of(s, ALICE) if r["mailbox"] == "Upper"],
               ["NUMBER %d" % box.number], "the row describes the stored file")
    box.script('require ["vnd.dovecot.execute", "fileinto", "variables"]; '
               'execute :input "in" :output "out" "say" ["Said"]; '
               'if string :matches "${out}" "Said in*" { fileinto "Said"; }')
    box.want(["Said"])
    box.script('require ["vnd.dovecot.execute"]; execute "slow"; discard;')
    box.want(["INBOX"], None, "-o", "sieve_program_timeout=1s")
    want("did not end within 1 s" in box.said, "why", box.said)
    box.script('require ["vnd.dovecot.pipe"]; pipe "note";')
    box.want(["INBOX"], None, "-o", "sieve_program_dir=")
    want("this site allows no programs" in box.said, "why", box.said)
    box.want(["INBOX"], None, "-o", "sieve_extensions=")
    want(not os.path.exists(noted), "it did not run")


def outgoing(s, box, outbox):
    s.step("report, notify, the deprecated notify and imapflags; rejections; DSN of redirects")
    box.script('require "vnd.dovecot.report"; report "abuse" "광고입니다" "abuse@remote.example";')
    box.want(["INBOX"])
    (words, raw, report), = outbox.take()
    want_equal((words[-1], report.get_content_type(), report.get_param("report-type")),
               ("abuse@remote.example", "multipart/report", "feedback-report"), "the report")
    want(b"Feedback-Type: abuse" in raw, "its machine part", raw)
    box.script('require "enotify"; notify :message "새 메일" "mailto:phone@remote.example";')
    box.want(["INBOX"])
    (words, raw, note), = outbox.take()
    want_equal((words[-1], note["subject"]), ("phone@remote.example", "새 메일"), "notification")
    want(note["auto-submitted"].startswith("auto-notified"), "Auto-Submitted", raw)
    box.want(["INBOX"], message("robot", extra=b"Auto-Submitted: auto-replied\n"))
    want_equal(outbox.take(), [], "no notification about what is automatic itself")
    box.script('require ["notify", "imapflags"]; setflag "\\\\Flagged"; '
               'notify :method "mailto" :options "old@remote.example" :message "$subject$";')
    box.want(["INBOX"])
    want_equal([m.letters for m in box.new], ["F"], "flagged")
    (words, raw, note), = outbox.take()
    want_equal(words[-1], "old@remote.example", "the deprecated notify")
    for command in ("reject", "ereject"):
        box.script('require "%s"; %s "no thanks";' % (command, command))
        box.want([], None, "-e", status=77)
        want_equal(outbox.take(), [], "%s: with -e the MTA does it" % command)
        box.want([])
        (words, raw, bounce), = outbox.take()
        want_equal((words[-1], bounce.get_content_type()), (BOB, "multipart/report"), command)
        box.want([], sender="")
        want_equal(outbox.take(), [], "nothing to the null sender")
    box.script('require ["redirect-dsn", "envelope-dsn", "envelope", "redirect-deliverby"]; '
               'if allof (envelope "envid" "QQ+1", envelope "auth" "dora") '
               '{ redirect :notify "SUCCESS,failure" :ret "HDRS" :bytimerelative 120 '
               ':bymode "return" "away@remote.example"; }')
    box.want([], None, "--dsn", "ENVID=QQ+2B1", "--dsn", "RET=FULL", "--auth", "dora")
    (words, _, _), = outbox.take()
    want_equal(words, ["-i", "-f", ALICE, "-N", "SUCCESS,FAILURE", "-R", "HDRS", "--",
                       "away@remote.example"], "the arguments of sendmail: reports go to the script's owner")
    want("without its delivery time" in box.said, "what cannot be carried is told", box.said)


def edited(s, box, outbox):
    s.step("an edited message is what is stored, and what its row tells; the original beside it")
    box.script('require ["editheader", "fileinto", "imap4flags"]; fileinto "Original";\n'
               'deleteheader "subject"; addheader "Subject" "바뀐 제목"; addheader "X-Mark" "1";\n'
               'addflag ["\\\\Seen", "$label1", "작업"]; keep;')
    box.want(["INBOX", "Original"], message("before", message_id="edit@remote.example"))
    texts = {m.mailbox: m.text() for m in box.new}
    want("X-Mark: 1" in texts["INBOX"] and "before" not in texts["INBOX"], "edited", texts)
    want("X-Mark" not in texts["Original"], "as it came", texts)
    want_equal({r["mailbox"]: (r["subject"], bool(r["is_read"])) for r in rows_of(s, ALICE)
                if r["message_id"] == "edit@remote.example"},
               {"INBOX": ("바뀐 제목", True), "Original": ("before", False)}, "the rows")


def tell(s, outbox):
    box = Mailbox(s)
    s.vmail("migrate")
    s.vmail("user", "add", ALICE)
    s.deliver(message("first"), ALICE)
    for part in (address_book, memory, sequences, programs, outgoing, edited):
        part(s, box, outbox)
        check_rows(s, ALICE, "after " + part.__name__)
        want_equal(leftovers(box.home), [], "nothing is left pending")
    want_equal(glob.glob(box.home + "/.dovecot.sieve.log")[:1], [box.home + "/.dovecot.sieve.log"],
               "the user has a log of what was wrong")


def story(s):
    folder = s.path("programs")
    os.mkdir(folder)
    for name, text in PROGRAMS.items():
        s.write(folder + "/" + name, text.replace("%s", s.path("log")),
                0o644 if name == "plain" else 0o755)
    s.configure()
    outbox = Outbox(s)
    keys = {"sieve_program_dir": folder, "sieve_extensions": EXTENSIONS,
            "sendmail_path": outbox.program}
    s.step("SQLite")
    s.configure(**keys)
    tell(s, outbox)
    if not is_root():
        return
    s.step("PostgreSQL")
    base = Postgres(s).start()
    s.root = s.path("mail2")
    os.mkdir(s.root)
    if s.user:
        shutil.chown(s.root, s.user, s.user)
    s.configure(**keys, database=base.uri)
    tell(s, outbox)


if __name__ == "__main__":
    run(story, needs=["postgres"])
