"""Stop a training early with a checkpoint, so that a later job can continue it.

The request is a signal of the cluster (SIGTERM or SIGUSR1) or the job's own time limit. The training finishes its
step, writes a checkpoint and exits with `REQUEUE`: not finished, run the same command again.
"""

import signal
import time

REQUEUE = 75  # EX_TEMPFAIL of sysexits.h; no other exit here has this code
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)

_STARTED = time.monotonic()
_reason: str | None = None
_limit: float | None = None  # seconds from the start of the process


def listen(minutes: float | None = None) -> None:
    """Treat `SIGNALS` as requests to stop, and `minutes` since the process started as a time limit (None, 0: none)."""
    global _limit
    _limit = minutes * 60 if minutes else None
    for number in SIGNALS:
        signal.signal(number, _note)


def requested() -> str | None:
    """The reason to stop now (name of the signal, or `time limit`), or None."""
    if _reason is None and _limit is not None and time.monotonic() - _STARTED >= _limit:
        return "time limit"
    return _reason


def _note(number: int, frame: object) -> None:
    global _reason
    _reason = signal.Signals(number).name
