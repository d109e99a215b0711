"""Faults of real databases: what a delivery does when the database dies, refuses, hangs or lies.

    database.py --database pgsql            every fault of PostgreSQL
    database.py --database sqlite           every fault of SQLite
    database.py --database pgsql --only standby --only deadlock
    database.py --database pgsql --short    those that take no time

Each fault is a function: it arranges the fault, delivers, cures it. What is promised: a delivery that
fails ends with status 75 and one line that begins with "4."; nothing of it is visible, except when the
answer to COMMIT was lost, which the line says; when the fault is over, the retry makes exactly one file
and one row; and a second retry changes nothing. A fault that a delivery survives ends with status 0.

The summary line: faults tried, deferred, survived, messages lost, messages doubled.
"""
import argparse
import glob
import os
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading

from account import ALICE, Account
from lib import maildir
from lib.servers import Postgres, Server
from lib.story import Failure, Skip, is_root, run, until, want, want_equal

FILE_SCRIPT = ('require ["fileinto","copy","mailbox"];\n'
               'fileinto :copy :create "A"; fileinto :copy :create "B.C";\n')
VACATION = 'require ["vacation"];\nvacation "I am away.";\n'
TARGETS = ["A", "B.C", "INBOX"]


class Tmpfs:
    """A small file system that can be full. mount(2) needs a privilege that containers lack."""

    def __init__(self, s, name, size, owner):
        self.path = s.path(name)
        os.mkdir(self.path)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%s,mode=0700" % size, "tmpfs",
                               self.path], stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            os.rmdir(self.path)
            raise Skip("no small file system here: " + done.stderr.decode().strip())
        s.servers.append(self)
        if owner:
            shutil.chown(self.path, owner, owner)

    def fill(self):
        with open(self.path + "/filler", "wb", buffering=0) as file:
            for size in (65536, 4096, 512):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    pass

    def free(self):
        os.unlink(self.path + "/filler")

    def stop(self):
        subprocess.run(["umount", "-l", self.path], check=False)


class Session:
    """A session of another client, which does one thing after the other while we look."""

    def __init__(self, s, uri):
        self.process = subprocess.Popen(["psql", "-XAtq", "-d", uri], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True, **s.as_vmail())

    def send(self, sql):
        self.process.stdin.write(sql + "\n")
        self.process.stdin.flush()

    def do(self, sql):
        """Returns when it is done."""
        self.send(sql + ";\n\\echo done")
        for line in self.process.stdout:
            if line.strip() == "done":
                return
        raise Failure("the other session ended at: " + sql)

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


class Proxy:
    """Stands between the delivery and PostgreSQL on a Unix socket of its own and looks for COMMIT in
    what the client sends. What it does at COMMIT is @plan: a list, one word for each COMMIT:

        pass      as if it were not there
        lose      COMMIT is passed on, the server answers, the answer is dropped with the connection
        swallow   the connection is dropped and COMMIT with it
        hang      COMMIT is passed on, the answer kept; nothing more comes

    After the plan's end everything passes; @away: nobody answers any more after the first loss."""

    PORT = 5499

    def __init__(self, s, postgres):
        self.server = "%s/.s.PGSQL.5432" % postgres.socket
        self.folder = s.path("px")
        os.mkdir(self.folder)
        self.path = "%s/.s.PGSQL.%d" % (self.folder, self.PORT)
        self.uri = "postgresql:///vmail?host=%s&port=%d&user=vmail" % (self.folder, self.PORT)
        self.plan, self.away, self.commits, self.gone = [], False, 0, False
        self.open = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        os.chmod(self.path, 0o777)
        self.listener.listen(20)
        threading.Thread(target=self.accept, daemon=True).start()

    def set(self, plan, away=False):
        self.plan, self.away, self.commits, self.gone = list(plan), away, 0, False

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            if self.gone:
                client.close()
                continue
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        server = socket.socket(socket.AF_UNIX)
        server.connect(self.server)
        self.open += [client, server]
        state = {"mute": False}
        back = threading.Thread(target=self.pump_back, args=(server, client, state), daemon=True)
        back.start()
        try:
            while True:
                data = client.recv(65536)
                if not data:
                    break
                what = "pass"
                if b"COMMIT\0" in data:
                    self.commits += 1
                    what = self.plan.pop(0) if self.plan else "pass"
                if what == "swallow":
                    break
                state["mute"] = what in ("lose", "hang")
                self.gone |= what != "pass" and self.away
                server.sendall(data)
                if what == "lose":
                    back.join(30)  # it ends when the server has answered
                    break
            self.gone |= what != "pass" and self.away
        except OSError:
            pass
        self.end(client)
        self.end(server)

    def pump_back(self, server, client, state):
        try:
            while True:
                data = server.recv(65536)
                if not data:
                    break
                if state["mute"]:
                    if b"COMMIT\0" in data:
                        return
                    continue
                client.sendall(data)
        except OSError:
            pass
        self.end(client)

    @staticmethod
    def end(connection):
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        connection.close()


