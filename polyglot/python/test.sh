#!/usr/bin/env bash
# Puts the component into the package, checks and tests the package over both
# engines, and builds a wheel that has to work in an environment of its own.
# Needs Python 3.11 or newer, and what the native host is built with.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)

# On a machine of one's own a missing tool is no failure; in CI it is.
skip() {
    echo "SKIPPED: $1" >&2
    [ -z "${CI:-}" ] || exit 1
    exit 0
}
python=${TRACKER_BASE_PYTHON:-python3}
command -v "$python" > /dev/null || skip "python3 is missing: install Python 3.11 or newer"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || skip "$("$python" --version) is too old: install Python 3.11 or newer"
"$python" -c 'import ensurepip, venv' 2> /dev/null || skip "Python has no venv: install python3-venv"

target=$(cd "$root" && mkdir -p "${CARGO_TARGET_DIR:-target}" && cd "${CARGO_TARGET_DIR:-target}" && pwd)
if [ -z "${TRACKER_HOST:-}" ] || [ -z "${TRACKER_ARTIFACTS:-}" ]; then
    # With the features that the tests are built with, or all would be compiled twice.
    (cd "$root" && cargo build --workspace)
    TRACKER_HOST=$target/debug/host
    TRACKER_ARTIFACTS=$target/artifacts
    "$target/debug/tracker-artifacts" "$TRACKER_ARTIFACTS" > /dev/null
fi
export TRACKER_HOST TRACKER_ARTIFACTS
cp "$TRACKER_ARTIFACTS/tracker.wasm" src/tracker_store/tracker.wasm

# Installs what a file of requirements says, unless that is there already.
install() {
    local venv=$1 requirements=$2
    if ! cmp -s "$requirements" "$venv/.installed"; then
        "$python" -m venv --clear "$venv"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements"
        cp "$requirements" "$venv/.installed"
    fi
}
venv=$target/python-package
install "$venv" requirements.txt

"$venv/bin/ruff" check .
"$venv/bin/ruff" format --check .
"$venv/bin/mypy"
"$venv/bin/python" -m pytest ${TRACKER_LONG:+--capture=no} "$@"

# The wheel in an environment that has nothing else, away from these sources.
dist=$target/python-dist
rm -rf "$dist"
"$venv/bin/python" -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir "$dist" .
"$python" -m venv --clear "$target/python-wheel"
"$target/python-wheel/bin/python" -m pip install --quiet --disable-pip-version-check "$dist"/*.whl
away=$(mktemp -d)
trap 'rm -rf "$away"' EXIT
cp tests/wheel.py "$away"
(cd "$away" && "$target/python-wheel/bin/python" -I wheel.py "$root" store)
"$TRACKER_HOST" verify "$away/store"
