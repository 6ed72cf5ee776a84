"""The launcher of several processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import lep.log
from lep.compute import stop


def test_the_launcher_passes_signals_and_the_exit_code(tmp_path: Path) -> None:
    module = tmp_path / "waits.py"
    module.write_text(
        "import os, pathlib, sys, time\nfrom lep.compute import stop\nstop.listen()\n"
        "pathlib.Path(sys.argv[1], os.environ['RANK']).touch()\n"
        "end = time.monotonic() + 60\n"
        "while not stop.requested() and time.monotonic() < end:\n    time.sleep(0.01)\n"
        "sys.exit(stop.REQUEUE if stop.requested() == 'SIGUSR1' else 1)\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", ""), str(Path(lep.log.__file__).parents[1])])
    command = [sys.executable, "-m", "lep.compute.launch", "--processes", "2", "waits", str(tmp_path)]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not ((tmp_path / "0").exists() and (tmp_path / "1").exists()) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(60) == stop.REQUEUE
