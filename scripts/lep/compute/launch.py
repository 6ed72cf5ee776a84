"""Start a training module in several processes: torchrun that forwards the cluster's signals and the exit code.

    python -m lep.compute.launch --processes 8 lep.pretraining.pretrain --config train.json
    # on each of four nodes:
    python -m lep.compute.launch --nodes 4 --meet HOST:29500 --processes 8 lep.pretraining.pretrain --config train.json

torchrun alone kills the processes on a signal and turns every exit code into 1. This launcher forwards SIGTERM and
SIGUSR1 to the processes, which write a checkpoint, and returns their exit code (75: run the same command again).
"""

import argparse
import signal
import sys

import psutil

from lep.compute.options import count
from lep.compute.stop import SIGNALS


def launch(processes: int, command: list[str], nodes: int = 1, meet: str | None = None) -> int:
    """Run the module `command[0]` with its arguments in `processes` processes of this node; returns the exit code.

    With several `nodes`, call it once on each node, with the same rendezvous address `meet` (host:port).
    """
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    for number in SIGNALS:
        signal.signal(number, _pass_on)
    place = ["--rdzv-backend=c10d", f"--rdzv-endpoint={meet}"] if meet else ["--standalone"]
    options = [*place, f"--nnodes={nodes}", f"--nproc-per-node={processes}", "--signals-to-handle=SIGINT,SIGHUP"]
    try:
        run.run(run.parse_args([*options, "-m", *command]))
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    return 0


def _pass_on(number: int, frame: object) -> None:
    for child in psutil.Process().children():
        child.send_signal(number)


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--processes", type=count, required=True, help="processes on this node, one for each GPU")
    parser.add_argument("--nodes", type=count, default=1)
    parser.add_argument("--meet", help="host:port of the rendezvous of several nodes")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="module and its arguments")
    given = parser.parse_args()
    if not given.command or (given.nodes > 1 and not given.meet):
        parser.error("give a module to run, and --meet HOST:PORT with several nodes")
    sys.exit(launch(given.processes, given.command, given.nodes, given.meet))


if __name__ == "__main__":
    main()
