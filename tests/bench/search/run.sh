#!/bin/bash
# The numbers of docs/search.md. Usage: run.sh BUILD_DIR [sqlite|pgsql] [ROWS_OF_THE_LARGE_USER]
#
# Makes a database in a temporary folder with three users of 1,000, 100,000 and (default) 899,000
# messages, fills the index, and times deliveries' INSERTs with and without the search triggers and
# every kind of query. In the environment, ALTERNATIVES=1 times other indexes too, BENCH_CPU=1 counts
# processor time, the server's too, instead of the clock. PostgreSQL is a private server with its default
# configuration but shared_buffers=512MB; the page cache is warm. Needs 3 GB and ten minutes.
set -eu
build=$(realpath "$1")
kind=${2:-sqlite}
large=${3:-899000}
here=$(dirname "$(realpath "$0")")
folder=$(mktemp -d "${TMPDIR:-/tmp}/vmail-bench-XXXXXX")
bench=$build/tests/bench_search
server=

finish() {
    [ -z "$server" ] || { kill -INT "$server"; wait "$server" || true; }
    rm -rf "$folder"
}
trap finish EXIT

sql() { # statements to the database
    if [ "$kind" = pgsql ]; then
        psql -qAtX -h "$folder" -U postgres postgres -c "$1"
    else
        /usr/bin/python3 -c 'import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
if sys.argv[2].lstrip().upper().startswith("SELECT"):
    for row in db.execute(sys.argv[2]): print(*row)
else: db.executescript(sys.argv[2])
db.commit()' "$folder/vmail.db" "$1"
    fi
}

if [ "$kind" = pgsql ]; then
    programs=$(dirname "$(ls -d /usr/lib/postgresql/*/bin/postgres | tail -1)")
    as=
    if [ "$(id -u)" = 0 ]; then
        as="setpriv --reuid=postgres --regid=postgres --clear-groups"
        chown postgres "$folder"
    fi
    $as "$programs/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 \
        --no-sync >/dev/null
    $as "$programs/postgres" -D "$folder/data" -k "$folder" -c listen_addresses= \
        -c shared_buffers=512MB -c max_wal_size=4GB >"$folder/log" 2>&1 &
    server=$!
    until "$programs/pg_isready" -q -h "$folder"; do sleep 0.1; done
    uri="postgresql:///postgres?host=$folder&user=postgres"
else
    uri="sqlite:$folder/vmail.db"
fi

"$build/bin/vmail" -o "vmail_root=$folder" -o "database=$uri" -o "schema_dir=$here/../../../schema" \
    migrate >/dev/null
sql "INSERT INTO virtual_users (id, email) VALUES (1, 'user1@mail.example'),
     (2, 'user2@mail.example'), (3, 'user3@mail.example'), (4, 'user4@mail.example')"

"$bench" "$uri" generate 1 1000
"$bench" "$uri" generate 2 100000
"$bench" "$uri" generate 3 "$large"
"$bench" "$uri" fill
if [ "$kind" = pgsql ]; then
    sql "VACUUM (ANALYZE)"
    sql "SELECT relname, pg_size_pretty(pg_total_relation_size(oid)) FROM pg_class
         WHERE relname IN ('email_headers', 'email_search') AND relkind = 'r'"
else
    ls -l "$folder/vmail.db"
fi
for user in 1 2 3; do
    echo "--- user $user"
    "$bench" "$uri" query "$user" 200
done

echo "--- a delivery's INSERT, with the search's trigger, without it, and without its indexes by date too"
make=$(sed -n '/^CREATE TRIGGER email_search_insert /,/;$/p' "$here/../../../schema/$kind/0005-search.sql")
[ "$kind" = pgsql ] || make="$make END;"
drop="DROP TRIGGER email_search_insert"
[ "$kind" = sqlite ] || drop="$drop ON email_headers"
indexes=$(sed -n '/^CREATE INDEX .*email_headers_user_/,/;$/p' "$here/../../../schema/$kind/0005-search.sql")
drop_indexes=$(echo "$indexes" | sed -n 's/^CREATE INDEX .*\(email_headers_user_[a-z]*\) .*/DROP INDEX \1;/p')
times() {
    echo "$1"
    "$bench" "$uri" insert 4 2000
    "$bench" "$uri" insert 4 20000 4000 | sed 's/^/  of many in a transaction: /'
}
for round in 1 2 3; do
    times with
    sql "$drop"
    times "without the trigger"
    sql "$drop_indexes"
    times "without trigger and indexes"
    sql "$indexes"
    sql "$make"
done

if [ "${ALTERNATIVES:-}" = 1 ]; then
    echo "--- other indexes"
    [ "$kind" = pgsql ] && where=$folder || where=$folder/vmail.db
    /usr/bin/python3 "$here/alternatives.py" "$where"
fi
