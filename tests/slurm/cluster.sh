#!/usr/bin/env bash
# A small real SLURM on one Debian machine, for the tests: munge, slurmctld and several slurmd on the loopback interface,
# with a CPU partition and a GPU partition of pretended devices. Needs root, no systemd.
#
#   cluster.sh install   the packages (apt); refuses a machine that has a SLURM of its own
#   cluster.sh up        write /etc/slurm and start everything
#   cluster.sh down      stop everything and remove the state and the configuration
#   cluster.sh jobs      the jobs that a cluster had when it went down
#   cluster.sh purge     down, and remove the packages that `install` brought
#
# A configured SLURM without a running controller makes every call of Snakemake wait for ten seconds: hence `down`
# removes the configuration.
set -euo pipefail

ETC=/etc/slurm          # SLURM_CONF would not do: Snakemake's job step drops SLURM_* before it calls srun
MARK=$ETC/.made-by-lep-tests
STATE=/var/tmp/lep-tests-slurm
RECORD=/var/tmp/lep-tests-slurm.packages
JOBS=/var/tmp/lep-tests-slurm.jobs
HOST=$(hostname -s)
PACKAGES="slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge"
PORT=26900
CPU_NODES="c1 c2"
GPU_NODES="g1 g2"

die() { echo "cluster.sh: $*" >&2; exit 1; }

refuse_foreign() {
    [ ! -e $ETC ] || [ -e $MARK ] || die "$ETC exists and is not of these tests; a SLURM that is yours is never touched"
}

installed() { dpkg-query -W -f='${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort; }

install_packages() {
    refuse_foreign
    for name in slurmctld slurmd munge; do
        ! pgrep -x $name >/dev/null || [ -e $MARK ] || die "a $name runs on this machine; it is not of these tests"
    done
    installed >$RECORD.before
    # The packages would start daemons that have no configuration.
    local policy=/usr/sbin/policy-rc.d made=
    [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy; chmod +x $policy; made=1; }
    local code=0
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $PACKAGES; } \
        >$RECORD.log 2>&1 || code=$?
    [ -z "$made" ] || rm $policy
    installed | comm -13 $RECORD.before - >>$RECORD
    [ $code = 0 ] || { tail -n 20 $RECORD.log >&2; die "apt-get failed"; }
    mkdir -p $ETC
    touch $MARK
}

# Pid files are written by the daemons; a pid is believed only while a process of that name has it.
running() { [ -s "$1" ] && [ "$(cat "/proc/$(cat "$1")/comm" 2>/dev/null)" = "$2" ]; }

stop() { # pid files, named as their daemons
    local file name
    for file in "$@"; do
        name=$(basename "$file")
        if running "$file" "${name%%.*}"; then kill "$(cat "$file")" || true; fi
    done
    for file in "$@"; do
        name=$(basename "$file")
        for _ in $(seq 50); do running "$file" "${name%%.*}" || continue 2; sleep 0.1; done
        kill -9 "$(cat "$file")" || true
    done
}

