#!/usr/bin/env bash
# Runs the long forms of the tests: more kills, more states, longer sequences.
# What they print as FIGURE lines is recorded in tests/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."
TRACKER_PYTHON=$(tests/setup.sh)
export TRACKER_PYTHON
TRACKER_CONSUMERS=$(polyglot/consumers/setup.sh python js | tail -n 1)
export TRACKER_CONSUMERS
export TRACKER_LONG=1
tests/postgres.sh -- cargo test --workspace --no-fail-fast -- --nocapture 2>&1 | tee target/long.log
LOOM_MAX_PREEMPTIONS=4 cargo test --release --manifest-path tests/loom/Cargo.toml
polyglot/js/test.sh 2>&1 | tee target/long-js.log
polyglot/python/test.sh 2>&1 | tee target/long-python.log
polyglot/page/test.sh
echo "== figures"
grep -oh 'FIGURE .*' target/long.log target/long-js.log target/long-python.log | sort
