#!/usr/bin/env bash
# Builds the package and runs its tests. Needs node, npm, a C++ compiler for the
# LMDB addon, and what the native runner is built with.
set -euo pipefail
cd "$(dirname "$0")"
source ./prepare.sh
npx tsc --project test
npm test --silent
