#!/usr/bin/env bash
# Trains tiny sweeps through a real Slurm of two nodes on this machine: same records as without it, and nothing lost to a
# preemption, a lost node, a time limit, an interruption or a person's `scancel`.
# Usage: tests/slurm/run.sh FORESCALE
set -euo pipefail
forescale=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
fixture=$here/../fixtures/tiny/sweep.toml
export PATH=$PATH:/usr/sbin:/sbin

"$here/install.sh"
# shellcheck source=tests/slurm/cluster.sh
. "$here/cluster.sh"
work=$(mktemp -d)
chmod 755 "$work"
trap 'kill $(jobs -p) 2>/dev/null || true; cluster_down; rm -rf "$work"' EXIT
export FORESCALE_CACHE=$work/cache NO_COLOR=1
cluster_up "$work/cluster"
cd "$work"

step() { printf -- '--- %s (%s s)\n' "$1" "$SECONDS"; }

fail() {
    printf 'error: %s\n' "$*" >&2
    tail -n 20 "$work"/*.said "$work"/cluster/log/slurmctld.log >&2
    exit 1
}

# expect CODE NAME ARGUMENTS…: a command that ends with this code; what it says is in NAME.said.
expect() {
    local code=0 wanted=$1 name=$2
    shift 2
    "$forescale" "$@" > "$name.said" 2>&1 || code=$?
    [ "$code" = "$wanted" ] || fail "forescale $*: exit code $code, not $wanted"
}

# begin NAME ARGUMENTS…: the same beside others; its number is in $begun. expect_end CODE NAME waits for it.
begin() {
    local name=$1
    shift
    "$forescale" "$@" > "$name.said" 2>&1 &
    begun=$!
}
expect_end() {
    local code=0
    wait "$begun" || code=$?
    [ "$code" = "$1" ] || fail "$2: exit code $code, not $1"
}

# says NAME WORDS…: each of the words stands in what a command said.
says() {
    local name=$1 words
    shift
    for words in "$@"; do
        grep -qF -- "$words" "$name.said" || fail "$name does not say: $words"
    done
}

run_id() { "$forescale" plan "$1" --json 2>/dev/null | tr -d ' \n' | sed "s/.*\"id\":\"\([0-9a-f]*\)\",\"name\":\"$2\".*/\1/"; }
job_of() { "$forescale" status "$1" 2>/dev/null | awk -v run="$2" '$1 == run { print $4 }'; }
digest() { sed -n 's/.*"result_digest": "\(.*\)".*/\1/p' "$1/record.json"; }
in_queue() { [ "$(squeue -h -r -t "$1" -o %i | wc -l)" = "$2" ]; }
has_steps() { grep -qs '"step":[1-9]' "$1/log.jsonl"; }
has_begun_again() {
    scontrol update JobId="$1" StartTime=now 2>/dev/null || true
    sleep 1
    [ "$(grep -c '"event":"start"' "$2/log.jsonl")" = 2 ]
}
submitted() { sed -n 's/.*_slurm_rpc_submit_batch_job: JobId=//p' "$cluster/log/slurmctld.log" | wc -l; }

# Families of four layers: one of seconds, and one that nobody waits for.
family() {
    mkdir -p "$1"
    sed -e '/^\[ladder\]/,$d' -e 's/^layers = .*/layers = 4/' -e "s/^name = .*/name = \"$1\"/" "$fixture" > "$1/sweep.toml"
    printf '[ladder]\nwidths = %s\ntokens_per_param = %s\n' "$2" "$3" >> "$1/sweep.toml"
}
family short "[8, 24]" "[20, 20]"
family long "[96, 128]" "[2.5, 1.4]"

step "the whole chain, and the records that this machine makes by itself"
mkdir -p tiny alone/tiny
cp "$fixture" tiny
cp "$fixture" alone/tiny
expect 0 alone run alone/tiny
expect 0 tiny run tiny --launcher slurm --slurm-args "--partition=main --time=10"
says tiny "of 9 runs submitted to Slurm" "registered" "of 1 run submitted to Slurm" "the target reached"
[ -f tiny/out/index.html ] || fail "there is no report"
for record in alone/tiny/runs/*/record.json; do
    folder=$(dirname "$record")
    [ "$(digest "$folder")" = "$(digest "${folder#alone/}")" ] || fail "$record: another result in Slurm"
done
[ -z "$(ls tiny/runs/slurm)" ] || fail "something was left in tiny/runs/slurm"

step "what is done is not submitted again"
before=$(submitted)
expect 0 again run tiny --launcher slurm
says again "ladder: 9 of 9 runs are sealed already"
[ "$(submitted)" = "$before" ] || fail "a job was submitted for nothing"

step "refusals"
expect 2 partition run long --launcher slurm --slurm-args "--partition=nope"
says partition "sbatch refuses the runs: invalid partition specified: nope" "hint: \`sinfo\`"
expect 2 own run long --launcher slurm --slurm-args "--array=1-3"
says own "\`--array=1-3\` among the arguments" "hint: leave it out"
PATH=/nonexistent expect 2 missing run long --launcher slurm
says missing "\`sbatch\` is not on \`PATH\`" "hint: "
[ -z "$(ls long/runs/slurm)" ] || fail "something was left in long/runs/slurm"

step "a run that is ended midway goes on from where it was"
begin requeue run short --launcher slurm --stop-after ladder
id=$(run_id short d24-20x-s0)
until_true 60 has_steps "short/runs/$id"
job=$(job_of short d24-20x-s0)
scontrol requeue "$job"
# Slurm has it wait two minutes, long enough for a launch that asks now and then to hear of it.
until_true 40 grep -qF "d24-20x-s0: ended by Slurm before it was done" requeue.said
until_true 60 has_begun_again "$job" "short/runs/$id"
expect_end 0 requeue
says requeue "[2/2] d24-20x-s0"
[ "$(grep -c '"event":"start"' "short/runs/$id/log.jsonl")" = 2 ] || fail "not two attempts: short/runs/$id/log.jsonl"
grep '"event":"start"' "short/runs/$id/log.jsonl" | tail -n 1 | grep -q '"step":0,' && fail "the second attempt began anew"
mkdir -p alone/short
cp short/sweep.toml alone/short
expect 0 whole exec alone/short d24-20x-s0
[ "$(digest "short/runs/$id")" = "$(digest "alone/short/runs/$id")" ] || fail "another result after a requeue"

step "a limit deals batches into parts"
mkdir memory
cp short/sweep.toml memory
expect 0 memory run memory --launcher slurm --stop-after ladder --memory-limit 2500KiB
says memory "note: d24-20x-s0 has each batch in 2 parts"
grep -q '"accumulate": 2' "memory/runs/$id/record.json" || fail "the record does not say that the batch was dealt"

step "an interrupted launch leaves its jobs, and the next one finds them"
before=$(submitted)
begin held run long --launcher slurm --stop-after ladder --slurm-args "--hold"
until_true 30 grep -qF "does not start by itself: JobHeldUser" held.said
kill -INT "$begun"
expect_end 2 held
says held "not waited for: 2 runs stay in Slurm's queue" "the same command waits for them again" "forescale cancel long"
expect 2 here run long
says here "2 runs of \`long\` are in Slurm's queue" "hint: "
begin found run long --launcher slurm --stop-after ladder
until_true 30 grep -qF "of 2 runs is in Slurm's queue already" found.said
expect 2 twice run long --launcher slurm
says twice "is being run already"
expect 0 status status long
says status "queued" "(JobHeldUser)"
expect 0 cancel cancel long
says cancel "cancelled: job "
expect_end 1 found
says found "was cancelled" "hint: the same command submits it again"
[ "$(submitted)" = $((before + 1)) ] || fail "the second launch submitted jobs"
expect 0 cancel cancel long
says cancel "has no jobs in Slurm's queue"

step "a time limit, a lost node"
# A job for each node.
begin lost run long --launcher slurm --stop-after ladder --slurm-args "--no-requeue --time=30 --cpus-per-task=2"
until_true 30 in_queue R 2
late=$(run_id long d96-2.5x-s0)
lost=$(run_id long d128-1.4x-s0)
until_true 60 has_steps "long/runs/$late"
until_true 60 has_steps "long/runs/$lost"
expect 0 status status long
says status "running" " on n"
node=$(squeue -h -r -j "$(job_of long d128-1.4x-s0)" -o %N)
scontrol update JobId="$(job_of long d96-2.5x-s0)" EndTime="$(date -d '+1 sec' +%FT%T)"
scontrol update NodeName="$node" State=DOWN Reason=test
expect_end 1 lost
says lost "lost its node $node at step" "--exclude=" "came to its time limit at step" "--time=" "DUE TO TIME LIMIT" \
    "was told to end after step" "the same command goes on from its last checkpoint"
[ -s "long/runs/$late/checkpoint.bin" ] || fail "no state was saved at the time limit"
scontrol update NodeName="$node" State=IDLE

step "nodes that do not see the folder, or the corpus"
if unshare -m true 2>/dev/null; then
    mkdir hidden
    daemon=$(cat "$cluster/run/slurmd.n2.pid")
    kill "$daemon"
    until_true 10 sh -c "! kill -0 $daemon 2>/dev/null"
    node_up n2 unshare -m bash -c "mount -t tmpfs none '$work/hidden' && exec \"\$@\"" node
    until_true 30 nodes_are_idle
    mkdir -p hidden/short unseen
    cp short/sweep.toml hidden/short
    cp short/sweep.toml unseen
    expect 1 folder run "$work/hidden/short" --launcher slurm --stop-after ladder --slurm-args "--nodelist=n2"
    says folder "on node n2 left no word in the sweep's folder" "hint: the folder has to lie where all nodes see it"
    FORESCALE_CACHE=$work/hidden/cache expect 1 corpus run unseen --launcher slurm --slurm-args "--nodelist=n2"
    says corpus "error: \`$work/hidden/cache/" "is not there on node" "hint: sweep, program and corpus"
else
    echo "skipped: this machine allows no mount namespaces"
    [ -z "${FORESCALE_SKIPS:-}" ] || echo "tests/slurm: a folder that nodes do not see" >> "$FORESCALE_SKIPS"
fi

step "done"
