#!/usr/bin/env bash
# Time what a newcomer sees: clone into an empty folder, `make demo` twice, `make test`.
#   bench/clean_clone.sh [--no-test]
# Prints install and work seconds (by `make demo` itself), the second run, and the tests.
set -euo pipefail
source_tree="$(cd "$(dirname "$0")/.." && pwd)"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
git clone --quiet "$source_tree" "$folder/dwell"
cd "$folder/dwell"
unset DWELL_ENVS

seconds() { local start; start=$(date +%s); "$@" >&2; echo $(($(date +%s) - start)); }

echo "first make demo: $(seconds make demo) s in all"
echo "make demo again, nothing changed: $(seconds make demo) s"
if [ "${1:-}" != "--no-test" ]; then
    echo "make test: $(seconds make test) s"
fi
