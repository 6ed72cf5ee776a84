"""Outcome of a check before a run."""

from dataclasses import dataclass

OK, NOTE, FAILED = "ok", "note", "FAILED"


@dataclass(frozen=True)
class Finding:
    """Outcome of one check."""

    state: str  # ok, note or FAILED
    what: str
    remedy: str = ""  # what to do about it
    details: tuple[str, ...] = ()  # lines below

    def __str__(self) -> str:
        lines = [f"{self.state:6}  {self.what}", *(f"        {line}" for line in self.details)]
        return "\n".join([*lines, *([f"        -> {self.remedy}"] if self.remedy else [])])


def more(entries: list[str], shown: int) -> str:
    """How many of the entries are not shown."""
    return f" and {len(entries) - shown} more" if len(entries) > shown else ""
