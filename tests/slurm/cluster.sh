#!/usr/bin/env bash
# A Slurm of two nodes on this machine, whose files all lie in one folder. To be sourced:
#
#   cluster_up FOLDER     starts it, and sets SLURM_CONF for Slurm's programs
#   node_up NODE [COMMAND…]    starts a node's daemon, by a command before it
#   cluster_down          ends the processes that these started, and no others
#
# There is no accounting, as on many a cluster; what a node does not see is made by a mount namespace of its own.

free_port() {
    local port
    while port=$((20000 + RANDOM % 20000)); (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
    echo "$port"
}

cluster_up() {
    cluster=$1
    host=$(hostname -s)
    mkdir -p "$cluster"/{run,log,state,spool}
    chmod 755 "$cluster" "$cluster"/*
    head -c 1024 /dev/urandom > "$cluster/munge.key"
    chmod 600 "$cluster/munge.key"
    export SLURM_CONF=$cluster/slurm.conf
    cat > "$SLURM_CONF" <<CONF
ClusterName=forescale
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$cluster/run/munge.socket
StateSaveLocation=$cluster/state
SlurmdSpoolDir=$cluster/spool/%n
SlurmctldPidFile=$cluster/run/slurmctld.pid
SlurmdPidFile=$cluster/run/slurmd.%n.pid
SlurmctldLogFile=$cluster/log/slurmctld.log
SlurmdLogFile=$cluster/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=batch_sched_delay=1,sched_interval=2,sched_min_interval=100000,bf_interval=2
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=5
KillWait=3
CONF
    for node in n1 n2; do
        echo "NodeName=$node NodeAddr=127.0.0.1 NodeHostname=$host Port=$(free_port) CPUs=2 RealMemory=1000" >> "$SLURM_CONF"
    done
    echo "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=1" >> "$SLURM_CONF"
    echo "PartitionName=urgent Nodes=ALL MaxTime=INFINITE PriorityTier=9" >> "$SLURM_CONF"
    munged --force --key-file="$cluster/munge.key" --socket="$cluster/run/munge.socket" --num-threads=2 \
        --pid-file="$cluster/run/munged.pid" --log-file="$cluster/log/munged.log" --seed-file="$cluster/state/munge.seed"
    slurmctld -i
    node_up n1
    node_up n2
    until_true 30 nodes_are_idle || { sinfo; tail -n 20 "$cluster"/log/*.log; return 1; }
}

nodes_are_idle() { [ "$(sinfo -h -p main -t idle -o %D)" = 2 ]; }

node_up() {
    local node=$1
    shift
    mkdir -p "$cluster/spool/$node"
    "$@" slurmd -N "$node"
}

cluster_down() {
    scancel --user="$(id -un)" 2>/dev/null || true
    local file daemon
    for file in "$cluster"/run/slurmd.*.pid "$cluster"/run/slurmctld.pid "$cluster"/run/munged.pid; do
        [ -s "$file" ] || continue
        daemon=$(cat "$file")
        kill "$daemon" 2>/dev/null || continue
        # It writes its state before it ends.
        until_true 10 sh -c "! kill -0 $daemon 2>/dev/null" || true
    done
}

# until_true SECONDS COMMAND…: waits for a command to succeed.
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || { echo "waited in vain: $*" >&2; return 1; }
        sleep 0.2
    done
}
