"""Logging of a job: one log file per job, one clear message for bad input, a traceback for any other failure."""

import argparse
import logging
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from lep.compute import stop
from lep.config import Job, UserError, load_job

logger = logging.getLogger("lep")


@contextmanager
def logged(log_file: str | Path | None = None) -> Iterator[None]:
    """Context of a job: logs to stderr or to `log_file`, and turns an exception into exit code 1.

    Of a `UserError` only the message is logged, of any other exception the traceback. Where the log cannot be written,
    the terminal is told.
    """
    stream, terminal = None, sys.stderr
    if log_file:
        try:
            Path(log_file).parent.mkdir(parents=True, exist_ok=True)
            stream = open(log_file, "w", encoding="utf-8")  # noqa: SIM115 (open until the process ends)
        except OSError as error:
            print(f"error: the log {log_file} cannot be written: {error.strerror}", file=terminal)
            sys.exit(1)
        sys.stderr = sys.stdout = stream
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr, force=True
    )
    for noisy in ("httpx", "httpx2", "urllib3", "filelock", "fsspec", "matplotlib", "fontTools"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        yield
    except UserError as error:
        logger.error("error: %s", error)
        sys.exit(1)
    except Exception:
        logger.exception("failed")
        sys.exit(1)
    finally:
        if stream:
            _flush(stream, terminal)


def writing_fault(folder: str | Path) -> str | None:
    """Why nothing can be written to an existing folder, such as a full disk; None where a file of 1 MB can."""
    if not Path(folder).is_dir():
        return None
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(bytes(2**20))
            file.flush()
    except OSError as error:
        return f"nothing can be written to {folder}: {error.strerror}"
    return None


def _flush(stream: TextIO, terminal: TextIO) -> None:
    try:
        stream.flush()
        fault = writing_fault(Path(stream.name).parent)
    except OSError as error:
        fault = f"the log {stream.name} cannot be written: {error.strerror}"
    if fault:
        print(f"error: {fault}; make room and start the same command again", file=terminal)


def run_job(function: Callable[[Job], None], job_class: type[Job], description: str, stops: bool = False) -> None:
    """Command line of a module that runs one job: `--config` is a JSON file with the fields of `job_class`.

    With `stops` the job may stop early (`lep.compute.stop`): on a signal, or after `--minutes`.
    """
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("--config", type=Path, required=True, help=f"a {job_class.__name__} as JSON")
    if stops:
        parser.add_argument(
            "--minutes", type=float, help="stop with a checkpoint after this time; a later job continues (0: no limit)"
        )
    arguments = parser.parse_args()
    if stops:
        stop.listen(arguments.minutes)
    with logged():
        job = load_job(job_class, arguments.config)
        if hasattr(job, "dtype"):
            logger.info("number type %s, device %s", job.dtype, job.device)
        function(job)
