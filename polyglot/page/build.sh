#!/usr/bin/env bash
# Builds the page: build/tracker.html. Open it in a browser, from the disk or
# from any static server.
set -euo pipefail
cd "$(dirname "$0")"
source ../js/prepare.sh
install_packages "$PWD"
mkdir -p build
node ../js/scripts/transpile.js "$TRACKER_ARTIFACTS/tracker-memory.wasm" build/component
node scripts/sample.js build/sample.jsonl
../js/node_modules/.bin/tsc
node scripts/build.js build/sample.jsonl
