#!/bin/bash
# A SLURM of one node on this machine, on loopback, to try things on: two slots, as root, in a folder of its own.
#
#   tests/slurm.sh start FOLDER    starts munged, slurmctld and slurmd, waits for the node, prints what to put into the environment
#   tests/slurm.sh stop FOLDER     ends them, and every job
#
# Needs Debian's slurmctld, slurmd, slurm-client and munge (apt-get install --no-install-recommends). There are two partitions:
# main, and urgent, whose jobs preempt those of main: these get their signal, a minute's grace, and are queued again.
set -euo pipefail
[ $# -eq 2 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; }
command=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
name=$(hostname -s)
export SLURM_CONF=$folder/slurm.conf PATH=$folder/bin:$PATH:/usr/sbin

configure() {
    mkdir -p "$folder"/{state,spool,bin,munge}
    cat > "$SLURM_CONF" <<CONF
ClusterName=one
SlurmctldHost=$name(127.0.0.1)
SlurmUser=root
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=5,bf_interval=5
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
ReturnToService=2
KillWait=10
MinJobAge=3600
NodeName=$name NodeAddr=127.0.0.1 CPUs=2 RealMemory=$(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo)
PartitionName=main Nodes=$name Default=YES MaxTime=INFINITE PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes=$name MaxTime=INFINITE PriorityTier=2
CONF
    # What submitit asks for a job's state needs an accounting database; the controller knows the jobs of the last hour as well.
    cat > "$folder/bin/sacct" <<'SACCT'
#!/bin/bash
echo "JobID|State|NodeList"
squeue --noheader --array --states=all --format="%i|%T|%N"
SACCT
    chmod +x "$folder/bin/sacct"
}

start() {
    configure
    head -c 1024 /dev/urandom > "$folder/munge/key"
    chown -R munge "$folder/munge"
    chmod 400 "$folder/munge/key"
    chmod 755 "$folder/munge"
    setpriv --reuid=munge --regid=munge --clear-groups munged --force --key-file "$folder/munge/key" \
        --socket "$folder/munge/socket" --pid-file "$folder/munge/pid" --log-file "$folder/munge/log" --seed-file "$folder/munge/seed"
    slurmctld -c
    slurmd
    for _ in $(seq 60); do
        if [ "$(sinfo --noheader --partition=main --format=%t 2>/dev/null)" = idle ]; then
            echo "export SLURM_CONF=$SLURM_CONF PATH=$folder/bin:\$PATH"
            return
        fi
        sleep 1
    done
    echo "error: the node did not become idle in a minute; $folder/slurmctld.log and slurmd.log say more" >&2
    exit 1
}

stop() {
    scancel --user=root 2> /dev/null || true
    for pid in slurmd slurmctld munge/; do
        file=$folder/${pid%/}
        [ "$pid" = munge/ ] && file=$folder/munge/pid || file=$folder/$pid.pid
        [ ! -s "$file" ] || kill "$(cat "$file")" 2> /dev/null || true
    done
}

case $command in
    start | stop) "$command" ;;
    *) echo "error: expected start or stop, but got $command" >&2; exit 2 ;;
esac
