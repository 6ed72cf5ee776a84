"""The time limit of a process."""

import signal

from lep.compute import stop


def test_the_time_limit_counts_from_the_start_of_the_process(monkeypatch) -> None:
    handlers = [signal.getsignal(number) for number in stop.SIGNALS]
    try:
        stop.listen(minutes=2)
        monkeypatch.setattr("time.monotonic", lambda: stop._STARTED + 119)
        assert stop.requested() is None
        monkeypatch.setattr("time.monotonic", lambda: stop._STARTED + 121)
        assert stop.requested() == "time limit"
    finally:
        stop.listen()
        for number, handler in zip(stop.SIGNALS, handlers, strict=True):
            signal.signal(number, handler)
