"""The commands of vmail sieve as people and programs read them: check, test, run-tests, extensions.

Each case is a line of CASES and a file NAME.want in tests/data/sieve-commands: the command, what it prints,
its exit status. After a change that is meant, write them anew and read the difference before it is committed:

    VMAIL_UPDATE=1 VMAIL_BIN=build/debug/bin /usr/bin/python3 -B tests/e2e/22-sieve-commands.py
    git diff tests/data/sieve-commands
"""
import difflib
import glob
import json
import os
import re
import shutil

from lib.mails import message
from lib.story import SOURCE, Failure, run, want, want_equal

DATA = os.path.join(SOURCE, "tests/data/sieve-commands")
UPDATE = os.environ.get("VMAIL_UPDATE") == "1"
KIM_ADDRESS = "kim@example.kr"
KIM = "--envelope-from chulsoo.kim@example.net --envelope-to " + KIM_ADDRESS
TEST_JSON = "test --json " + KIM + " "

# name, the words behind "vmail sieve", exit status; "<" feeds a file to standard input
CASES = [
    ("check-broken", "check broken.sieve", 1),
    ("check-syntax", "check syntax.sieve", 1),
    ("check-unclosed", "check unclosed.sieve", 1),
    ("check-warnings", "check --mailbox 거래처/청구서 warnings.sieve", 0),
    ("check-several", "check korean.sieve unclosed.sieve empty.sieve", 1),
    ("check-missing", "check missing.sieve", 1),
    ("check-regex", "check regex.sieve", 1),
    ("check-of-nobody", "check of-user.sieve", 1),
    ("check-of-user", "check -u kim@example.kr of-user.sieve keep.sieve", 1),
    ("check-of-user-active", "check -u kim@example.kr", 0),
    ("check-of-user-alone", "check -u lee@example.kr", 0),
    ("check-of-unknown", "check -u nobody@example.kr keep.sieve", 67),
    ("text-korean", "test " + KIM + " korean.sieve message.eml", 0),
    ("text-vacation-list", "test " + KIM + " vacation.sieve list.eml", 0),
    ("text-failing", "test failing.sieve message.eml", 0),
    ("explain-korean", "test --explain " + KIM + " korean.sieve message.eml", 0),
    ("explain-envelope", "test --explain --envelope-from <> --envelope-to kim+한글@example.kr "
                         "envelope.sieve message.eml", 0),
    ("json-empty", TEST_JSON + "empty.sieve message.eml", 0),
    ("json-broken", TEST_JSON + "broken.sieve message.eml", 1),
    ("json-failing", TEST_JSON + "failing.sieve message.eml", 0),
    ("json-keep", TEST_JSON + "keep.sieve message.eml", 0),
    ("json-fileinto", TEST_JSON + "korean.sieve message.eml", 0),
    ("json-discard", TEST_JSON + "discard.sieve message.eml", 0),
    ("json-redirect", TEST_JSON + "redirect.sieve message.eml", 0),
    ("json-reject", TEST_JSON + "reject.sieve message.eml", 0),
    ("json-ereject", TEST_JSON + "ereject.sieve message.eml", 0),
    ("json-vacation", TEST_JSON + "vacation.sieve message.eml", 0),
    ("json-vacation-list", TEST_JSON + "vacation.sieve list.eml", 0),
    ("json-notify", TEST_JSON + "notify.sieve message.eml", 0),
    ("json-pipe", TEST_JSON + "-o sieve_extensions=+vnd.dovecot.pipe pipe.sieve message.eml", 0),
    ("json-report", TEST_JSON + "-o sieve_extensions=+vnd.dovecot.report report.sieve message.eml", 0),
    ("json-edited", TEST_JSON + "edited.sieve message.eml", 0),
    ("json-replaced", TEST_JSON + "replaced.sieve message.eml", 0),
    ("json-explain", TEST_JSON + "--explain discard.sieve message.eml", 0),
    ("run-tests", "run-tests base.svtest", 1),
    ("run-tests-verbose", "run-tests -v base.svtest engines.svtest", 1),
    ("run-tests-failing", "run-tests -F base.svtest engines.svtest", 1),
    ("run-tests-native", "run-tests engines.svtest", 0),
    ("run-tests-libsieve", "run-tests --engine libsieve engines.svtest", 1),
    ("extensions", "extensions", 0),
]
KINDS = {"keep", "fileinto", "discard", "redirect", "reject", "ereject", "vacation", "notify", "pipe",
         "report"}
ROOT_KEYS = {"compile", "errors", "actions", "implicit_keep", "runtime_error"}


def steady(text):
    """Without what is new at each run: ids, the time, boundaries."""
    text = re.sub(r"<vmail-sieve-[0-9a-f-]+@", "<vmail-sieve-ID@", text)
    text = re.sub(r"(Date: |Arrival-Date: )\w{3}, \d+ \w{3} (?!2025)\d{4} [\d:]+ [+-]\d{4}", r"\1NOW", text)
    return re.sub(r"=_(vmail|report)_[0-9a-f]{24}", r"=_\1_BOUNDARY", text)


