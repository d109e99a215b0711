"""Private servers: one class each, with the verbs start, stop, kill, wait_ready.

Each has its files in the story's folder, listens on loopback or a Unix socket there, is known by its
process id, and dies with the story. What they print goes to files: a server that outlived us
would hold ctest's pipe open.
"""
import ctypes
import glob
import imaplib
import os
import pwd
import shutil
import signal
import smtplib
import socket
import subprocess
import time

from lib.story import Failure, PATIENCE, SOURCE, blocks, free_port, is_root, until

_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent():
    _libc.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


class Server:
    name = "server"
    owner = None  # the user it runs as; None: whoever runs the story

    def __init__(self, story):
        self.story = story
        self.process = None
        story.servers.append(self)

    def __str__(self):
        return self.name

    def command(self):
        raise NotImplementedError

    def ready(self):
        """True when it answers."""
        raise NotImplementedError

    def environment(self):
        return {}

    def start(self):
        who = {}
        if self.owner and is_root():
            entry = pwd.getpwnam(self.owner)
            who = {"user": entry.pw_uid, "group": entry.pw_gid,
                   "extra_groups": os.getgrouplist(self.owner, entry.pw_gid)}
        with open(self.story.path("log/%s.out" % self.name), "ab") as output:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                cwd="/", start_new_session=True, preexec_fn=_die_with_parent,
                env={**os.environ, **self.environment()}, **who)
        self.wait_ready()
        return self

    def wait_ready(self):
        def answers():
            if self.process.poll() is not None:
                raise Failure("%s ended with status %s while starting"
                              % (self.name, self.process.returncode))
            return self.ready()
        until(answers, "%s answers" % self.name)

    def running(self):
        return self.process is not None and self.process.poll() is None

    stop_signal = signal.SIGTERM

    def stop(self):
        """Asks it to end, and waits; kills what is left of its process group."""
        if self.process is None:
            return
        if self.running():
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                pass
        self.kill()

    def kill(self):
        """SIGKILL for it and its children, as by the kernel when memory is out."""
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(PATIENCE)
        self.process = None


