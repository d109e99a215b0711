#!/usr/bin/env python3
"""Other indexes for the same search, on the rows that run.sh made: PostgreSQL's trigrams, tsvector,
plain walk; SQLite's FTS5 trigram and plain walk. Prints time to build, size, time per query and per
inserted row. Usage: alternatives.py FOLDER_OF_SOCKET [DATABASE] | FILE.db   (run.sh calls it with
ALTERNATIVES=1; ALTERNATIVE=word takes those alone whose name holds it)
"""
import os
import random
import re
import sqlite3
import statistics
import subprocess
import sys
import time

USERS = {1: "1,000", 2: "100,000", 3: "the large user"}


def words(documents):
    """The first two letters of words of these subjects: what is typed first in Korean or Japanese."""
    found = re.findall(r"[가-힣]{2}|[一-龥ア-ン]{2}|[a-z]{4,}", " ".join(documents))
    random.seed(3)
    return random.sample(found, 40)


class Postgres:
    def __init__(self, folder, name="postgres"):
        self.folder, self.name = folder, name

    def run(self, sql):
        done = subprocess.run(["psql", "-qAtX", "-h", self.folder, "-U", "postgres", self.name],
                              input="SET client_min_messages = warning;\n" + sql,
                              capture_output=True, text=True)
        if done.returncode or done.stderr:
            raise SystemExit(done.stderr)
        return done.stdout.splitlines()

    def times(self, sql, cases):
        """Milliseconds of each, as the server sees it; the first round warms up."""
        text = "SET jit = off;\n" + "".join("EXPLAIN (ANALYZE, TIMING OFF, SUMMARY ON) " + sql.format(**case) + ";\n"
                       for case in cases * 2)
        found = [float(line.split()[2]) for line in self.run(text)
                 if line.startswith("Execution Time")]
        return found[len(cases):]


class Sqlite:
    def __init__(self, path):
        self.db = sqlite3.connect(path)
        self.db.execute("PRAGMA mmap_size = 2147418112")

    def run(self, sql):
        rows = ["|".join(map(str, row)) for row in self.db.execute(sql)]
        self.db.commit()
        return rows

    def times(self, sql, cases):
        """Milliseconds of the processor."""
        found = []
        for case in cases * 2:
            start = time.process_time()
            self.db.execute(sql.format(**case)).fetchall()
            found.append((time.process_time() - start) * 1000)
        return found[len(cases):]


PLAIN_PG = ("SELECT id FROM email_headers WHERE user_id = {user} AND "
            "strpos(search_document, '{word}') > 0 ORDER BY date DESC, id DESC LIMIT 50")
ALTERNATIVES_PG = [
    ("plain walk by date", None, None, PLAIN_PG),
    ("trigram GIN (user_id, text)", "CREATE INDEX alternative ON email_headers USING gin "
     "(user_id, search_document gin_trgm_ops)", None,
     "SELECT id FROM email_headers WHERE user_id = {user} AND search_document LIKE '%{word}%' "
     "ORDER BY date DESC, id DESC LIMIT 50"),
    ("tsvector GIN, prefix (misses inner letters)", "CREATE INDEX alternative ON email_headers "
     "USING gin (user_id, to_tsvector('simple', search_document))", None,
     "SELECT id FROM email_headers WHERE user_id = {user} AND to_tsvector('simple', "
     "search_document) @@ to_tsquery('simple', '{word}:*') ORDER BY date DESC, id DESC LIMIT 50"),
    ("neighbouring letters, user in the key", "CREATE TABLE letters (user_id integer, id integer, "
     "tokens text[] COLLATE \"C\"); CREATE INDEX alternative ON letters USING gin (tokens); "
     "INSERT INTO letters SELECT user_id, id, ARRAY(SELECT DISTINCT split_part(t, '_', 1) || '_' || "
     "split_part(t, '_', 3) FROM unnest(tokens) t) FROM email_search; "
     "SELECT gin_clean_pending_list('alternative'); ANALYZE letters", None,
     "SELECT h.id FROM email_headers h WHERE h.user_id = {user} AND h.id IN (SELECT id FROM "
     "letters WHERE tokens @> replace(vmail_query_tokens({user}, '{word}')::text, '_#', '')::text[]) "
     "AND strpos(h.search_document, '{word}') > 0 ORDER BY h.date DESC, h.id DESC LIMIT 50"),
    ("the same by quarters (ours, all matches, not only a page)", None, "email_search_tokens",
     "SELECT id FROM vmail_search({user}, '{word}') ORDER BY date DESC, id DESC LIMIT 50"),
]
PLAIN_LITE = PLAIN_PG.replace("strpos", "instr")
ALTERNATIVES_LITE = [
    ("plain walk by date", None, None, PLAIN_LITE),
    ("FTS5 trigram (three letters at least)",
     "CREATE VIRTUAL TABLE alternative USING fts5 (document, content = '', tokenize = 'trigram')",
     "alternative", "SELECT h.id FROM email_headers h WHERE +h.user_id = {user} AND h.id IN "
     "(SELECT rowid FROM alternative WHERE alternative MATCH '\"{word}\"') "
     "ORDER BY h.date DESC, h.id DESC LIMIT 50"),
]


