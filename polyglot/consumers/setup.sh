#!/usr/bin/env bash
# setup.sh [python] [js]: installs what builds the large consumers, in the
# versions that are written here, into target/consumers. C needs tests/setup.sh alone.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}/consumers
own=polyglot/consumers
mkdir -p "$target"
for language in "$@"; do
    case $language in
    c) ;;
    python)
        venv=$target/python
        if ! [ -x "$venv/bin/componentize-py" ]; then
            python3 -m venv "$venv"
            "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r $own/python/requirements.txt
        fi
        ;;
    js)
        mkdir -p "$target/js"
        cp $own/js/{build.mjs,package.json,package-lock.json} "$target/js"
        [ -d "$target/js/node_modules" ] || npm ci --prefix "$target/js" --no-audit --no-fund --loglevel=error
        ;;
    *)
        echo "usage: setup.sh [c] [python] [js]" >&2
        exit 2
        ;;
    esac
done
realpath -s "$target"
