"""Stopping a training early, with a checkpoint, so that a later job goes on with it.

A cluster asks with SIGTERM or SIGUSR1; a job that knows its limit asks itself, after some minutes. The training
finishes its step, writes a checkpoint and exits with `REQUEUE`: not done, run the same command again.
"""

import signal
import time

REQUEUE = 75  # EX_TEMPFAIL of sysexits.h; nothing else here exits with it
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)

_STARTED = time.monotonic()
_reason: str | None = None
_limit: float | None = None  # seconds from the start of the process


def listen(minutes: float | None = None) -> None:
    """From now on a signal of `SIGNALS` asks to stop, and so does the end of `minutes` since the process started.

    None and 0: there is no such end.
    """
    global _limit
    _limit = minutes * 60 if minutes else None
    for number in SIGNALS:
        signal.signal(number, _note)


def requested() -> str | None:
    """Why the training should stop now, or None."""
    if _reason is None and _limit is not None and time.monotonic() - _STARTED >= _limit:
        return "time limit"
    return _reason


def _note(number: int, frame: object) -> None:
    global _reason
    _reason = signal.Signals(number).name