class Postgres(Server):
    """One cluster on a Unix socket; role and database "vmail", no password inside the story."""
    name = "postgres"
    owner = "postgres"
    stop_signal = signal.SIGINT  # fast shutdown: rolls back, does not wait for clients

    def __init__(self, story):
        super().__init__(story)
        self.programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        self.data = story.path("pg")
        self.socket = story.path("pgrun")
        for folder in (self.data, self.socket):
            os.mkdir(folder)
            os.chmod(folder, 0o755)
            if is_root():
                shutil.chown(folder, "postgres", "postgres")
        os.chmod(self.data, 0o700)
        story.place("/run/postgresql", self.socket)
        self._initialise()

    def _initialise(self):
        who = {}
        if is_root():
            entry = pwd.getpwnam("postgres")
            who = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        made = subprocess.run(
            [self.programs + "/initdb", "-D", self.data, "-U", "postgres", "-A", "trust",
             "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/",
            check=False, **who)
        if made.returncode != 0:
            raise Failure("initdb failed", made.stdout.decode("utf-8", "replace"))
        with open(self.data + "/postgresql.conf", "a", encoding="utf-8") as conf:
            conf.write("listen_addresses = ''\nunix_socket_directories = '%s'\n"
                       "fsync = off\nshared_buffers = 24MB\nmax_connections = 60\n"
                       "max_wal_size = 256MB\nautovacuum_naptime = 1h\n"
                       "log_line_prefix = '%%m [%%p] '\n" % self.socket)

    def command(self):
        return [self.programs + "/postgres", "-D", self.data]

    def ready(self):
        return subprocess.run([self.programs + "/pg_isready", "-q", "-h", self.socket, "-U",
                               "postgres", "-d", "postgres"], check=False).returncode == 0

    def start(self):
        new = not os.path.exists(self.data + "/vmail-made")
        for tries_left in range(20, -1, -1):
            try:
                super().start()
                break
            except Failure:
                # after kill(): old backends, in sessions of their own, still hold the shared memory
                if not tries_left:
                    raise
                self.process = None
                time.sleep(0.5)
        if new:
            self.admin("CREATE ROLE vmail LOGIN PASSWORD 'secret'")
            self.admin("CREATE DATABASE vmail OWNER vmail")
            with open(self.data + "/vmail-made", "w", encoding="utf-8"):
                pass
        return self

    def admin(self, sql):
        return self.story.psql(sql, "postgresql:///postgres?host=%s&user=postgres" % self.socket)

    @property
    def uri(self):
        return "postgresql:///vmail?host=%s&user=vmail" % self.socket


class PgBouncer(Server):
    """In front of a Postgres, with docs/pgbouncer.ini.example as it stands (paths moved)."""
    name = "pgbouncer"
    owner = "vmail"  # the example asks for peer authentication: same user as the clients

    def __init__(self, story, postgres):
        super().__init__(story)
        self.postgres = postgres
        self.socket = story.path("pgb")
        os.mkdir(self.socket)
        if is_root():
            shutil.chown(self.socket, "vmail", "vmail")
        story.place("/run/pgbouncer", self.socket)
        story.place("/etc/pgbouncer", story.path("etc"))
        story.place("/var/log/pgbouncer", story.path("log"))
        for name, text in blocks(SOURCE + "/docs/pgbouncer.ini.example").items():
            if name:
                story.write(story.moved(name), story.moved(text))
        with open(SOURCE + "/docs/pgbouncer.ini.example", encoding="utf-8") as example:
            self.ini = story.write("etc/pgbouncer.ini", story.moved(example.read()))

    def command(self):
        return ["/usr/sbin/pgbouncer", self.ini]

    def ready(self):
        asked = self.story.run("psql", "-XAtq", "-d", self.uri, "-c", "SELECT 1")
        return asked.out.strip() == "1"

    @property
    def uri(self):
        return "postgresql:///vmail?host=%s&port=6432&user=vmail" % self.socket


class Postfix(Server):
    """A whole Postfix with its own queue; the example's transport and lookups as they stand.

    @lookups: "pgsql" or "sqlite", the blocks of postfix-master.cf.example that are used."""
    name = "postfix"
    example = SOURCE + "/postfix-master.cf.example"

    SERVICES = """
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
proxywrite unix - - n - 1 proxymap
showq     unix  n - n - - showq
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""

    def __init__(self, story, lookups):
        super().__init__(story)
        self.port = free_port()
        self.config = story.path("postfix")
        self.queue = story.path("queue")
        self.log = story.path("log/postfix.log")
        story.place("/etc/postfix", self.config)
        self._make_queue()
        self._configure(lookups)

    def _make_queue(self):
        """What "postfix check" makes, without its look at /etc and /usr."""
        owner = {"": "root:root 755", "pid": "root:root 755", "maildrop": "postfix:postdrop 1730",
                 "public": "postfix:postdrop 2710"}
        for name in ("", "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold",
                     "incoming", "private", "saved", "trace", "maildrop", "public", "pid"):
            folder = os.path.join(self.queue, name)
            os.mkdir(folder)
            who, mode = owner.get(name, "postfix:root 700").split()
            shutil.chown(folder, *who.split(":"))
            os.chmod(folder, int(mode, 8))
        self.data = self.story.path("data")
        os.mkdir(self.data)
        shutil.chown(self.data, "postfix", "postfix")
        os.mkdir(self.config)
        os.chmod(self.config, 0o755)

    def _configure(self, lookups):
        parts = blocks(self.example)
        main = """
compatibility_level = 3.6
queue_directory = %s
data_directory = %s
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
meta_directory = /etc/postfix
shlib_directory = /usr/lib/postfix
mail_owner = postfix
setgid_group = postdrop
myhostname = mail.example.com
mydomain = example.com
myorigin = example.com
mydestination =
local_transport = error:no local mail here
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
biff = no
disable_dns_lookups = yes
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
in_flow_delay = 0
maillog_file = %s
maillog_file_prefixes = /tmp
""" % (self.queue, self.data, self.log)
        database = {"pgsql": "PostgreSQL", "sqlite": "SQLite"}[lookups]
        transport = parts["/etc/postfix/main.cf"]
        maps = parts["/etc/postfix/main.cf, accounts in " + database]
        self.story.write(self.config + "/main.cf", main + self.story.moved(transport + maps))
        for name, text in parts.items():
            if name.startswith("/etc/postfix/vmail-"):
                self.story.write(self.story.moved(name), self.story.moved(text))
        smtp = "127.0.0.1:%d inet n - n - - smtpd\n" % self.port
        self.story.write(self.config + "/master.cf",
                         smtp + self.SERVICES + self.story.moved(parts[""]))

    def command(self):
        return ["/usr/lib/postfix/sbin/master", "-c", self.config, "-d"]

    def ready(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.settimeout(10)
                return connection.recv(4) == b"220 "
        except OSError:
            return False

    def environment(self):
        return {"MAIL_LOGTAG": "postfix"}

    def inject(self, messages):
        """Sends (sender, recipients, bytes) over one SMTP connection, and again what the server
        cannot take now (4xx), as any client does. Returns the recipients refused for good, each
        with the server's answer."""
        refused = {}
        with smtplib.SMTP("127.0.0.1", self.port, local_hostname="client.example.com",
                          timeout=PATIENCE) as client:
            for sender, recipients, message in messages:
                deadline = time.monotonic() + PATIENCE
                while recipients:
                    try:
                        answers = client.sendmail(sender, recipients, message)
                    except smtplib.SMTPRecipientsRefused as all_of_them:
                        answers = all_of_them.recipients
                    recipients = [who for who, (code, _) in answers.items() if code < 500]
                    refused.update({who: answer for who, answer in answers.items()
                                    if who not in recipients})
                    if recipients and time.monotonic() > deadline:
                        raise Failure("Postfix never took it: %r" % answers)
                    if recipients:
                        time.sleep(1)
        return refused

    def queue_ids(self, *names):
        """Ids of the messages in these queues; by default in all that hold mail."""
        found = set()
        for name in names or ("maildrop", "incoming", "active", "deferred", "hold"):
            for _, _, files in os.walk(os.path.join(self.queue, name)):
                found.update(files)
        return found

    def flush(self):
        """postqueue -f: try everything that waits."""
        subprocess.run(["/usr/sbin/postqueue", "-c", self.config, "-f"], check=True,
                       stdout=subprocess.DEVNULL, timeout=PATIENCE)

    def wait_empty(self, patience=PATIENCE * 2):
        """Until everything is delivered or bounced; what was deferred is tried again."""
        def empty():
            if self.queue_ids("deferred"):
                self.flush()
            return not self.queue_ids()
        until(empty, "Postfix's queue is empty", patience, pause=1.0)

    def log_text(self):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                return log.read()
        except FileNotFoundError:
            return ""


class Dovecot(Server):
    """Serves the story's mail with docs/dovecot.conf.example as it stands (paths moved).

    @lookups: "pgsql" or "sqlite", the example's block that finds accounts."""
    name = "dovecot"
    example = SOURCE + "/docs/dovecot.conf.example"

    def __init__(self, story, lookups):
        super().__init__(story)
        self.port = free_port()
        self.sieve_port = free_port()
        self.log = story.path("log/dovecot.log")
        story.place("/etc/dovecot", story.path("etc/dovecot"))
        os.mkdir(story.path("etc/dovecot"))
        parts = blocks(self.example)
        database = {"pgsql": "PostgreSQL", "sqlite": "SQLite"}[lookups]
        sql = "/etc/dovecot/vmail-sql.conf.ext"
        story.write(story.moved(sql), story.moved(parts["%s, accounts in %s" % (sql, database)]))
        story.write(story.moved("/etc/dovecot/vmail.conf"), story.moved(parts[""]))
        self.config = story.write(story.moved("/etc/dovecot/dovecot.conf"), """
base_dir = %s
state_dir = %s
log_path = %s
ssl = no
disable_plaintext_auth = no
listen = 127.0.0.1
service imap-login {
  inet_listener imap {
    port = %d
  }
  inet_listener imaps {
    port = 0
  }
}
service managesieve-login {
  inet_listener sieve {
    port = %d
  }
}
!include %s
""" % (story.path("dv"), story.path("dvstate"), self.log, self.port, self.sieve_port,
            story.moved("/etc/dovecot/vmail.conf")))

    def command(self):
        return ["/usr/sbin/dovecot", "-F", "-c", self.config]

    def ready(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.settimeout(10)
                return connection.recv(4) == b"* OK"
        except OSError:
            return False

    def doveadm(self, *words, user=None, output=None):
        """Standard output of a doveadm command, as text; @output: its form, "tab" or "json"."""
        command = ["/usr/bin/doveadm", "-c", self.config]
        if output:
            command += ["-f", output]
        verb = 2 if words[0] in ("mailbox", "quota") else 1  # "mailbox list" is one command
        command += [*words[:verb], *(("-u", user) if user else ()), *words[verb:]]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=PATIENCE, check=False)
        errors = done.stderr.decode("utf-8", "replace")
        if done.returncode != 0 or errors:
            raise Failure("%s: status %d\n    found: %s" % (" ".join(command), done.returncode, errors))
        return done.stdout.decode("utf-8", "backslashreplace")

    def imap(self, user, password="secret"):
        """A client that is logged in (imaplib)."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                client = imaplib.IMAP4("127.0.0.1", self.port, timeout=PATIENCE)
                client.login(user, password)
                return client
            except (imaplib.IMAP4.error, OSError) as problem:
                if time.monotonic() > deadline or "AUTHENTICATIONFAILED" in str(problem):
                    raise Failure("no IMAP login of %s: %s" % (user, problem)) from problem
                time.sleep(0.5)

    def complaints(self):
        """Lines of Dovecot's log that are warnings or worse; a clock that jumps and the machine's
        limit of descriptors are not our matter."""
        try:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                lines = log.read().splitlines()
        except FileNotFoundError:
            return []
        return [line for line in lines
                if any(word in line for word in ("Warning:", "Error:", "Fatal:", "Panic:"))
                and not any(word in line for word in ("ime moved", "fd limit"))]


class Watch(Server):
    """vmail sync --watch, in the foreground as systemd runs it."""
    name = "watch"
    owner = "vmail"

    def command(self):
        return [self.story.path("bin/vmail"), "sync", "--watch"]

    def ready(self):
        return self.running()
