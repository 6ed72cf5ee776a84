"""Table of what models know of their languages, and how fast they write."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lep.files import write_csv, write_text
from lep.manifest import RUN, read_manifest
from lep.names import VOCABULARIES, Family

RUN_ID = "run"  # column
LENGTH = "characters_per_token"
_TITLES = {
    "bits_per_character": "bits/char",
    "next_paragraph": "next paragraph",
    "copied_tokens": "copied tokens",
    LENGTH: "chars/token",
    "matrices_megabytes": "matrices, MB",
}


@dataclass(frozen=True)
class Measured:
    """One measure of one model; `language` is empty where it is none of a language, `n` counts what was measured."""

    model: str
    measure: str
    language: str
    value: float
    n: int


def read_language(path: Path) -> list[Measured]:
    """The rows of `tables/language.csv`."""
    with open(path, encoding="utf-8", newline="") as file:
        return [
            Measured(row["model"], row["measure"], row["language"], float(row["value"]), int(row["n"]))
            for row in csv.DictReader(file)
        ]


def learned(rows: Sequence[Measured], families: Sequence[Family]) -> list[dict[str, str]]:
    """Bits per character of each adapted base model beside its initial and its original state, by language, as text."""
    bits = {(row.model, row.language): row.value for row in rows if row.measure == "bits_per_character"}
    found = []
    for family in families:
        for vocabulary in family.vocabularies:
            place = f"{family.name}/{vocabulary}"
            for code in dict.fromkeys(language for model, language in bits if model == f"{place}/donor"):
                states = {"original": family.base, "initial": f"{place}/init", "adapted": f"{place}/donor"}
                values = {state: f"{bits[model, code]:.2f}" for state, model in states.items()}
                titles = {
                    "family": family.shown("base"),
                    "vocabulary": VOCABULARIES[vocabulary].title,
                    "language": code,
                }
                found.append(titles | values)
    return found


def write_language_table(folders: Sequence[Path], outputs: Mapping[str, Path], run: str = "") -> None:
    """Join the measures of all jobs as `csv` (one row each) and `md` (one row per model).

    With the key `speed` in `outputs`, the characters per second in the first language, by the number of prompts,
    go to that CSV; they differ from run to run.
    """
    rows: list[dict[str, str]] = []
    speeds: dict[str, dict[str, float]] = {}
    for folder in folders:
        read_manifest(folder)  # raises UserError if the job is not finished
        with open(Path(folder) / "measures.csv", encoding="utf-8", newline="") as file:
            rows += list(csv.DictReader(file))
        speeds |= json.loads((Path(folder) / RUN).read_text(encoding="utf-8"))["characters_per_second"]
    write_csv(outputs["csv"], (*rows[0], RUN_ID), ([*row.values(), run] for row in rows))
    columns = dict.fromkeys((row["measure"], row["language"]) for row in rows)
    columns = sorted(columns, key=lambda column: list(_TITLES).index(column[0]))  # languages keep their order
    values = {(row["model"], row["measure"], row["language"]): row["value"] for row in rows}
    titles = ["model", *(f"{_TITLES[measure]} {language}".strip() for measure, language in columns)]
    lines = ["| " + " | ".join(titles) + " |", "|---|" + "---:|" * len(columns)]
    for model in dict.fromkeys(row["model"] for row in rows):
        cells = [values.get((model, *column), "–") for column in columns]
        lines.append("| " + " | ".join([model, *cells]) + " |")
    note = (
        "bits/char: of held-out text, lower is better. next paragraph: share of questions in which the true next "
        "paragraph is the most probable of four, per character; by chance 0.25. copied tokens: share of the tokens "
        "of a paragraph that are the most probable ones after the same paragraph."
    )
    lines += ["", f"{note} Run `{run}`." if run else note]
    write_text(outputs["md"], "\n".join(lines) + "\n")
    if "speed" in outputs:
        batches = list(dict.fromkeys(batch for found in speeds.values() for batch in found))
        first = rows[0]["language"]
        lengths = {row["model"]: row["value"] for row in rows if (row["measure"], row["language"]) == (LENGTH, first)}
        header = ("model", f"{LENGTH}_{first}", *(f"characters_per_second_{batch}" for batch in batches), RUN_ID)
        lines = [(model, lengths[model], *map(found.get, batches), run) for model, found in speeds.items() if found]
        write_csv(outputs["speed"], header, lines)
