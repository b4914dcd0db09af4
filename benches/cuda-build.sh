#!/usr/bin/env bash
# The release binary that trains on cards, and what `just gpu-check` needs besides, stripped, in target/cuda/bin, where no other
# build writes; sizes are printed. With --lint the code behind the feature is linted and nothing is built.
set -euo pipefail
cd "$(dirname "$0")/.."

exports=$(bash benches/cuda-home.sh)
eval "$exports"

if [ "${1:-}" = --lint ]; then
    exec cargo clippy --workspace --all-targets --locked --features forescale/cuda,forescale-train/cuda -- -D warnings
fi

cargo build --release --locked -p forescale --features cuda
cargo build --release --locked -p forescale-train --example gpu_check --features cuda,emulation

# Nearly all of a binary is the text of candle's kernels, which packs well: send the .gz to the machine with the card.
size() { printf '%-44s %9d KiB\n' "$1" "$(($(stat -c %s "$1") / 1024))"; }
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/cuda/bin"
for built in "$target/release/forescale" "$target/release/examples/gpu_check"; do
    binary=$target/cuda/bin/$(basename "$built")
    strip -o "$binary" "$built"
    gzip --keep --force "$binary"
    size "$binary"
    size "$binary.gz"
done
