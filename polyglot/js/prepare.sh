# To be sourced. Builds the native runner, the components and this package, and
# sets TRACKER_HOST and TRACKER_ARTIFACTS to where the runner and the components
# are; what is set already is used as it is. Where a tool is missing it says so
# and ends the script that sourced it: there is nothing to run then.

tracker_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# On a machine of one's own a missing tool is no failure; in CI it is.
skip() {
    echo "SKIPPED: $1" >&2
    [ -z "${CI:-}" ] || exit 1
    exit 0
}

if ! command -v node > /dev/null || ! command -v npm > /dev/null; then
    skip "node and npm are missing: install Node.js 20 or newer"
fi
if [ "$(node -p 'Number(process.versions.node.split(".")[0]) >= 20')" != true ]; then
    skip "node is $(node --version): install Node.js 20 or newer"
fi
for tool in c++ make python3; do
    command -v "$tool" > /dev/null || skip "$tool is missing: install it to compile the LMDB addon"
done

if [ -z "${TRACKER_HOST:-}" ] || [ -z "${TRACKER_ARTIFACTS:-}" ]; then
    # With the features that the tests are built with, or all would be compiled twice.
    (cd "$tracker_root" && cargo build --workspace)
    tracker_target=$(cd "$tracker_root" && realpath "${CARGO_TARGET_DIR:-target}")
    TRACKER_HOST=$tracker_target/debug/host
    TRACKER_ARTIFACTS=$tracker_target/artifacts
    "$tracker_target/debug/tracker-artifacts" "$TRACKER_ARTIFACTS" > /dev/null
fi
export TRACKER_HOST TRACKER_ARTIFACTS

# Installs what a lock file says, unless that is there already.
install_packages() {
    local stamp=$1/node_modules/.installed
    if ! cmp -s "$1/package-lock.json" "$stamp"; then
        # Headers beside the node that runs are those to compile an addon with; others would be fetched.
        if [ -z "${npm_config_nodedir:-}" ] && [ -e "$(dirname "$(command -v node)")/../include/node/node.h" ]; then
            npm_config_nodedir=$(cd "$(dirname "$(command -v node)")/.." && pwd)
            export npm_config_nodedir
        fi
        (cd "$1" && npm ci --no-progress)
        cp "$1/package-lock.json" "$stamp"
    fi
}

install_packages "$tracker_root/polyglot/js"
(
    cd "$tracker_root/polyglot/js"
    npm run --silent transpile -- "$TRACKER_ARTIFACTS/tracker.wasm"
    npm run --silent build
)
