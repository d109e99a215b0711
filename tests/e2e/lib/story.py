"""A story: a folder of its own, programs as installed in it, steps that are printed, logs on failure.

    def story(s):
        s.step("an unknown user is refused")
        ...
    if __name__ == "__main__":
        run(story, needs=["postgres"])

Exit status 0: it went as told. 1: it did not; what was wanted, what was found and the ends of all
logs are printed. 77: skipped, with the reason (ctest shows it; nothing is skipped in CI).
"""
import glob
import grp
import json
import os
import pwd
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
PROGRAMS = os.environ.get("VMAIL_BIN", os.path.join(SOURCE, "build/asan/bin"))
SKIPPED = 77
PATIENCE = float(os.environ.get("VMAIL_PATIENCE", "90"))  # seconds; a loaded machine is slow


class Failure(AssertionError):
    """What the story promised is not so."""


class Skip(Exception):
    """This machine cannot run the story; the reason is for a person."""


def want(claim, sentence, *found):
    """The claim, or a failure that says what was wanted and shows what was found."""
    if not claim:
        shown = "".join("\n    found: %s" % (f if isinstance(f, str) else repr(f)) for f in found)
        raise Failure(sentence + shown)


def want_equal(found, wanted, sentence):
    if found != wanted:
        raise Failure("%s\n    wanted: %r\n    found:  %r" % (sentence, wanted, found))


def until(claim, sentence, patience=PATIENCE, pause=0.1):
    """Polls until claim() is true and returns its value; never sleeps longer than needed."""
    deadline = time.monotonic() + patience
    while True:
        value = claim()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure("waited %d s in vain: %s\n    found at the end: %r"
                          % (patience, sentence, value))
        time.sleep(pause)


