#!/usr/bin/env bash
# Builds the page and tests it in headless Chromium, which apt installs where it
# is missing; TRACKER_CHROMIUM names another one.
set -euo pipefail
cd "$(dirname "$0")"
source ../js/prepare.sh
if ! command -v "${TRACKER_CHROMIUM:-chromium}" > /dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
        install=(apt-get install -qy --no-install-recommends chromium)
        "${install[@]}" || { apt-get update -q && "${install[@]}"; }
    else
        skip "chromium is missing: install it, or set TRACKER_CHROMIUM"
    fi
fi
TRACKER_CHROMIUM=$(command -v "${TRACKER_CHROMIUM:-chromium}")
export TRACKER_CHROMIUM
./build.sh
install_packages "$PWD/test"
node --test test/*.test.js
