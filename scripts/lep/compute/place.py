"""Run a module on the GPUs of its job: one process per GPU, on one node or several.

    python -m lep.compute.place --gpus 1 lep.evaluation.evaluate --config evaluate.json
    # inside a SLURM job of two nodes:
    python -m lep.compute.place --gpus 16 --nodes 2 lep.pretraining.pretrain --config train.json

- On a workstation it waits for free GPUs and locks them, so that no two jobs share one (`CUDA_VISIBLE_DEVICES`).
- In a SLURM job SLURM chooses the GPUs.
- With more than one GPU it starts one process per GPU (`lep.compute.launch`), on several nodes through `srun`.
- It requeues a SLURM job whose module ends with the exit code `lep.compute.stop.REQUEUE`: the module wrote a restart
  point before its time limit or a preemption, and Snakemake sees no failure.
"""

import argparse
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from lep.compute.options import count, number
from lep.compute.stop import REQUEUE, SIGNALS

LOCKS = Path("/tmp")  # not $TMPDIR: all runs on one machine must see the same locks
_PORTS = range(20000, 30000)  # ports for the rendezvous of several nodes; the job id chooses one
_PATIENCE = 120  # seconds to wait until SLURM ends a requeued job


def place(gpus: int, nodes: int, command: list[str]) -> int:
    """Run the module `command[0]` with its arguments on `gpus` GPUs in total; returns the exit code."""
    if "SLURM_JOB_ID" not in os.environ:
        claimed = claim(visible_gpus(), gpus)
        if claimed:
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(claimed)
        return run(started(gpus, nodes, command), list(claimed.values()))
    granted = [device for device in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if device]
    code = run(started(gpus or len(granted), nodes, command))  # 0: the job requested them with --gres
    if code == REQUEUE:
        requeue(os.environ["SLURM_JOB_ID"])
    return code


def started(gpus: int, nodes: int, command: list[str]) -> list[str]:
    """The command line: plain Python for up to one GPU, else one process per GPU, on each of the nodes."""
    if gpus <= 1:
        return [sys.executable, "-m", *command]
    processes, rest = divmod(gpus, nodes)
    if rest:
        raise SystemExit(f"error: {gpus} GPUs cannot be divided evenly among {nodes} nodes; change gpu or nodes")
    launch = [sys.executable, "-m", "lep.compute.launch", "--processes", str(processes)]
    if nodes == 1:
        return [*launch, *command]
    port = _PORTS[int(os.environ.get("SLURM_JOB_ID", "0")) % len(_PORTS)]
    spread = ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", f"--gpus-per-node={processes}"]
    meet = ["--nodes", str(nodes), "--meet", f"{socket.gethostname()}:{port}"]
    return [*spread, "--cpu-bind=none", *launch, *meet, *command]


def visible_gpus() -> list[str]:
    """Ids of the GPUs in `CUDA_VISIBLE_DEVICES`; if that is not set, of all GPUs that nvidia-smi lists."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [device for device in chosen.split(",") if device]
    if not shutil.which("nvidia-smi"):
        return []
    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    found = subprocess.run(query, capture_output=True, text=True)
    return found.stdout.split() if found.returncode == 0 else []


def has_gpu() -> bool:
    """Whether this machine has a GPU that torch can use; torch is asked where nvidia-smi knows none."""
    ask = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return bool(visible_gpus()) or subprocess.run([sys.executable, "-c", ask], capture_output=True).returncode == 0


def claim(devices: list[str], count: int) -> dict[str, int]:
    """Lock `count` of `devices`, waiting until enough are free; returns {device: descriptor of its lock file}.

    A lock lasts as long as its descriptor is open. Without devices nothing is locked: the module decides whether it
    can run on the CPU.
    """
    if not devices or not count:
        return {}
    if count > len(devices):
        raise SystemExit(
            f"error: the job asks for {count} GPUs, but only {len(devices)} are visible ({', '.join(devices)}); lower "
            "compute.gpus_per_job, or tell Snakemake how many there are: --resources gpu=N"
        )
    while True:
        claimed: dict[str, int] = {}
        for device in devices:
            descriptor = os.open(LOCKS / f"lep-gpu-{os.getuid()}-{device}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            claimed[device] = descriptor
            if len(claimed) == count:
                return claimed
        # Too few are free: release them, else two waiting jobs could block each other.
        for descriptor in claimed.values():
            os.close(descriptor)
        time.sleep(1)


def run(command: list[str], kept: list[int] | None = None) -> int:
    """Run `command` to its end, forwarding the cluster's signals to it; returns the exit code.

    The command inherits the descriptors `kept`, so that the GPUs stay locked until both processes have ended.
    """
    # Start it before we handle signals: it then inherits that we ignore them, and ignores them until its module is up.
    process = subprocess.Popen(command, pass_fds=kept or [])
    for sent in SIGNALS:
        signal.signal(sent, lambda received, frame: process.send_signal(received))
    code = process.wait()
    return code if code >= 0 else 128 - code


def requeue(job: str) -> None:
    """Requeue our SLURM job, unless SLURM is already ending it (for example a cancelled job). SLURM then ends us.

    A preempted job counts as running until its grace time is over. It must be requeued before: a job that just exits
    counts as failed.
    """
    state = subprocess.run(["squeue", "--noheader", f"--jobs={job}", "--format=%T"], capture_output=True, text=True)
    if state.stdout.strip() == "RUNNING" and subprocess.run(["scontrol", "requeue", job]).returncode == 0:
        print(f"requeued SLURM job {job}; it continues from its restart point", file=sys.stderr, flush=True)
        time.sleep(_PATIENCE)


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gpus", type=number, default=0, help="total number of GPUs")
    parser.add_argument("--nodes", type=count, default=1)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="module and its arguments")
    given = parser.parse_args()
    if not given.command:
        parser.error("give a module to run")
    sys.exit(place(given.gpus, given.nodes, given.command))


if __name__ == "__main__":
    main()
