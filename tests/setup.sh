#!/usr/bin/env bash
# Installs what some tests use and a Rust toolchain does not have: Python's lmdb
# and msgpack, in a virtual environment under target/. Prints the Python to set
# as TRACKER_PYTHON.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${CARGO_TARGET_DIR:-target}/python
if ! "$venv/bin/python" -c 'import lmdb, msgpack' 2>/dev/null; then
    python3 -m venv "$venv" >&2
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'lmdb==3.0.0' 'msgpack==1.2.4' >&2
fi
realpath -s "$venv/bin/python"
