#!/usr/bin/env bash
# setup.sh [python] [js]: installs what builds the large consumers, in the
# versions that are written here, into target/consumers, again where these have changed. C needs tests/setup.sh alone.
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
        if ! cmp -s $own/python/requirements.txt "$venv/.installed"; then
            python3 -m venv --clear "$venv"
            "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r $own/python/requirements.txt
            cp $own/python/requirements.txt "$venv/.installed"
        fi
        ;;
    js)
        mkdir -p "$target/js"
        cp $own/js/{.npmrc,build.mjs,package.json,package-lock.json} "$target/js"
        if ! cmp -s $own/js/package-lock.json "$target/js/node_modules/.installed"; then
            npm ci --prefix "$target/js" --loglevel=error
            cp $own/js/package-lock.json "$target/js/node_modules/.installed"
        fi
        ;;
    *)
        echo "usage: setup.sh [c] [python] [js]" >&2
        exit 2
        ;;
    esac
done
realpath -s "$target"
