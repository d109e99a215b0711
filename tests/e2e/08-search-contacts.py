"""What was delivered is found at once: vmail search and the address book, in both databases."""
import json

from lib.mails import attachment, encoded, message
from lib.servers import Postgres
from lib.story import run, want, want_equal

ALICE, BOB = "alice@example.com", "bob@example.com"

MAIL = {
    "minutes": message("1월 정기 회의록을 보내드립니다", attachment("회의록.txt", b"x" * 100)[1],
                       encoded("김철수") + " <chulsoo@remote.example>", message_id="minutes@x",
                       extra=attachment("회의록.txt", b"x" * 100)[0]),
    "move": message("회의 시간 변경".encode("euc-kr"), message_id="move@x",
                    date="Wed, 03 Jan 2024 10:00:00 +0900"),
    "tokyo": message(encoded("東京での会議", "iso-2022-jp"),
                     sender=encoded("山田太郎", "iso-2022-jp") + " <taro@remote.example>",
                     message_id="tokyo@x", date="Thu, 04 Jan 2024 10:00:00 +0900"),
    "street": message(encoded("Grüße aus der Hauptstraße", "iso-8859-1", "q"),
                      message_id="street@x", date="Fri, 05 Jan 2024 10:00:00 +0100"),
    "long": message("x" * 300 + " needle", message_id="long@x",
                    date="Sat, 06 Jan 2024 10:00:00 +0100"),
    "thread": message("Re: lunch", message_id="thread@x", extra=b"References: <lunch@x>\n",
                      date="Sun, 07 Jan 2024 10:00:00 +0100"),
    "lunch": message("lunch", message_id="lunch@x", date="Sun, 07 Jan 2024 09:00:00 +0100"),
}

# query: the messages it finds, newest first
QUERIES = [
    ("회의", ["move", "minutes"]),
    ("회", ["move", "minutes"]),
    ("의록", ["minutes"]),
    ("会議", ["tokyo"]),
    ("東京 会議", ["tokyo"]),
    ("HAUPTSTRASSE", ["street"]),
    ("grüsse", ["street"]),
    ("from:김철수", ["minutes"]),
    ("from:chulsoo@remote.example", ["minutes"]),
    ("from:山田", ["tokyo"]),
    ("has:attachment", ["minutes"]),
    ("needle", ["long"]),
    ("subject:lunch", ["thread", "lunch"]),
    ('"시간 변경"', ["move"]),
    ("회의 -시간", ["minutes"]),
    ("東京 or needle", ["long", "tokyo"]),
    ("on:2024-01-04", ["tokyo"]),
    ("after:2024-01-06 subject:lunch", ["thread", "lunch"]),
    ("in:Sent", []),
    ("is:read", []),
    ("no such words", []),
    ("100%_'; DROP TABLE email_headers; --", []),
]


def tell(s, name):
    s.vmail("migrate")
    s.vmail("user", "add", ALICE)
    s.vmail("user", "add", BOB)
    for mail in MAIL.values():
        s.deliver(mail, ALICE)
    s.deliver(MAIL["move"], BOB)

    def search(*query):
        done = s.vmail("search", "-u", ALICE, "--json", "--", *query)
        return [hit["message_id"].split("@")[0] for hit in json.loads(done.out)["messages"]]

    s.step("%s: each query finds its messages, and no others" % name)
    for query, wanted in QUERIES:
        want_equal(search(query), wanted, "vmail search %s" % query)

    wrong = s.vmail("search", "-u", ALICE, "--", '회의 "not closed', status=64)
    want("character" in wrong.err, "a query that cannot be is an error with a place", wrong)

    s.step("%s: what is read is found as read; the table is for people" % name)
    s.execute("UPDATE email_headers SET is_read = TRUE WHERE message_id = 'lunch@x'")
    want_equal(search("is:read"), ["lunch"], "is:read")
    table = s.vmail("search", "-u", ALICE, "회의")
    want("1월 정기 회의록을" in table.out and "김철수" in table.out, "the table", table)
    want_equal(len(search()), len(MAIL), "no words: all of alice's, none of bob's")
    path = s.vmail("search", "-u", ALICE, "--format=path", "needle").out.strip()
    with open(path, "rb") as file:
        want(b"needle" in file.read(), "--format=path leads to the file", path)
    page = json.loads(s.vmail("search", "-u", ALICE, "--json", "--limit", "3").out)
    rest = json.loads(s.vmail("search", "-u", ALICE, "--json", "--after", page["next"]).out)
    want_equal(len(page["messages"]) + len(rest["messages"]), len(MAIL), "two pages have all")
    s.vmail("search", "-u", "nobody@example.com", "x", status=67)

    s.step("%s: the address book" % name)
    for email, who in (("chulsoo@remote.example", "김철수"), ("taro@remote.example", "山田太郎"),
                       ("dora@remote.example", "Dora D'Arcy")):
        s.vmail("contacts", "-u", ALICE, "add", email, who)
    s.vmail("contacts", "-u", ALICE, "group", "add", "회사", "chulsoo@remote.example")

    def find(*words):
        done = s.vmail("contacts", "-u", ALICE, "find", "--json", *words)
        found = json.loads(done.out)
        return sorted(c["email"].split("@")[0]
                      for c in (found["contacts"] if isinstance(found, dict) else found))

    for words, wanted in (("철수", ["chulsoo"]), ("ㄱㅊㅅ", ["chulsoo"]), ("회사", ["chulsoo"]),
                          ("d'arcy", ["dora"]), ("山田", ["taro"]),
                          ("remote", ["chulsoo", "dora", "taro"]), ("nobody", [])):
        want_equal(find(words), wanted, "vmail contacts find %s" % words)
    rows = s.rows("SELECT contact_name FROM contacts WHERE contact_email = $1",
                  "chulsoo@remote.example")
    want_equal([r["contact_name"] for r in rows], ["김철수"], "an application reads the table")
    card = s.vmail("contacts", "-u", ALICE, "export", "--format", "vcard4").out
    want("FN:김철수" in card and "BEGIN:VCARD" in card, "vCard", card)
    s.vmail("contacts", "-u", BOB, "import", "-", input=card)
    want("dora@remote.example" in s.vmail("contacts", "-u", BOB, "list").out, "bob imported it")
    s.vmail("contacts", "-u", ALICE, "remove", "taro@remote.example")
    want_equal(find("山田"), [], "removed")


def story(s):
    s.configure()
    tell(s, "SQLite")
    postgres = Postgres(s).start()
    s.root = s.path("mail/second")
    s.run("mkdir", s.root, status=0)
    s.configure(database=postgres.uri)
    tell(s, "PostgreSQL")


if __name__ == "__main__":
    run(story, needs=["postgres"])