# A left-over cgroup of a job keeps its failure count: a later job of the same id would be called OUT_OF_MEMORY.
clean_cgroups() {
    for node in $CPU_NODES $GPU_NODES; do
        for folder in /sys/fs/cgroup/*/slurm_"$node"; do
            [ ! -d "$folder" ] || find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || true
        done
    done
}

down() {
    if running $STATE/run/slurmctld.pid slurmctld; then
        squeue --states=all --sort=i --format='%.4i %.10T %.7P %.6m %.5M %.4N %k' >$JOBS || true
        timeout 10 scancel -u root >/dev/null 2>&1 || true
        sleep 1
    fi
    stop $STATE/run/slurmd.*.pid
    stop $STATE/run/slurmctld.pid $STATE/run/munged.pid
    clean_cgroups
    rm -rf $STATE
    [ ! -e $MARK ] || rm -f $ETC/slurm.conf $ETC/gres.conf $ETC/cgroup.conf
}

purge() {
    down
    if [ -s $RECORD ]; then
        ! grep -qx munge $RECORD || rm -rf /etc/munge /var/log/munge /var/lib/munge /run/munge
        DEBIAN_FRONTEND=noninteractive xargs apt-get purge -y <$RECORD >$RECORD.log 2>&1 || die "apt-get failed, see $RECORD.log"
    fi
    [ ! -e $MARK ] || rm -rf $ETC
    rm -f $RECORD $RECORD.before $RECORD.log $JOBS
}

memory_cgroups() { # whether jobs can be held to their memory by cgroup v1; else SLURM polls
    local probe=/sys/fs/cgroup/memory/lep-tests-probe works=1
    mkdir $probe 2>/dev/null || return 1
    (echo 104857600 >$probe/memory.limit_in_bytes) 2>/dev/null || works=
    rmdir $probe
    [ -n "$works" ] && [ -d /sys/fs/cgroup/freezer ]
}

configure() {
    local task=task/none polling="JobAcctGatherParams=OverMemoryKill" constrain=no
    if memory_cgroups; then task=task/cgroup polling="" constrain=yes; fi
    # A GPU must be a character device for CUDA_VISIBLE_DEVICES to be set; copies of /dev/null serve.
    local gpus="File=$STATE/dev/gpu[0-1]"
    for number in 0 1; do mknod -m 666 $STATE/dev/gpu$number c 1 3 2>/dev/null || gpus="Count=2"; done
    cat >$ETC/slurm.conf <<CONF
ClusterName=tests
SlurmctldHost=$HOST(127.0.0.1)
SlurmctldPort=$PORT
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A job that goes back to the queue waits for its credential to expire, two minutes by default.
AuthInfo=cred_expire=5
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation=$STATE/ctld
SlurmdSpoolDir=$STATE/spool.%n
SlurmctldPidFile=$STATE/run/slurmctld.pid
SlurmdPidFile=$STATE/run/slurmd.%n.pid
SlurmctldLogFile=$STATE/log/slurmctld.log
SlurmdLogFile=$STATE/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=$task
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
$polling
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
MinJobAge=3600
KillWait=5
OverTimeLimit=0
InactiveLimit=0
Waittime=0
SlurmctldTimeout=60
SlurmdTimeout=60
DefMemPerCPU=500
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
NodeName=c[1-2] NodeHostname=$HOST NodeAddr=127.0.0.1 Port=$((PORT + 1))-$((PORT + 2)) CPUs=4 RealMemory=16000 State=UNKNOWN
NodeName=g[1-2] NodeHostname=$HOST NodeAddr=127.0.0.1 Port=$((PORT + 3))-$((PORT + 4)) CPUs=4 RealMemory=16000 Gres=gpu:h100:2 State=UNKNOWN
PartitionName=cpu Nodes=c[1-2] Default=YES DefaultTime=10 MaxTime=60 PriorityTier=1 State=UP
PartitionName=gpu Nodes=g[1-2] DefaultTime=10 MaxTime=60 PriorityTier=1 GraceTime=5 State=UP
PartitionName=urgent Nodes=g[1-2] DefaultTime=10 MaxTime=60 PriorityTier=10 State=UP
CONF
    echo "NodeName=g[1-2] Name=gpu Type=h100 Flags=nvidia_gpu_env $gpus" >$ETC/gres.conf
    cat >$ETC/cgroup.conf <<CONF
CgroupPlugin=cgroup/v1
CgroupAutomount=no
ConstrainCores=no
ConstrainDevices=no
ConstrainRAMSpace=$constrain
ConstrainSwapSpace=no
CONF
}

wait_for() { # what, command...
    local what=$1
    shift
    for _ in $(seq 300); do ! "$@" >/dev/null 2>&1 || return 0; sleep 0.1; done
    tail -n 20 $STATE/log/*.log >&2 || true
    die "$what did not come up; logs in $STATE/log"
}

all_idle() { [ "$(sinfo -h -N -p cpu,gpu -o '%N %t' | grep -c ' idle$')" = 4 ]; }

up() {
    [ -e $MARK ] || refuse_foreign
    command -v slurmctld >/dev/null || die "SLURM is not installed; run: $0 install"
    [ -e $MARK ] || die "this SLURM was not installed by these tests; it is never touched"
    down
    mkdir -p $STATE/run $STATE/log $STATE/ctld $STATE/dev
    configure
    if ! munge -n >/dev/null 2>&1; then
        install -d -o munge -g munge -m 0755 /run/munge
        setpriv --reuid=munge --regid=munge --init-groups /usr/sbin/munged
        wait_for munged munge -n
        cp /run/munge/munged.pid $STATE/run/munged.pid
    fi
    slurmctld
    for node in $CPU_NODES $GPU_NODES; do
        mkdir -p $STATE/spool.$node
        slurmd -N $node
    done
    wait_for "the cluster" all_idle
}

[ "$(id -u)" = 0 ] || die "must run as root"
case "${1:-}" in
    install) install_packages ;;
    jobs) [ ! -e $JOBS ] || cat $JOBS ;;
    up | down | purge) "$1" ;;
    *) die "usage: $0 install|up|down|jobs|purge" ;;
esac
