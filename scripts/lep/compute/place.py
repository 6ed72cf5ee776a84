"""Run a module on the GPUs of its job: one process per GPU, on one node or several.

    python -m lep.compute.place --gpus 1 lep.evaluation.evaluate --config evaluate.json
    # inside a SLURM job of two nodes:
    python -m lep.compute.place --gpus 16 --nodes 2 lep.pretraining.pretrain --config train.json

On a workstation it locks free GPUs, so that no two jobs share one (`CUDA_VISIBLE_DEVICES`), and waits until enough are
free; in a SLURM job SLURM chooses them. With more than one GPU it starts one process per GPU (`lep.compute.launch`), on
several nodes through `srun`. It requeues a SLURM job whose module ends with the exit code `lep.compute.stop.REQUEUE`:
the module saved itself before its time limit or a preemption, and Snakemake sees no failure.
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

from lep.compute.stop import REQUEUE, SIGNALS

LOCKS = Path("/tmp")  # not $TMPDIR: two runs on one machine must meet
_PORTS = range(20000, 30000)  # where the processes of several nodes meet, by job id
_PATIENCE = 120  # seconds that SLURM gets to end a job it takes back


def place(gpus: int, nodes: int, command: list[str]) -> int:
    """Run the module `command[0]` with its arguments on `gpus` GPUs in all; returns the exit code."""
    if "SLURM_JOB_ID" not in os.environ:
        claimed = claim(visible_gpus(), gpus)
        if claimed:
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(claimed)
        return run(started(gpus, nodes, command), list(claimed.values()))
    granted = [device for device in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if device]
    code = run(started(gpus or len(granted), nodes, command))  # 0: asked for by --gres
    if code == REQUEUE:
        requeue(os.environ["SLURM_JOB_ID"])
    return code


def started(gpus: int, nodes: int, command: list[str]) -> list[str]:
    """The command line: Python alone, one process for each GPU, or that on each node."""
    if gpus <= 1:
        return [sys.executable, "-m", *command]
    processes, rest = divmod(gpus, nodes)
    if rest:
        raise SystemExit(f"error: {gpus} GPUs cannot be shared out evenly to {nodes} nodes; change gpu or nodes")
    launch = [sys.executable, "-m", "lep.compute.launch", "--processes", str(processes)]
    if nodes == 1:
        return [*launch, *command]
    port = _PORTS[int(os.environ.get("SLURM_JOB_ID", "0")) % len(_PORTS)]
    spread = ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", f"--gpus-per-node={processes}"]
    meet = ["--nodes", str(nodes), "--meet", f"{socket.gethostname()}:{port}"]
    return [*spread, "--cpu-bind=none", *launch, *meet, *command]


def visible_gpus() -> list[str]:
    """Ids of the devices this machine shows us, or that `CUDA_VISIBLE_DEVICES` leaves of them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [device for device in chosen.split(",") if device]
    if not shutil.which("nvidia-smi"):
        return []
    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    found = subprocess.run(query, capture_output=True, text=True)
    return found.stdout.split() if found.returncode == 0 else []


def claim(devices: list[str], count: int) -> dict[str, int]:
    """Lock `count` of `devices` for as long as the returned files ({device: descriptor}) are open; waits for them.

    Without any device nothing is claimed: the module decides whether it can work so.
    """
    if not devices or not count:
        return {}
    if count > len(devices):
        raise SystemExit(
            f"error: the job asks for {count} GPUs, this machine shows {len(devices)} ({', '.join(devices)}); lower "
            "compute.gpus_per_job, or give Snakemake what there is: --resources gpu=N"
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
        for descriptor in claimed.values():
            os.close(descriptor)
        time.sleep(1)


def run(command: list[str], kept: list[int] | None = None) -> int:
    """Run to the end, passing on the signals of a cluster; returns the exit code.

    `kept` are descriptors that the command holds as well, so that a claim ends with the last of both.
    """
    # Started before we listen: a signal that we ignore is ignored there too, until the module listens.
    process = subprocess.Popen(command, pass_fds=kept or [])
    for number in SIGNALS:
        signal.signal(number, lambda number, frame: process.send_signal(number))
    code = process.wait()
    return code if code >= 0 else 128 - code


def requeue(job: str) -> None:
    """Put our SLURM job back into the queue, unless SLURM ends it already (cancelled, say). SLURM then ends us.

    A job that is asked to leave for a more urgent one counts as running until its time of grace is over; one that
    just left would have failed.
    """
    state = subprocess.run(["squeue", "--noheader", f"--jobs={job}", "--format=%T"], capture_output=True, text=True)
    if state.stdout.strip() == "RUNNING" and subprocess.run(["scontrol", "requeue", job]).returncode == 0:
        print(f"SLURM job {job} goes back to the queue, to go on from its restart point", file=sys.stderr, flush=True)
        time.sleep(_PATIENCE)


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gpus", type=int, default=0, help="GPUs in all")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="module and its arguments")
    given = parser.parse_args()
    if not given.command:
        parser.error("give a module to run")
    sys.exit(place(given.gpus, given.nodes, given.command))


if __name__ == "__main__":
    main()
