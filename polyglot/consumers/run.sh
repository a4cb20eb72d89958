#!/usr/bin/env bash
# run.sh c|python|js: builds the consumer in that language, composes it with the
# tracker, runs it in the stock wasmtime command and checks what it reports.
set -euo pipefail
cd "$(dirname "$0")/../.."
language=${1:?usage: run.sh c|python|js}
TRACKER_PYTHON=$(tests/setup.sh)
TRACKER_CONSUMERS=$(polyglot/consumers/setup.sh "$language" | tail -n 1)
export TRACKER_PYTHON TRACKER_CONSUMERS
cargo run --quiet -p tracker-consumers -- "$language" "$TRACKER_CONSUMERS/built"
