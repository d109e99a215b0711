"""What a redirect asks of delivery reports arrives in Postfix's queue, through its own sendmail."""
import os
import shutil
import subprocess

from lib.mails import message
from lib.servers import Postfix
from lib.story import run, until, want

ALICE = "alice@example.com"
SCRIPT = '''require ["redirect-dsn", "envelope-dsn", "envelope"];
if envelope "envid" "QQ+1" { redirect :notify "SUCCESS,FAILURE" :ret "HDRS" "away@remote.example"; }
'''


def story(s):
    shutil.chown(s.root, "vmail", "postfix")
    os.chmod(s.root, 0o2750)
    s.configure()
    s.vmail("migrate")
    s.vmail("user", "add", ALICE)
    s.run("sh", "-c", "chmod 640 %s/vmail.db*" % s.root, status=0)
    postfix = Postfix(s, "sqlite").start()
    s.configure(sendmail_path=s.write("bin/sendmail",
                "#!/bin/sh\nexec /usr/sbin/sendmail -C %s \"$@\"\n" % postfix.config, 0o755))
    s.deliver(message("first"), ALICE)
    s.write(s.home(ALICE) + "/.dovecot.sieve", SCRIPT, 0o600, s.user)

    def redirected(sender, seen):
        """The lines of the queue file of what comes from @sender."""
        # as root: the set-gid postdrop takes another configuration than /etc/postfix from nobody else
        s.run("vmail-lda", "-d", ALICE, "-f", sender, "--dsn", "ENVID=QQ+2B1",
              input=message("x", message_id="dsn-%d@x" % len(seen)), status=0, user=0, group=0)
        # the story's Postfix has no way out: what it takes stays deferred
        number, = until(lambda: set(postfix.queue_ids("deferred")) - seen, "the redirect is in the queue")
        seen.add(number)
        return subprocess.run(["/usr/sbin/postcat", "-c", postfix.config, "-q", number], check=True,
                              stdout=subprocess.PIPE).stdout.decode().splitlines()

    s.step("NOTIFY and RET stand in the queue file; the reports go to the script's owner")
    seen = set()
    lines = redirected("bob@remote.example", seen)
    for line in ("sender: " + ALICE, "recipient: away@remote.example", "named_attribute: ret_flags=2",
                 "named_attribute: notify_flags=6", "X-Sieve-Redirected-From: " + ALICE):
        want(line in lines, line, lines)
    want(not [line for line in lines if "envelope_id" in line],
         "the sender's ENVID means nothing to another receiver of reports", lines)

    s.step("to the owner's own messages also its ENVID")
    lines = redirected(ALICE, seen)
    want("named_attribute: envelope_id=QQ+1" in lines, "ENVID", lines)


if __name__ == "__main__":
    run(story, needs=["root", "vmail", "postfix"])