class World(Account):
    def __init__(self, s, options):
        self.number = 0
        self.tried = self.deferred = self.survived = self.lost = self.doubled = 0
        self.postgres = self.proxy = None
        keys = {"database_timeout": "1s"}
        if options.database == "pgsql":
            self.postgres = Postgres(s).start()
            self.proxy = Proxy(s, self.postgres)
            keys["database"] = self.postgres.uri
        else:
            self.folder = s.path("db")
            os.mkdir(self.folder, 0o700)
            if s.user:
                shutil.chown(self.folder, s.user, s.user)
            self.file = self.folder + "/vmail.db"
            keys["database"] = "sqlite:" + self.file
        super().__init__(s, "maildir", FILE_SCRIPT, **keys)
        self.deliver(self.next())

    def next(self):
        self.number += 1
        return self.number

    # ---------------------------------------------------------------- what is wanted

    def deferred_well(self, ended, said="", doubt=False):
        want_equal(ended.status, 75, "the delivery is deferred, %r" % ended)
        want(ended.err[:2] == "4." and ended.err.count("\n") == 1, "one line that begins with 4.",
             ended)
        want(said in ended.err, "the line says %r" % said, ended)
        self.deferred += 1
        if doubt:
            want("COMMIT" in ended.err, "the line says that COMMIT is in doubt", ended)
        else:
            want_equal(self.files(self.number), [], "nothing is visible: " + ended.err)
            want_equal(maildir.leftovers(self.home), [], "nothing is left: " + ended.err)

    def survived_well(self, ended):
        want_equal(ended.status, 0, "the delivery goes through, %r" % ended)
        self.survived += 1
        self.once("after a delivery that went through")

    def once(self, when, targets=TARGETS):
        files, rows = self.files(self.number), self.rows(self.number)
        self.lost += max(0, len(targets) - len(files))
        self.doubled += max(0, len(files) - len(targets))
        want_equal((files, rows), (targets, targets), "files and rows " + when)
        want_equal(self.leftovers(), [], "nothing is left " + when)

    def retried(self, targets=TARGETS):
        for when in ("after the retry", "after the second retry"):
            again = self.deliver(self.number)
            want_equal(again.status, 0, "%s: %r" % (when, again))
            self.once(when, targets)

    def use(self, uri):
        self.s.configure(**{**self.s.keys, "database": uri})

    # ---------------------------------------------------------------- PostgreSQL

    def backends(self):
        """Process ids of the server's processes for vmail-lda."""
        found = self.postgres.admin("SELECT pid FROM pg_stat_activity WHERE usename = 'vmail' AND "
                                    "application_name LIKE 'vmail%'")
        return [int(word) for word in found.split()]

    def blocked(self):
        return self.postgres.admin("SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING "
                                   "(pid) WHERE NOT l.granted AND a.application_name LIKE "
                                   "'vmail%'").strip() != "0"

    def session(self, who="postgres"):
        return Session(self.s, "postgresql:///vmail?host=%s&user=%s" % (self.postgres.socket, who))

    def at_send(self, at, act):
        """A delivery that stands still before its @at th message to the server while act() acts."""
        process = self.start(self.next(), {"FAULT_AT": str(at), "FAULT_DO": "stop",
                                           "FAULT_SET": "send"})
        stopped = self.wait_stopped(process)
        if stopped:
            act()
            self.go_on(process)
        return stopped, self.join(process)

    def sends(self):
        """Messages to the server in one delivery; the last one says goodbye."""
        self.deliver_with(self.next(), FAULT_AT="0", FAULT_SET="send")
        total = self.happened()[1]
        want(total >= 4, "a delivery speaks to the server", total)
        return total


