#!/usr/bin/env bash
# Slurm's daemons and programs, where they are not here yet; fails where they cannot be had, or be run.
set -euo pipefail
[ "$(id -u)" -eq 0 ] || { echo "slurmd wants to be root" >&2; exit 1; }
export PATH=$PATH:/usr/sbin:/sbin
for tool in slurmctld slurmd sbatch squeue munged; do
    command -v "$tool" >/dev/null && continue
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        slurmctld slurmd slurm-client munge >/dev/null
    break
done
command -v slurmctld slurmd sbatch squeue munged >/dev/null