def free_port():
    """A port nobody listens on, below the range that outgoing connections take theirs from."""
    for port in (20000 + int.from_bytes(os.urandom(2), "big") % 12000 for _ in range(1000)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise Skip("no free port on 127.0.0.1")


def is_root():
    return os.getuid() == 0


def user_exists(name):
    try:
        pwd.getpwnam(name)
        grp.getgrnam(name)
        return True
    except KeyError:
        return False


def blocks(path):
    """The files a configuration example holds: {"" : its own lines, "/etc/x": lines of that block}.

    A block begins with the line "## NAME" and its lines begin with "#" and four blanks (";" where
    that begins a comment); NAME may carry a remark after a comma. The lines without "#" are the example's own."""
    found = {"": []}
    name = None
    with open(path, encoding="utf-8") as example:
        for line in example.read().splitlines():
            if line[:3] in ("## ", ";; "):
                name = line[3:].strip()
                found[name] = []
            elif line[:5] in ("#    ", ";    ") and name:
                found[name].append(line[5:])
            elif line[:1] not in ("#", ";") and line.strip():
                found[""].append(line)
    return {n: "\n".join(lines) + "\n" for n, lines in found.items()}


class Result:
    """How a program ended: status, out, err (text; bytes that are not UTF-8 are escaped)."""

    def __init__(self, command, process):
        self.command = command
        self.status = process.returncode
        self.out = process.stdout.decode("utf-8", "backslashreplace")
        self.err = process.stderr.decode("utf-8", "backslashreplace")

    def __repr__(self):
        return "status %d of %s\n      out: %s\n      err: %s" % (
            self.status, " ".join(self.command), self.out[-2000:], self.err[-4000:])


class Story:
    """The folder, its programs and its servers. Paths are short: Unix sockets allow 107 bytes."""

    def __init__(self):
        self.servers = []
        self.places = []  # (path as the documentation writes it, where it is in this story)
        self.started = time.monotonic()
        self.folder = tempfile.mkdtemp(prefix="vm-", dir="/tmp")
        os.chmod(self.folder, 0o755)  # servers run as users of their own
        for name in ("bin", "log", "etc"):
            os.mkdir(self.path(name))
        os.chmod(self.path("log"), 0o777)
        self.root = self.path("mail")
        os.mkdir(self.root)
        self.config = self.path("etc/vmail.conf")
        self.user = "vmail" if is_root() and user_exists("vmail") else None
        if self.user:
            shutil.chown(self.root, "vmail", "vmail")
        self._install()
        self.place("/var/mail/vmail", self.root)
        self.place("/usr/local/bin", self.path("bin"))
        self.place("/etc/vmail", self.path("etc"))

    def path(self, name):
        return os.path.join(self.folder, name)

    def _install(self):
        """Copies the programs: pipe(8) runs them as vmail, who may not look into our clone."""
        os.mkdir(self.path("libexec"))
        for program in sorted(os.listdir(PROGRAMS)):
            source = os.path.join(PROGRAMS, program)
            if not os.path.isfile(source) or not os.access(source, os.X_OK):
                continue
            shutil.copy(source, self.path("libexec"))
            os.chmod(os.path.join(self.path("libexec"), program), 0o755)
            wrapper = self.path("bin/" + program)
            with open(wrapper, "w", encoding="utf-8") as script:
                # pipe(8) starts programs with an environment of its own
                script.write('#!/bin/sh\nexport UBSAN_OPTIONS=print_stacktrace=1 ' +
                             'ASAN_OPTIONS="$VMAIL_ASAN_OPTIONS" LC_ALL=C.UTF-8\n' +
                             'exec %s -c %s "$@"\n'
                             % (os.path.join(self.path("libexec"), program), self.config))
            os.chmod(wrapper, 0o755)
        shutil.copytree(os.path.join(SOURCE, "schema"), self.path("schema"))
        for folder, _, files in os.walk(self.path("schema")):
            os.chmod(folder, 0o755)
            for name in files:
                os.chmod(os.path.join(folder, name), 0o644)

    # ---------------------------------------------------------------- configuration

    def place(self, documented, here):
        """From now on the documentation's path @documented means @here."""
        self.places.append((documented, here))
        self.places.sort(key=lambda place: -len(place[0]))

    def moved(self, text):
        """A configuration as documented, its paths moved below this story's folder."""
        for documented, here in self.places:
            text = text.replace(documented, here)
        return text

    def write(self, name, text, mode=0o644, owner=None):
        path = name if name.startswith("/") else self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        if owner and is_root():
            shutil.chown(path, owner, owner)
        return path

    def configure(self, **keys):
        """Writes vmail.conf; call it again to change keys."""
        keys = {"vmail_root": self.root, "schema_dir": self.path("schema"),
                "log_target": self.path("log/vmail.log"), "hostname": "mail.example.com",
                "sendmail_path": "/bin/false", **keys}
        self.keys = keys
        # at once: a delivery that starts now reads the old or the new one
        self.write(self.config + ".new", "".join("%s = %s\n" % item for item in keys.items()))
        os.replace(self.config + ".new", self.config)

    def database_uri(self):
        return self.keys.get("database", "sqlite:%s/vmail.db" % self.root)

    # ---------------------------------------------------------------- running

    def as_vmail(self):
        """Arguments for subprocess: the user who owns the mail."""
        if not self.user:
            return {}
        entry = pwd.getpwnam(self.user)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def run(self, *command, input=b"", status=None, env=None, timeout=PATIENCE * 2, **more):
        """Runs a program as vmail and returns its Result; @status: the exit status wanted."""
        if isinstance(input, str):
            input = input.encode("utf-8")
        command = [str(word) for word in command]
        if "/" not in command[0] and os.path.exists(self.path("bin/" + command[0])):
            command[0] = self.path("bin/" + command[0])
        process = subprocess.run(command, input=input, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, timeout=timeout, cwd=self.folder,
                                 env={**os.environ, **(env or {})}, check=False,
                                 **{**self.as_vmail(), **more})
        result = Result(command, process)
        if status is not None and result.status != status:
            raise Failure("%s should end with status %d\n    found: %r"
                          % (" ".join(command), status, result))
        return result

    def vmail(self, *words, status=0, **more):
        return self.run("vmail", *words, status=status, **more)

    def deliver(self, message, user, *words, status=0, **more):
        return self.run("vmail-lda", "-d", user, *words, input=message, status=status, **more)

    # ---------------------------------------------------------------- looking

    def home(self, address):
        local, domain = address.split("@")
        return os.path.join(self.root, domain, local)

    def rows(self, sql, *values):
        """What a SELECT gives, as a list of dicts, from whichever database this story uses.
        Values are $1, $2…; PostgreSQL is asked through psql: the standard library has no client."""
        uri = self.database_uri()
        if uri.startswith("sqlite:"):
            base = sqlite3.connect("file:%s?mode=ro" % uri[7:], uri=True, timeout=PATIENCE)
            try:
                base.row_factory = sqlite3.Row
                named = {str(i + 1): v for i, v in enumerate(values)}
                return [dict(row) for row in base.execute(sql, named)]
            finally:
                base.close()
        for i, value in reversed(list(enumerate(values))):
            quoted = str(value) if isinstance(value, int) else "'%s'" % value.replace("'", "''")
            sql = sql.replace("$%d" % (i + 1), quoted)
        text = self.psql("SELECT coalesce(json_agg(t), '[]') FROM (%s) t" % sql)
        return json.loads(text)

    def psql(self, sql, uri=None):
        result = self.run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d",
                          uri or self.database_uri(), "-f", "-", input=sql, status=0)
        return result.out

    def execute(self, sql):
        """Changes something in the database, as a webmail or an administrator would."""
        uri = self.database_uri()
        if not uri.startswith("sqlite:"):
            return self.psql(sql)
        return self.run("sqlite3", "-cmd", ".timeout 60000", uri[7:], sql, status=0).out

    # ---------------------------------------------------------------- telling

    def step(self, sentence):
        print("%6.1f s  %s" % (time.monotonic() - self.started, sentence), flush=True)

    def show_logs(self):
        for log in sorted(glob.glob(self.path("log/*"))):
            with open(log, "rb") as file:
                lines = file.read().decode("utf-8", "backslashreplace").splitlines()
            if lines:
                print("\n--- the end of %s (%d lines)" % (log, len(lines)))
                print("\n".join(line[:600] for line in lines[-60:]))

    def close(self, keep):
        for server in reversed(self.servers):
            try:
                server.stop()
            except Exception as problem:  # the others must be stopped all the same
                print("stopping %s: %s" % (server, problem))
        if keep:
            print("\nkept: %s" % self.folder)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


