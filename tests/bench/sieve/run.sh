#!/bin/sh
# run.sh BUILD: bench_sieve of that build (a Release one), and sieve-test's user time for scale.
set -eu
build=${1:?usage: run.sh BUILD}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$build/tests/bench_sieve"
command -v sieve-test >/dev/null || exit 0
"$build/tests/bench_sieve" --write-to "$work"
# it wants a user who is not root
printf 'mail_location = maildir:%s/mail\nmail_uid = nobody\nmail_gid = nogroup\nfirst_valid_uid = 1\nfirst_valid_gid = 1\n' \
    "$work" >"$work/dovecot.conf"
chmod -R a+rwX "$work"
echo
echo "sieve-test (Pigeonhole), whole process with compile, user time of 20 runs on 4 KiB:"
for rules in 10 1000; do
    echo "$rules rules:"
    ( time -p sh -c "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        sieve-test -c $work/dovecot.conf -C $work/$rules.sieve $work/4096.eml >/dev/null 2>$work/log ||
            { cat $work/log; exit 1; }
    done" ) 2>&1
done
