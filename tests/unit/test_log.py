"""A log that cannot be written is told on the terminal: an empty log would leave the reader without a word."""

import subprocess
import sys
from pathlib import Path

JOB = "from lep.log import logged, logger\nwith logged('job.log'):\n    logger.info('a line')\n    {end}\n"


def said(folder: Path, end: str) -> str:
    run = subprocess.run([sys.executable, "-c", JOB.format(end=end)], cwd=folder, capture_output=True, text=True)
    return run.stderr


def test_a_full_disk_is_told_on_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "job.log").symlink_to("/dev/full")
    for end in ("pass", "raise OSError(28, 'No space left on device')"):
        message = said(tmp_path, end)
        assert "error: the log job.log cannot be written: No space left on device; make room and start" in message


def test_a_log_that_can_be_written_leaves_the_terminal_quiet(tmp_path: Path) -> None:
    assert said(tmp_path, "pass") == ""
    assert "a line" in (tmp_path / "job.log").read_text(encoding="utf-8")
