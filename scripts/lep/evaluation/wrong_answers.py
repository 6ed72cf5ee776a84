"""Wrong answers, a few of each task, as a table: the labels of the benchmark are open, so errors can be read."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from darumeru import metrics
from darumeru.specs import SPECS

from lep.evaluation.samples import read_lines
from lep.files import write_csv, write_text

COLUMNS = ("model", "task", "item", "score", "question", "target", "output")
LENGTH = 120  # characters of a text in the table
EMPTY = "(empty)"
# Letters of our languages and common punctuation; everything else is written as its code point.
_DRAWN = frozenset(map(chr, [*range(0x20, 0x7F), *range(0xA0, 0x180), *range(0x400, 0x460)])) | frozenset("–—‘’“”„…№")


def list_wrong_answers(
    samples: Sequence[Path], models: Sequence[str], per_task: int, outputs: dict[str, Path], run: str = ""
) -> None:
    """Write the worst answers of `models`, `per_task` of each task, as `outputs["csv"]` and `outputs["md"]`.

    `samples` are `samples.jsonl.gz` files. An answer that is right is never listed; of equal scores the earlier item
    is taken. Summaries and rankings are seldom all right, so theirs are the lowest.
    """
    lines = [line for path in samples for line in read_lines(path) if line["model"] in models]
    rows = [row for model in models for row in worst((x for x in lines if x["model"] == model), per_task)]
    write_csv(outputs["csv"], (*COLUMNS, "run"), ([*(row[column] for column in COLUMNS), run] for row in rows))
    table = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    table += ["| " + " | ".join(row[column].replace("|", "\\|") for column in COLUMNS) + " |" for row in rows]
    table += ["", f"Run `{run}`."] if run else []
    write_text(outputs["md"], "\n".join(table) + "\n")


def worst(lines: Iterable[dict], per_task: int) -> list[dict[str, str]]:
    """Rows of the table: of each task, the lines of `samples.jsonl` with the lowest score below 1."""
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
    """One line of at most `length` characters: line ends as ` / `, the middle left out, foreign signs by code point."""
    text = " / ".join(line.strip() for line in text.strip().splitlines() if line.strip()) or EMPTY
    if len(text) > length:
        half = (length - 3) // 2
        text = f"{text[:half].rstrip()} … {text[-half:].lstrip()}"
    return "".join(c if c in _DRAWN else f"<U+{ord(c):04X}>" for c in text)