def server_down(w):
    """The server is killed before the delivery begins."""
    w.postgres.kill()
    w.deferred_well(w.deliver(w.next()), "cannot connect")
    w.postgres.start()
    w.retried()


def server_killed(w):
    """SIGKILL for the whole server before each message of the delivery: before INSERT, before COMMIT."""
    for at in range(3, w.sends()):
        stopped, ended = w.at_send(at, w.postgres.kill)
        want(stopped, "it speaks to the server %d times" % at)
        w.deferred_well(ended, doubt="COMMIT" in ended.err)
        w.postgres.start()
        w.retried()


def backend_killed(w):
    """SIGKILL for the server's process that serves us; the server restarts by itself. Before COMMIT is
    sent, that is no doubt: the transaction is gone."""
    def kill():
        for pid in w.backends():
            os.kill(pid, signal.SIGKILL)

    for at in range(2, w.sends()):
        stopped, ended = w.at_send(at, kill)
        want(stopped, "it speaks to the server %d times" % at)
        until(w.postgres.ready, "the server is there again")
        if ended.status == 75:
            w.deferred_well(ended, doubt="COMMIT" in ended.err)
        else:
            w.survived_well(ended)
        w.retried()


def session_terminated(w):
    """pg_terminate_backend before each message, as an administrator or a failover does."""
    for at in range(2, w.sends()):
        stopped, ended = w.at_send(at, lambda: w.postgres.admin(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'vmail'"))
        want(stopped, "it speaks to the server %d times" % at)
        w.survived_well(ended)
        w.retried()


def answer_lost(w, what, back=True):
    w.use(w.proxy.uri)
    w.proxy.set([what], away=not back)
    ended = w.deliver(w.next())
    want(w.proxy.commits > 0, "a COMMIT was seen by the proxy")
    w.use(w.postgres.uri)
    if back:
        w.survived_well(ended)
    else:
        w.deferred_well(ended, doubt=True)
        want_equal(w.files(w.number), TARGETS, "the files stay out")
        want_equal(w.rows(w.number), TARGETS if what == "lose" else [],
                   "the rows that the server has")
    w.retried()


def commit_answer_lost(w):
    """COMMIT arrived, its answer did not; the server can be asked again."""
    answer_lost(w, "lose")


def commit_lost(w):
    """COMMIT did not arrive; the server can be asked again."""
    answer_lost(w, "swallow")


def commit_answer_lost_away(w):
    """COMMIT arrived, its answer did not, and nobody answers any more."""
    answer_lost(w, "lose", back=False)


def commit_lost_away(w):
    """COMMIT did not arrive, and nobody answers any more."""
    answer_lost(w, "swallow", back=False)


def commits_lost(w):
    """Every COMMIT of the try is lost, and in the end the first one's row is found."""
    w.use(w.proxy.uri)
    for plan in (["swallow", "swallow", "lose"], ["swallow"] * 4, ["lose"] * 4):
        w.proxy.set(plan)
        ended = w.deliver(w.next())
        w.proxy.set([])
        if plan == ["swallow"] * 4:
            w.deferred_well(ended, doubt=True)
        else:
            w.survived_well(ended)
        w.retried()
    w.use(w.postgres.uri)


def commit_unanswered(w):
    """COMMIT arrived, and the connection hangs."""
    answer_lost(w, "hang")


def no_connections(w):
    """max_connections is reached."""
    conf = w.postgres.data + "/postgresql.conf"
    w.postgres.stop()
    with open(conf, encoding="utf-8") as file:
        before = file.read()
    with open(conf, "a", encoding="utf-8") as file:
        file.write("max_connections = 4\nsuperuser_reserved_connections = 1\nmax_wal_senders = 0\n")
    w.postgres.start()
    others = [w.session("vmail") for _ in range(3)]
    for other in others:
        other.do("SELECT 1")
    w.deferred_well(w.deliver(w.next()), "cannot connect")
    for other in others:
        other.close()
    w.retried()
    w.postgres.stop()
    with open(conf, "w", encoding="utf-8") as file:
        file.write(before)
    w.postgres.start()


class Standby(Server):
    """A hot standby of a Postgres, made by pg_basebackup."""
    name = "standby"
    owner = "postgres"
    stop_signal = signal.SIGINT

    def __init__(self, story, primary):
        super().__init__(story)
        self.primary = primary
        self.data = story.path("pg2")
        self.socket = story.path("pgrun2")
        for folder in (self.data, self.socket):
            os.mkdir(folder)
            os.chmod(folder, 0o755)
            if is_root():
                shutil.chown(folder, "postgres", "postgres")
        os.chmod(self.data, 0o700)
        who = {"user": "postgres", "group": "postgres"} if is_root() else {}
        subprocess.run([primary.programs + "/pg_basebackup", "-D", self.data, "-R", "-c", "fast",
                        "-X", "stream", "--no-sync", "-d", "host=%s user=postgres" % primary.socket],
                       check=True, cwd="/", **who)
        with open(self.data + "/postgresql.conf", "a", encoding="utf-8") as conf:
            conf.write("unix_socket_directories = '%s'\n" % self.socket)

    def command(self):
        return [self.primary.programs + "/postgres", "-D", self.data]

    def ready(self):
        return subprocess.run([self.primary.programs + "/pg_isready", "-q", "-h", self.socket, "-U",
                               "postgres", "-d", "postgres"], check=False).returncode == 0

    @property
    def uri(self):
        return "postgresql:///vmail?host=%s&user=vmail" % self.socket


def standby(w):
    """The server that the URI names is a hot standby; then it is promoted."""
    replica = Standby(w.s, w.postgres).start()
    w.use(replica.uri)
    w.deferred_well(w.deliver(w.next()), "read-only")
    w.s.psql("SELECT pg_promote()", "postgresql:///vmail?host=%s&user=postgres" % replica.socket)
    w.retried()
    replica.stop()
    # back to a server that never had the row: the name of what is published is the witness
    w.use(w.postgres.uri)
    w.retried()


def read_only(w):
    """default_transaction_read_only, as an administrator sets it before maintenance."""
    w.postgres.admin("ALTER ROLE vmail SET default_transaction_read_only = on")
    w.deferred_well(w.deliver(w.next()), "read-only")
    w.postgres.admin("ALTER ROLE vmail RESET default_transaction_read_only")
    w.retried()


def deadlock(w):
    """Another client wants our row while we want his; the server chooses us as the victim."""
    other = w.session()
    other.do("SET deadlock_timeout = '60s'; BEGIN; LOCK email_headers")
    w.s.configure(**{**w.s.keys, "database_timeout": "30s"})
    process = w.start(w.next(), {})
    until(w.blocked, "our INSERT waits for the other's lock")
    other.send("LOCK deliveries;\nCOMMIT;")
    ended = w.join(process)
    w.s.configure(**{**w.s.keys, "database_timeout": "1s"})
    other.close()
    with open(w.s.path("log/postgres.out"), encoding="utf-8") as log:
        want("deadlock detected" in log.read(), "the server saw a deadlock")
    w.survived_well(ended)
    w.retried()


def serialization(w):
    """could not serialize access: another client changes the row that we replace."""
    w.tell(VACATION)
    sender = w.words(w.next())[-1]
    w.deliver(w.number)
    w.s.execute("UPDATE sieve_replies SET expires_at = now() - interval '1 day'")
    before = w.s.rows("SELECT count(*) AS n FROM sieve_replies")[0]["n"]
    want(before >= 1, "a reply is remembered", before)
    w.postgres.admin("ALTER ROLE vmail SET default_transaction_isolation = 'repeatable read'")
    other = w.session()
    other.do("BEGIN; UPDATE sieve_replies SET expires_at = expires_at")
    w.s.configure(**{**w.s.keys, "database_timeout": "30s"})
    process = w.start(w.next(), {}, sender=sender)  # the reply's row is replaced
    until(w.blocked, "our INSERT waits for the other's row")
    other.do("COMMIT")
    ended = w.join(process)
    other.close()
    w.s.configure(**{**w.s.keys, "database_timeout": "1s"})
    w.postgres.admin("ALTER ROLE vmail RESET default_transaction_isolation")
    with open(w.s.path("log/postgres.out"), encoding="utf-8") as log:
        want("could not serialize" in log.read(), "the server refused to serialize")
    want_equal(ended.status, 0, "the delivery goes through, %r" % ended)
    w.survived += 1
    w.once("after a serialization failure", ["INBOX"])
    w.retried(["INBOX"])
    w.tell(FILE_SCRIPT)


def locked_table(w):
    """statement_timeout: somebody holds a lock for longer than database_timeout."""
    for table in ("email_headers", "deliveries"):
        other = w.session()
        other.do("BEGIN; LOCK %s IN SHARE MODE" % table)
        w.deferred_well(w.deliver(w.next()), "timeout")
        other.do("COMMIT")
        other.close()
        w.retried()


def locked_accounts(w):
    """The account cannot be looked up: nothing answers within database_timeout."""
    other = w.session()
    other.do("BEGIN; LOCK virtual_users")
    w.deferred_well(w.deliver(w.next()))
    other.do("COMMIT")
    other.close()
    w.retried()


def commit_refused(w):
    """A constraint of the site's own refuses at COMMIT."""
    w.s.execute("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'refused at COMMIT'; END $$; "
                "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON deliveries "
                "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()")
    w.deferred_well(w.deliver(w.next()), "refused at COMMIT")
    w.s.execute("DROP TRIGGER refuse ON deliveries; DROP FUNCTION refuse()")
    w.retried()


def tablespace_full(w):
    """The rows' tablespace is full."""
    try:
        small = Tmpfs(w.s, "small", "2m", "postgres" if is_root() else None)
    except Skip as reason:
        print("        %s; instead a trigger says what the server would" % reason)
        w.s.execute("CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE "
                    "EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = "
                    "'53100'; END $$; CREATE TRIGGER full_disk BEFORE INSERT ON email_headers FOR "
                    "EACH ROW EXECUTE FUNCTION full_disk()")
        w.deferred_well(w.deliver(w.next()), "No space left")
        w.s.execute("DROP TRIGGER full_disk ON email_headers; DROP FUNCTION full_disk()")
        w.retried()
        return
    w.postgres.admin("CREATE TABLESPACE small LOCATION '%s'" % small.path)
    w.postgres.admin("GRANT CREATE ON TABLESPACE small TO vmail")
    w.s.execute("ALTER TABLE deliveries SET TABLESPACE small")
    small.fill()
    row = ("INSERT INTO deliveries (user_id, delivery_key, delivered_at) SELECT id, "
           "decode(md5('%d') || md5('full'), 'hex'), now() FROM virtual_users;\n")
    done = w.s.run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", w.postgres.uri, "-f", "-",
                   input="".join(row % n for n in range(2000)))
    want("No space left" in done.err, "the pages that are there are full at last", done)
    w.deferred_well(w.deliver(w.next()), "No space left")
    small.free()
    w.retried()
    w.s.execute("ALTER TABLE deliveries SET TABLESPACE pg_default")
    w.postgres.admin("DROP TABLESPACE small")


# -------------------------------------------------------------------- SQLite

def settle(w):
    """All of the log in the database file, and no log."""
    base = sqlite3.connect(w.file)
    base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    base.close()
    for name in glob.glob(w.file + "-*"):
        os.unlink(name)


def with_copy(w):
    """(a copy of the database to go back to, how to go back)"""
    settle(w)
    copy = w.file + ".copy"
    shutil.copy(w.file, copy)

    def back():
        for name in glob.glob(w.file + "-*"):
            os.unlink(name)
        shutil.copy(copy, w.file)  # the same inode, owner and mode
        os.unlink(copy)
    return back


def locked(w):
    """Another process holds the write lock for longer than the busy timeout."""
    base = sqlite3.connect(w.file, isolation_level=None)
    base.execute("BEGIN IMMEDIATE")
    w.deferred_well(w.deliver(w.next()), "locked")
    base.execute("ROLLBACK")
    base.close()
    w.retried()


def locked_for_a_while(w):
    """Another process holds the write lock, but not for too long."""
    base = sqlite3.connect(w.file, isolation_level=None, check_same_thread=False)
    base.execute("BEGIN IMMEDIATE")
    w.s.configure(**{**w.s.keys, "database_timeout": "60s"})
    process = w.start(w.next(), {})
    until(lambda: glob.glob(w.home + "/vmail-pending/*.0"), "the delivery is under way")
    want_equal(w.files(w.number), [], "nothing is visible while the lock is not ours")
    base.execute("ROLLBACK")
    base.close()
    ended = w.join(process)
    w.s.configure(**{**w.s.keys, "database_timeout": "1s"})
    w.survived_well(ended)
    w.retried()


def file_read_only(w):
    """The file may not be written."""
    settle(w)
    os.chmod(w.file, 0o440)
    w.deferred_well(w.deliver(w.next()), "writable")
    os.chmod(w.file, 0o600)
    settle(w)
    w.retried()


def folder_read_only(w):
    """The folder may not be written: no log can be made."""
    settle(w)
    os.chmod(w.folder, 0o500)
    w.deferred_well(w.deliver(w.next()), "writable")
    os.chmod(w.folder, 0o700)
    w.retried()


def file_size_limit(w):
    """The file may not grow (a limit of size, as a quota is): at each size until it is enough."""
    size = max(os.path.getsize(name) for name in glob.glob(w.file + "*"))
    settle(w)
    base = sqlite3.connect(w.file)
    base.execute("PRAGMA user_version")
    base.close()
    deferred = w.deferred
    for limit in range(2000, size + 400000, 12000):
        def limited(limit=limit):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        command = [os.path.join(w.s.path("libexec"), "vmail-lda"), "-c", w.s.config,
                   *w.words(w.next())]
        done = subprocess.run(command, input=w.mail(w.number), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, preexec_fn=limited, restore_signals=False,
                              cwd=w.s.folder, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"},
                              **w.s.as_vmail())
        ended = type(w.deliver(1))(command, done)
        w.tried += 1
        if ended.status == 0:
            w.survived_well(ended)
            w.retried()
            break
        w.deferred_well(ended, doubt=bool(w.files(w.number)))
        w.retried()
        settle(w)
    want(w.deferred - deferred >= 2, "the limit was felt", w.deferred - deferred)


def disk_full(w):
    """The disk of the database is full; at each amount of free space until it is enough."""
    try:
        small = Tmpfs(w.s, "small", "3m", w.s.user)
    except Skip as reason:
        print("        %s; file_size_limit stands for it" % reason)
        return
    settle(w)
    shutil.copy(w.file, small.path + "/vmail.db")
    if w.s.user:
        shutil.chown(small.path + "/vmail.db", w.s.user, w.s.user)
    w.use("sqlite:%s/vmail.db" % small.path)
    for free in range(0, 200000, 16384):
        small.fill()
        with open(small.path + "/filler", "ab") as filler:
            filler.truncate(max(0, filler.tell() - free))
        ended = w.deliver(w.next())
        w.tried += 1
        if ended.status == 0:
            small.free()
            w.survived_well(ended)
            w.retried()
            break
        w.deferred_well(ended, doubt=bool(w.files(w.number)))
        small.free()
        w.retried()
        base = sqlite3.connect(small.path + "/vmail.db")
        base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        base.close()
        for name in glob.glob(small.path + "/vmail.db-*"):
            os.unlink(name)
    else:
        raise Failure("there is never room enough")
    settle_from = sqlite3.connect(small.path + "/vmail.db")
    settle_from.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    settle_from.close()
    settle(w)
    shutil.copy(small.path + "/vmail.db", w.file)
    w.use("sqlite:" + w.file)


def no_database(w):
    """The header of the file is garbage: no database."""
    back = with_copy(w)
    with open(w.file, "r+b") as file:
        file.write(b"this is not what it was" * 8)
    w.deferred_well(w.deliver(w.next()), "damaged")
    back()
    w.retried()


def damaged(w):
    """Pages in the middle are garbage."""
    back = with_copy(w)
    size = os.path.getsize(w.file)
    with open(w.file, "r+b") as file:
        for page in range(4096, size, 4096):
            file.seek(page)
            file.write(b"\xa5" * 4096)
    w.deferred_well(w.deliver(w.next()), "damaged")
    back()
    w.retried()


def file_missing(w):
    """The file is not there; nothing makes an empty one."""
    settle(w)
    os.rename(w.file, w.file + ".away")
    w.deferred_well(w.deliver(w.next()), "no such database")
    want(not os.path.exists(w.file), "no empty database is made")
    os.rename(w.file + ".away", w.file)
    w.retried()


def old_schema(w):
    """A table is missing (an older schema)."""
    w.s.execute("ALTER TABLE deliveries RENAME TO gone")
    w.deferred_well(w.deliver(w.next()), "vmail migrate")
    w.s.execute("ALTER TABLE gone RENAME TO deliveries")
    w.retried()


def commit_refused_sqlite(w):
    """A constraint of the site's own refuses at COMMIT."""
    w.s.execute("CREATE TABLE refused (id INTEGER REFERENCES virtual_users (id) "
                "DEFERRABLE INITIALLY DEFERRED); CREATE TRIGGER refuse AFTER INSERT ON deliveries "
                "BEGIN INSERT INTO refused VALUES (-1); END")
    w.deferred_well(w.deliver(w.next()), "commit")
    w.s.execute("DROP TRIGGER refuse; DROP TABLE refused")
    w.retried()


FAULTS = {
    # the long ones restart the server, or wait for a time limit that cannot be set shorter
    "pgsql": ([server_down, backend_killed, commit_answer_lost, commit_lost, commit_answer_lost_away,
               commit_lost_away, read_only, deadlock, serialization, locked_table, commit_refused,
               tablespace_full, old_schema],
              [server_killed, session_terminated, commits_lost, commit_unanswered, no_connections,
               standby, locked_accounts]),
    "sqlite": ([locked, locked_for_a_while, file_read_only, folder_read_only, file_size_limit,
                disk_full, no_database, damaged, file_missing, old_schema, commit_refused_sqlite],
               []),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=sorted(FAULTS), required=True)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--long", action="store_true", help="only those that --short leaves out")
    parser.add_argument("--only", action="append", default=[])
    options = parser.parse_args()
    short, long = FAULTS[options.database]
    faults = ([] if options.long else short) + ([] if options.short else long)
    faults = [f for f in faults if not options.only or f.__name__ in options.only]

    def story(s):
        w = World(s, options)
        try:
            for fault in faults:
                s.step("%s: %s" % (fault.__name__, " ".join(fault.__doc__.split())))
                w.tried += 1
                fault(w)
            maildir.check_rows(s, ALICE, "at the end")
        finally:
            print("faults of %s: %d tried, %d deferred, %d survived, %d lost, %d doubled"
                  % (options.database, w.tried, w.deferred, w.survived, w.lost, w.doubled),
                  flush=True)
        want(faults and w.deferred + w.survived >= len(faults), "every fault was felt")

    run(story, needs=["postgres"] if options.database == "pgsql" else [])


if __name__ == "__main__":
    main()