NEEDS = {
    "root": (is_root, "needs root: Postfix and Dovecot change to users of their own"),
    "vmail": (lambda: user_exists("vmail"),
              "needs the system user vmail: ./run-tests makes it"),
    "postgres": (lambda: glob.glob("/usr/lib/postgresql/*/bin/postgres"),
                 "needs PostgreSQL: apt install postgresql"),
    "postfix": (lambda: os.path.exists("/usr/lib/postfix/sbin/master"),
                "needs Postfix: apt install postfix postfix-pgsql postfix-sqlite"),
    "dovecot": (lambda: os.path.exists("/usr/sbin/dovecot"),
                "needs Dovecot: apt install dovecot-imapd dovecot-pgsql dovecot-sqlite"),
    "pgbouncer": (lambda: shutil.which("pgbouncer"), "needs PgBouncer: apt install pgbouncer"),
}


def run(story, needs=()):
    """Runs story(Story) as a program. VMAIL_KEEP=1 leaves the folder behind for a look."""
    os.umask(0o022)
    # The first signal becomes an exception, so that servers are stopped on ctest's timeout too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.environ.setdefault("LC_ALL", "C.UTF-8")
    os.environ["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    for name in ("LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONHOME", "MAIL_CONFIG", "PGHOST", "PGPORT",
                 "PGUSER", "PGDATABASE", "PGSERVICE"):
        os.environ.pop(name, None)
    for need in needs:
        present, reason = NEEDS[need]
        if not present():
            print("skipped: " + reason)
            sys.exit(SKIPPED)
    s = Story()
    status = 1
    try:
        story(s)
        status = 0
        print("%6.1f s  all as told" % (time.monotonic() - s.started))
    except Skip as reason:
        print("skipped: %s" % reason)
        status = SKIPPED
    except Failure as failure:
        print("\nFAILED: %s" % failure)
        where = traceback.extract_tb(failure.__traceback__)
        for frame in where:
            if not frame.filename.endswith("story.py"):
                print("    at %s:%d: %s" % (os.path.basename(frame.filename), frame.lineno,
                                            frame.line))
    except Exception:
        print("\nFAILED by an exception:")
        traceback.print_exc(file=sys.stdout)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if status not in (0, SKIPPED):
            s.show_logs()
        s.close(keep=bool(os.environ.get("VMAIL_KEEP")))
    sys.exit(status)
