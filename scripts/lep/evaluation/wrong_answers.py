"""Table of wrong answers, a few per task. The labels of the benchmark are public, so errors can be shown."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from darumeru import metrics
from darumeru.specs import SPECS

from lep.evaluation.samples import read_lines
from lep.files import write_csv, write_text

COLUMNS = ("model", "task", "item", "score", "question", "target", "output")
LENGTH = 120  # longest text in the table, in characters
EMPTY = "(empty)"
# Latin, Cyrillic and common punctuation; other characters are written as code points.
_DRAWN = frozenset(map(chr, [*range(0x20, 0x7F), *range(0xA0, 0x180), *range(0x400, 0x460)])) | frozenset("–—‘’“”„…№")


def list_wrong_answers(
    samples: Sequence[Path], models: Sequence[str], per_task: int, outputs: dict[str, Path], run: str = ""
) -> None:
    """Write the worst answers of `models`, at most `per_task` per task, as `outputs["csv"]` and `outputs["md"]`.

    `samples` are `samples.jsonl.gz` files. Right answers (score 1) are never listed; among equal scores the earlier
    item comes first.
    """
    lines = [line for path in samples for line in read_lines(path) if line["model"] in models]
    rows = [row for model in models for row in worst((x for x in lines if x["model"] == model), per_task)]
    write_csv(outputs["csv"], (*COLUMNS, "run"), ([*(row[column] for column in COLUMNS), run] for row in rows))
    table = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    table += ["| " + " | ".join(row[column].replace("|", "\\|") for column in COLUMNS) + " |" for row in rows]
    table += ["", f"Run `{run}`."] if run else []
    write_text(outputs["md"], "\n".join(table) + "\n")


def worst(lines: Iterable[dict], per_task: int) -> list[dict[str, str]]:
    """Rows of the table: per task, the `per_task` lines of `samples.jsonl` with the lowest scores below 1."""
    wrong: dict[str, list[tuple[float, int, dict]]] = {task: [] for task in SPECS}
    for number, line in enumerate(lines):
        score = metrics.item_score(line["task"], line["value"])
        if score < 1:
            wrong[line["task"]].append((score, number, line))
    return [
        {
            "model": line["model"],
            "task": task,
            "item": str(line["item"]),
            "score": f"{score:.2f}",
            **{column: shortened(line[column]) for column in ("question", "target", "output")},
        }
        for task, found in wrong.items()
        for score, _, line in sorted(found, key=lambda entry: entry[:2])[:per_task]
    ]


def shortened(text: str, length: int = LENGTH) -> str:
    """The text as one line of `length` characters at most.

    Line ends become ` / `, the middle of a long text becomes ` … `, characters of other scripts become code points.
    """
    text = " / ".join(line.strip() for line in text.strip().splitlines() if line.strip()) or EMPTY
    if len(text) > length:
        half = (length - 3) // 2
        text = f"{text[:half].rstrip()} … {text[-half:].lstrip()}"
    return "".join(c if c in _DRAWN else f"<U+{ord(c):04X}>" for c in text)
