#!/usr/bin/env bash
# Times a clean debug and a clean release build of the whole workspace in a folder of its own, and its size.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(mktemp -d)
trap 'rm -rf "$target"' EXIT
cargo fetch --locked
for profile in dev release; do
    start=$(date +%s)
    CARGO_TARGET_DIR=$target cargo build --workspace --profile "$profile"
    echo "$profile: $(($(date +%s) - start)) s, $(du -sm "$target" | cut -f1) MB so far"
done
