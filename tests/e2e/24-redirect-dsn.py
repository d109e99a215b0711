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

    s.step("NOTIFY, RET and the sender's ENVID stand in the queue file")
    # as root: the set-gid postdrop takes another configuration than /etc/postfix from nobody else
    s.run("vmail-lda", "-d", ALICE, "-f", "bob@remote.example", "--dsn", "ENVID=QQ+2B1",
          input=message("x", message_id="dsn@x"), status=0, user=0, group=0)
    # the story's Postfix has no way out: what it takes stays deferred
    number, = until(lambda: postfix.queue_ids("deferred"), "the redirect is in the queue")
    shown = subprocess.run(["/usr/sbin/postcat", "-c", postfix.config, "-q", number], check=True,
                           stdout=subprocess.PIPE).stdout.decode()
    for line in ("sender: bob@remote.example", "recipient: away@remote.example",
                 "named_attribute: envelope_id=QQ+1", "named_attribute: ret_flags=2",
                 "named_attribute: notify_flags=6", "X-Sieve-Redirected-From: " + ALICE):
        want(line in shown.splitlines(), line, shown)


if __name__ == "__main__":
    run(story, needs=["root", "vmail", "postfix"])