def differences(name, found):
    """What differs from NAME.want, for a person; with VMAIL_UPDATE the file is written."""
    path = os.path.join(DATA, name + ".want")
    if UPDATE:
        with open(path, "w", encoding="utf-8") as file:
            file.write(found)
        return []
    with open(path, encoding="utf-8") as file:
        wanted = file.read()
    return list(difflib.unified_diff(wanted.splitlines(), found.splitlines(), name + ".want", "found",
                                     lineterm=""))


def check_schema(root):
    """What programs rely on, beyond the golden files."""
    want(ROOT_KEYS <= set(root), "all keys are there", root)
    want_equal(root["compile"], "error" if root["errors"] else "ok", "compile agrees with errors")
    for error in root["errors"]:
        want(error["line"] > 0 and error["column"] > 0 and error["message"], "a positioned error", error)
    implicit = [a for a in root["actions"] if a["action"] == "keep" and a["implicit"]]
    want_equal(bool(implicit), root["implicit_keep"], "implicit_keep agrees with the actions")
    for action in root["actions"]:
        if action["action"] in ("redirect", "reject", "ereject", "vacation", "notify", "report") \
                and "suppressed" not in action:
            want({"message", "envelope_from", "envelope_to"} <= set(action), "what is sent is there", action)


def make_users(s):
    """kim with a folder, a group, an active script and one to include; lee with nothing."""
    s.vmail("migrate")
    for address in (KIM_ADDRESS, "lee@example.kr"):
        s.vmail("user", "add", address)
    s.deliver(message("one"), KIM_ADDRESS)
    s.deliver(message("two"), KIM_ADDRESS, "-m", "거래처/청구서")
    s.vmail("contacts", "-u", KIM_ADDRESS, "add", "park@example.net", "Park")
    for group in ("회사", "family"):
        s.vmail("contacts", "-u", KIM_ADDRESS, "group", "add", group, "park@example.net")
    s.run("mkdir", s.home(KIM_ADDRESS) + "/sieve", status=0)
    s.write(s.home(KIM_ADDRESS) + "/sieve/mine.sieve", 'require "fileinto";\nfileinto "또 없는 폴더";\n',
            0o600, s.user)
    s.write(s.home(KIM_ADDRESS) + "/.dovecot.sieve", 'require "fileinto";\nfileinto "없는 폴더";\n', 0o600,
            s.user)


def story(s):
    s.configure()
    make_users(s)
    for path in glob.glob(DATA + "/*"):
        shutil.copy(path, s.folder)
    kinds, broken = set(), []

    def sieve(words, **more):
        return s.run("vmail", "sieve", *words.split(), **more)

    s.step("%d commands print what they are known to print" % len(CASES))
    for name, words, status in CASES:
        result = sieve(words)
        found = "$ vmail sieve %s\n%s%sexit %d\n" % (words, steady(result.out), steady(result.err),
                                                     result.status)
        found = found.replace(s.root, "/var/mail/vmail")
        want_equal(result.status, status, "exit status of vmail sieve " + words)
        broken += differences(name, found)
        if "--json" in words:
            root = json.loads(result.out)
            check_schema(root)
            kinds |= {action["action"] for action in root["actions"]}
    if broken:
        raise Failure("the commands print something else:\n" + "\n".join(broken))
    want_equal(kinds, KINDS, "each kind of action was seen in JSON")

    s.step("the message may come on standard input")
    with open(os.path.join(DATA, "message.eml"), "rb") as file:
        piped = sieve(TEST_JSON + "korean.sieve -", input=file.read()).out
    want_equal(piped, sieve(TEST_JSON + "korean.sieve message.eml").out, "the same as from a file")

    s.step("folders that exist, envelopes, who logged in")
    for folders, mailbox in (("", "INBOX"), ("--mailbox 보관함", "보관함"),
                             ("--mailbox 보관함 --mailbox 보관함.2025", "보관함.2025")):
        root = json.loads(sieve("test --json %s folders.sieve message.eml" % folders).out)
        want_equal([a["mailbox"] for a in root["actions"]], [mailbox], "with " + folders)
    for sender, recipient, mailbox in (("<>", "kim+한글@example.kr", "반송."),
                                       ("a@example.net", "kim+orders@example.kr", "거래처.Kim")):
        root = json.loads(s.vmail("sieve", "test", "--json", "--envelope-from", sender, "--envelope-to",
                                  recipient, "envelope.sieve", "message.eml").out)
        want_equal([a["mailbox"] for a in root["actions"]], [mailbox], "from %s to %s" % (sender, recipient))

    s.step("the list of extensions as JSON says what the table says")
    listed = json.loads(sieve("extensions --json", status=0).out)
    table = sieve("extensions").out
    for extension in listed:
        want(re.search("^%s .*%s" % (re.escape(extension["name"]), re.escape(extension["rfc"])), table,
                       re.M), "it is in the table", extension, table)
    want(len(listed) > 45, "all of them", len(listed))

    s.step("words that no command knows are answered with the usage")
    for words in ("test", "check", "run-tests", "nonsense", "test --nonsense korean.sieve",
                  "check -u kim@example.kr --mailbox INBOX keep.sieve",
                  "run-tests --engine other base.svtest"):
        result = sieve(words, status=64)
        want("usage: vmail sieve" in result.err, "usage of " + words, result)


if __name__ == "__main__":
    run(story)
