"""One account under faults: every try has a message, a sender and a queue id of its own, so that what
became of it can be told from everything else."""
import email.utils
import glob
import mailbox
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))

from lib import maildir                                              # noqa: E402
from lib.mails import message                                        # noqa: E402
from lib.story import Failure, PATIENCE, Result                      # noqa: E402

ALICE = "alice@example.com"
PRELOAD = os.environ.get("FAULT_PRELOAD", "")

# Makes the database refuse a delivery when it commits, and takes that back.
REFUSE = {
    "pgsql": ("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
              "$$ BEGIN RAISE EXCEPTION 'refused at COMMIT'; END $$; "
              "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON deliveries "
              "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()",
              "DROP TRIGGER refuse ON deliveries; DROP FUNCTION refuse()"),
    "sqlite": ("CREATE TABLE refused (id INTEGER REFERENCES virtual_users (id) "
               "DEFERRABLE INITIALLY DEFERRED); CREATE TRIGGER refuse AFTER INSERT ON deliveries "
               "BEGIN INSERT INTO refused VALUES (-1); END",
               "DROP TRIGGER refuse; DROP TABLE refused"),
}

SENDMAIL = """#!/bin/sh
file=$(mktemp %s/XXXXXXXX) && cat > "$file" && mv "$file" "$file.eml"
"""


class Account:
    def __init__(self, s, format="maildir", script="", **keys):
        if not os.path.exists(PRELOAD):
            raise Failure("FAULT_PRELOAD must name the preloaded library")
        self.s = s
        self.began = time.time()
        self.format = format
        self.report = s.path("outbox/report")
        self.outbox = s.path("outbox")
        os.mkdir(self.outbox)
        os.chmod(self.outbox, 0o777)
        self.preload = self.install(PRELOAD)
        s.configure(**{"mail_format": format, "database_timeout": "3s",
                       "sendmail_path": s.write("bin/sendmail", SENDMAIL % self.outbox, 0o755),
                       **keys})
        s.vmail("migrate")
        s.vmail("user", "add", ALICE, "--format", format)
        self.home = s.home(ALICE)
        self.tell(script)

    def install(self, library):
        """Copies a library to where the vmail user may read it."""
        copy = os.path.join(self.s.path("libexec"), os.path.basename(library))
        self.s.run("cp", library, copy, user=None, group=None, status=0)
        os.chmod(copy, 0o755)
        return copy

    def tell(self, script):
        """The user's script; no script when it is empty."""
        path = self.home + "/.dovecot.sieve"
        if script:
            if not os.path.isdir(self.home):
                self.s.run("mkdir", "-p", "-m", "700", self.home, status=0)
            self.s.write(path, script, 0o600, self.s.user)
        elif os.path.exists(path):
            os.unlink(path)

    # ---------------------------------------------------------------- deliveries

    def mail(self, number):
        """The MTA writes a Received field on top: the same one for each try."""
        received = "Received: by mail.example.com with ESMTP id Q%d; %s\n" % (
            number, email.utils.formatdate(self.began))
        return received.encode() + message(
            "point %d" % number, body="This is point %d.\n" % number, to=ALICE,
            message_id="point-%d@remote.example" % number)

    def words(self, number):
        return ("-d", ALICE, "-q", "Q%d" % number, "-f", "sender-%d@remote.example" % number)

    def deliver(self, number):
        """As the MTA would, without a fault."""
        return self.s.run("vmail-lda", *self.words(number), input=self.mail(number))

    def start(self, number, faults, library=None, sender=None, **more):
        """The same in the background, with the preloaded library; join() waits for it."""
        if os.path.exists(self.report):
            os.unlink(self.report)
        command = [os.path.join(self.s.path("libexec"), "vmail-lda"), "-c", self.s.config,
                   *self.words(number), *(("-f", sender) if sender else ())]
        environment = {**os.environ, "LD_PRELOAD": library or self.preload,
                       "FAULT_REPORT": self.report, "LC_ALL": "C.UTF-8",
                       "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0", **faults}
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, cwd=self.s.folder, env=environment,
                                   **{**self.s.as_vmail(), **more})
        try:
            process.stdin.write(self.mail(number))
            process.stdin.close()
        except BrokenPipeError:
            pass
        process.stdin = None
        return process

    def join(self, process):
        out, err = process.communicate(timeout=PATIENCE * 2)
        return Result(process.args, subprocess.CompletedProcess(process.args, process.returncode,
                                                                out, err))

    def deliver_with(self, number, **faults):
        return self.join(self.start(number, faults))

    def wait_stopped(self, process):
        """True: it stands still at its point; False: it has ended (join() has its result)."""
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            return True
        process.returncode = os.waitstatus_to_exitcode(status)
        return False

    @staticmethod
    def go_on(process):
        process.send_signal(signal.SIGCONT)

    def happened(self):
        """(what the report says of the fault, calls counted in all or None when it did not end)."""
        try:
            with open(self.report, encoding="utf-8", errors="replace") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            return "", None
        ends = [int(line.split()[1]) for line in lines if line.startswith("end ")]
        return next((l for l in lines if not l.startswith("end ")), ""), ends[0] if ends else None

    # ---------------------------------------------------------------- what is there

    def messages(self, number):
        """(mailbox, path) of the Maildir files of that number."""
        text = ("This is point %d.\n" % number).encode()
        found = []
        for m in maildir.messages(self.home):
            try:
                if text in m.bytes():
                    found.append((m.mailbox, m.path))
            except FileNotFoundError:
                pass  # a client moved it between our two looks
        return found

    def boxes(self):
        """(mailbox, path) of the mbox files."""
        found = []
        for path in [self.home + "/mbox"] + glob.glob(self.home + "/mail/**", recursive=True):
            if os.path.isfile(path) and not os.path.basename(path).startswith("."):
                with open(path, "rb") as file:
                    if file.read(5) == b"From ":
                        found.append(("INBOX" if path == self.home + "/mbox" else os.path.relpath(
                            path, self.home + "/mail").replace("/", "."), path))
        return found

    def files(self, number):
        """Mailboxes in which the message of that number lies, sorted, with repetition."""
        if self.format == "maildir":
            return sorted(name for name, _ in self.messages(number))
        text = ("This is point %d.\n" % number).encode()
        found = []
        for name, path in self.boxes():
            box = mailbox.mbox(path, create=False)
            found += [name for key in box.keys() if text in box.get_bytes(key)]
            box.close()
        return sorted(found)

    def rows(self, number):
        rows = self.s.rows("SELECT mailbox FROM email_headers WHERE message_id = $1",
                           "point-%d@remote.example" % number)
        return sorted(row["mailbox"] for row in rows)

    def committed(self, number):
        return bool(self.s.rows("SELECT 1 AS one FROM deliveries WHERE queue_id = $1",
                                "Q%d" % number))

    def sent(self, number):
        mark = ("point-%d@remote.example" % number).encode()
        count = 0
        for path in glob.glob(self.outbox + "/*.eml"):
            with open(path, "rb") as file:
                count += mark in file.read()
        return count

    def leftovers(self, spools=False):
        """What a finished delivery leaves nowhere. Without @spools: a spool of a process that was
        killed before it knew its key is nobody's to resume; the sweep takes it."""
        return [path for path in maildir.leftovers(self.home)
                if spools or not os.path.basename(path).startswith("spool.")
                ] + self.locks()

    def locks(self):
        """Lock files of a process that was killed; who needs them takes them when they are old."""
        return glob.glob(self.home + "/**/*.lock", recursive=True)
