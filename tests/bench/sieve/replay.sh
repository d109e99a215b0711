#!/bin/sh
# replay.sh BUILD [COUNT]: what a message costs `vmail replay` (one worker, SQLite) in processor time, with the
# script's program kept between messages, and compiled for each: its file's time then lies in the future,
# which is never trusted. Rounds take turns; the least of three counts. TMPDIR=/dev/shm leaves the disk out.
set -eu
build=${1:?usage: replay.sh BUILD [COUNT]}
count=${2:-1000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
schema=$(cd "$(dirname "$0")/../../../schema" && pwd)

printf '%s = %s\n' vmail_root "$work/mail" schema_dir "$schema" log_target "$work/log" \
    hostname mail.example.com sendmail_path /bin/false >"$work/conf"
vmail() { "$build/bin/vmail" -c "$work/conf" "$@" >>"$work/out" 2>&1 || { cat "$work/out"; exit 1; }; }
mkdir "$work/mail" "$work/new"
vmail migrate
"$build/tests/bench_sieve" --write-to "$work"
i=0
while [ $i -lt "$count" ]; do # the same in all but its identity
    sed "s/<1@example/<$i@example/" "$work/4096.eml" >"$work/new/$i.eml"
    i=$((i + 1))
done

# user and system seconds of a replay to a new user, in ticks of 1/100 s
ticks() {
    vmail user add "$1@example.com"
    home=$work/mail/example.com/$1
    mkdir -p "$home"
    cp "$work/$2.sieve" "$home/.dovecot.sieve"
    touch -d "$3" "$home/.dovecot.sieve"
    sleep 2.2 # what was changed in the last two seconds is not trusted either
    { command time -f '%U %S' "$build/bin/vmail" -c "$work/conf" replay -j 1 -u "$1@example.com" \
        -t eml "$work/new" >>"$work/out" 2>"$work/err"; } 2>"$work/time" ||
        { cat "$work/err" "$work/time"; exit 1; }
    tail -n 1 "$work/err" | awk '{print int(($1 + $2) * 100 + .5)}'
}

echo "microseconds of processor time a message, of $count:"
printf '%6s %10s %10s\n' rules kept compiled
for rules in 1 10 100 1000; do
    kept=999999 compiled=999999
    for round in 1 2 3; do
        now=$(ticks "k$rules-$round" $rules "1 hour ago")
        [ "$now" -ge "$kept" ] || kept=$now
        now=$(ticks "c$rules-$round" $rules "1 hour")
        [ "$now" -ge "$compiled" ] || compiled=$now
    done
    printf '%6s %10s %10s\n' $rules $((kept * 10000 / count)) $((compiled * 10000 / count))
done
