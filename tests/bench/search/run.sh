#!/bin/bash
# The numbers of docs/search.md. Usage: run.sh BUILD_DIR [sqlite|pgsql] [ROWS]
#
# Makes a site's database in a temporary folder, by default a million rows: users of 1,000, 100,000 and up to
# a million messages, and as many of 100,000 as are left, mixed as mail arrives; fills the index, and
# times every kind of query and deliveries' INSERTs with and without the search triggers. In the
# environment, ALTERNATIVES=1 times other indexes too, BENCH_CPU=1 counts processor time, the server's
# too, instead of the clock. PostgreSQL is a private server with its default configuration but the
# memory a database of this size is given; the page cache is warm. A million rows need 3 GB and ten
# minutes, ten million 25 GB and an hour. KEEP=1 leaves the folder and the server, and says where.
set -eu
build=$(realpath "$1")
kind=${2:-sqlite}
rows=${3:-1000000}
here=$(dirname "$(realpath "$0")")
folder=$(mktemp -d "${TMPDIR:-/tmp}/vmail-bench-XXXXXX")
bench=$build/tests/bench_search
server=

finish() {
    [ -z "${KEEP:-}" ] || { echo "left: $uri"; return; }
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
        -c shared_buffers=$((rows < 2000000 ? 512 : 6144))MB \
        -c max_wal_size=8GB -c effective_cache_size=12GB -c random_page_cost=1.1 >"$folder/log" 2>&1 &
    server=$!
    until "$programs/pg_isready" -q -h "$folder"; do sleep 0.1; done
    uri="postgresql:///postgres?host=$folder&user=postgres"
else
    uri="sqlite:$folder/vmail.db"
fi

"$build/bin/vmail" -o "vmail_root=$folder" -o "database=$uri" -o "schema_dir=$here/../../../schema" \
    migrate >/dev/null
# PostgreSQL gets its rows by COPY and their indexes afterwards; the search index is filled as vmail sync does
# while mail arrives, old rows first.
load_pgsql() {
    as_replica="PGOPTIONS=-csession_replication_role=replica"
    others="FROM pg_indexes WHERE tablename = 'email_headers' AND indexname <> 'email_headers_pkey'"
    made_again=$(sql "SELECT indexdef || ';' $others")
    sql "$(sql "SELECT 'DROP INDEX ' || indexname || ';' $others")"
    sql "INSERT INTO virtual_users (id, email)
         SELECT i, 'user' || i || '@mail.example' FROM generate_series(1, 200) i"
    "$bench" "$uri" rows "$rows" |
        env "$as_replica" psql -qAtX -h "$folder" -U postgres postgres -c "COPY email_headers
            (id, user_id, subject, sender, recipient, date, is_read, file_is_read, mailbox, message_id,
             file, size, flags, has_attachment, received_at, search_document) FROM STDIN"
    sql "$made_again"
    sql "SELECT setval('email_headers_id_seq', $rows)" >/dev/null
    sql "VACUUM (ANALYZE) email_headers"
    for first in $(seq 1 100000 "$rows"); do
        sql "INSERT INTO email_search_pending SELECT user_id, id FROM email_headers
             WHERE id >= $first AND id < $first + 100000"
        "$bench" "$uri" fill
    done | awk '{ rows += $2; seconds += $2 / $4 }
                END { printf "filled %d rows, %.0f rows/s\n", rows, rows / seconds }'
}

if [ "$kind" = pgsql ]; then
    load_pgsql
    sql "VACUUM (ANALYZE)"
    sql "SELECT relname, pg_size_pretty(pg_total_relation_size(oid)) FROM pg_class
         WHERE relname IN ('email_headers', 'email_search') AND relkind = 'r'"
else
    "$bench" "$uri" generate "$rows"
    "$bench" "$uri" fill
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