def report(name, built, size, inserted, results):
    print(f"{name}: build {built:.0f} s, {size}, insert {inserted:.0f} µs a row")
    for user, times in results.items():
        times.sort()
        print(f"    {USERS[user]:>16}: p50 {statistics.median(times):8.2f} ms   "
              f"worst of {len(times)} {times[-1]:8.2f} ms")


def insert_cost(database, name):
    if "user in the key" in name:
        sql = ("INSERT INTO letters SELECT 4, id, ARRAY(SELECT DISTINCT '4_' || split_part(t, '_', 3) "
               "FROM unnest(tokens) t) FROM email_search WHERE user_id = 2 LIMIT 5000")
        start = time.perf_counter()
        database.run(sql)
        return (time.perf_counter() - start) / 5000 * 1e6
    sql = ("INSERT INTO email_headers (user_id, subject, sender, date, mailbox, file, "
           "search_document) SELECT 4, subject, sender, date, 'Bench', file || '{round}', "
           "search_document FROM email_headers WHERE user_id = 2 LIMIT 5000")
    start = time.perf_counter()
    database.run(sql.format(round=time.time_ns()))
    cost = (time.perf_counter() - start) / 5000 * 1e6
    database.run("DELETE FROM email_headers WHERE user_id = 4 AND mailbox = 'Bench'")
    return cost


def main():
    pg = not sys.argv[1].endswith(".db")
    database = Postgres(*sys.argv[1:]) if pg else Sqlite(sys.argv[1])
    if pg:
        database.run("CREATE EXTENSION IF NOT EXISTS pg_trgm; CREATE EXTENSION IF NOT EXISTS btree_gin")
    sample = words(database.run("SELECT search_document FROM email_headers WHERE user_id = 2 "
                                "ORDER BY id LIMIT 2000"))
    print("words:", " ".join(sample))
    for name, make, index, query in ALTERNATIVES_PG if pg else ALTERNATIVES_LITE:
        if os.environ.get("ALTERNATIVE", "") not in name:
            continue
        start = time.perf_counter()
        if make:
            database.run(make)
            if not pg:
                database.run("INSERT INTO alternative (rowid, document) SELECT id, search_document "
                             "FROM email_headers")
                database.run("CREATE TRIGGER alternative_insert AFTER INSERT ON email_headers BEGIN "
                             "INSERT INTO alternative (rowid, document) VALUES (NEW.id, "
                             "NEW.search_document); END")
            else:
                database.run("VACUUM ANALYZE email_headers")
        built = time.perf_counter() - start
        name_of_index = "alternative" if make else index
        size = "no index" if not name_of_index else database.run(
            f"SELECT pg_size_pretty(pg_relation_size('{name_of_index}'))" if pg else
            "SELECT (sum(length(block)) / 1048576) || ' MB' FROM alternative_data")[0]
        cost = insert_cost(database, name)
        results = {user: database.times(query, [{"user": user, "word": word} for word in sample])
                   for user in USERS}
        report(name, built if make else 0, size, cost, results)
        if make:
            if pg:
                database.run("DROP TABLE IF EXISTS letters; DROP INDEX IF EXISTS alternative")
            else:
                database.run("DROP TRIGGER alternative_insert")
                database.run("DROP TABLE alternative")


if __name__ == "__main__":
    main()
