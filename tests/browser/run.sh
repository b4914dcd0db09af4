#!/usr/bin/env bash
# Writes the pages of the committed baselines and of a table, and opens them in headless Chromium.
# Usage: tests/browser/run.sh FORESCALE [FOLDER FOR SCREENSHOTS]
set -euo pipefail
forescale=$(realpath "$1")
shots=${2:+$(realpath -m "$2")}
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
pages=$(mktemp -d)
trap 'rm -rf "$pages"' EXIT

"$here/install.sh"

"$forescale" report "$root"/reports/*/baseline --out "$pages" >/dev/null
# 500 runs of a table, with a name that is none.
awk 'BEGIN {
    srand(1)
    print "run_id,params,tokens,loss"
    for (i = 0; i < 500; i++) {
        n = exp(log(1e6) + rand() * log(1e3)); d = n * exp(log(3) + rand() * log(50))
        noise = 1 + 0.004 * (rand() - 0.5)
        printf "<b>run & %d</b>,%d,%d,%.6f\n", i, n, d, noise * (1.82 + 482 / n ^ .348 + 2085 / d ^ .366)
    }
}' > "$pages/runs.csv"
"$forescale" report "$pages/runs.csv" --at flops=1e22 --unit nats --out "$pages/table" >/dev/null
bytes=$(stat -c %s "$pages/table/index.html")
echo "500 runs: $bytes bytes"
[ "$bytes" -lt 2000000 ] || { echo "error: the page of 500 runs has $bytes bytes; 2000000 are allowed" >&2; exit 1; }

export CHROMIUM
CHROMIUM=$(command -v chromium)
cd "$here"
node pages.mjs ${shots:+--shots "$shots"} "$pages"/index.html "$pages"/*/index.html

# The check itself: a page that does everything wrong must be found out in each of it.
found=$(node pages.mjs bad.html 2>&1) && { echo "error: the bad page passed" >&2; exit 1; }
for words in "console error: a message" "overflows at 420 px: div.wide" "#nowhere leads nowhere" "color-contrast" \
    "image-alt" "html-has-lang" "no button" "asks for http://127.0.0.1:9/" "with scripts off"; do
    grep -qF -- "$words" <<<"$found" || { printf 'error: the bad page was not found out: %s\n%s\n' "$words" "$found" >&2; exit 1; }
done
echo "a page that does all of it wrong is found out"
