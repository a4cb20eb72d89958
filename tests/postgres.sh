#!/usr/bin/env bash
# Runs the tests over a server that speaks PostgreSQL's protocol.
#
#   tests/postgres.sh                    starts a PostgreSQL of its own on the loopback interface, and stops it
#   tests/postgres.sh URL                over a server that runs: CockroachDB, YugabyteDB, another PostgreSQL
#   tests/postgres.sh [URL] -- COMMAND   runs this command; by default `cargo test --workspace --test suite`
#
# Each store of the tests is a namespace of its own, which is removed again. Tests that stop, kill or slow down a server
# start theirs whatever the URL is; they need PostgreSQL's programs on this machine. As root they run as the user
# postgres, and Debian's package is installed where it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

url=${TRACKER_POSTGRES:-}
if [ $# -gt 0 ] && [ "$1" != -- ]; then
    url=$1
    shift
fi
if [ "${1:-}" = -- ]; then shift; fi
command=("$@")
if [ ${#command[@]} = 0 ]; then command=(cargo test --workspace --test suite); fi

# The directory of PostgreSQL's programs, of the newest version.
programs() {
    if command -v initdb > /dev/null && command -v pg_ctl > /dev/null; then
        dirname "$(realpath "$(command -v initdb)")"
        return
    fi
    find /usr/lib/postgresql /usr/pgsql-* -maxdepth 3 -name initdb 2> /dev/null | sort -V | tail -n 1 | xargs -r dirname
}

bin=$(programs)
if [ -z "$bin" ] && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    # Without the cluster that Debian starts by itself.
    mkdir -p /etc/postgresql-common/createcluster.d
    echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.d/none.conf
    { apt-get install -qy postgresql || { apt-get update -q && apt-get install -qy postgresql; }; } >&2
    bin=$(programs)
fi
export TRACKER_POSTGRES_BIN=$bin

if [ -n "$url" ]; then
    TRACKER_POSTGRES=$url "${command[@]}"
    exit
fi
if [ -z "$bin" ]; then
    echo "PostgreSQL is not on this machine: install it (Debian: postgresql), or name a server: tests/postgres.sh URL" >&2
    exit 1
fi

unprivileged() {
    if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}

dir=$(unprivileged mktemp -d /tmp/tracker-postgres.XXXXXX)
stop() {
    unprivileged "$bin/pg_ctl" -D "$dir/data" -m immediate stop > /dev/null 2>&1 || true
    rm -rf "$dir"
}
trap stop EXIT
password=$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
echo "$password" | unprivileged tee "$dir/password" > /dev/null
unprivileged "$bin/initdb" -D "$dir/data" -U tracker -A scram-sha-256 --pwfile="$dir/password" -E UTF8 --locale=C \
    > "$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; exit 1; }
# A port that is free now; somebody else may take it first.
for _ in 1 2 3 4 5; do
    port=$((20000 + RANDOM % 12000))
    options="-p $port -c listen_addresses=127.0.0.1 -k $dir -c max_connections=200 -c fsync=off"
    if unprivileged "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -o "$options" start > /dev/null; then break; fi
    port=
done
if [ -z "$port" ]; then
    cat "$dir/log" >&2
    exit 1
fi
echo "$("$bin/postgres" --version) on port $port" >&2
TRACKER_POSTGRES="postgres://tracker:$password@127.0.0.1:$port/postgres?sslmode=disable" "${command[@]}"
