#!/usr/bin/env bash
# Chromium, node and what the check imports, where they are not here yet; fails where they cannot be had.
set -euo pipefail
missing=()
for tool in chromium node npm; do
    command -v "$tool" >/dev/null || missing+=("${tool/node/nodejs}")
done
if [ "${#missing[@]}" -gt 0 ]; then
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
cd "$(dirname "$0")"
[ -d node_modules/puppeteer-core ] || npm ci --silent --no-audit --no-fund
