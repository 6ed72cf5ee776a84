"""Reading of `scores.csv`, `metrics.csv` and `samples.jsonl`. An invalid row is an error that names file and line.

The header is line 1.
"""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lep.config import UserError
from lep.files import numbered_jsonl
from lep.names import LEVELS, MICRO, Family, family_of, parse_model_name

Paths = str | Path | Iterable[str | Path]
SCORE_COLUMNS = (
    "model", "step", "shots", "level", "name", "metric", "value", "low", "high", "n", "chance", "task_version",
    "prompt_hash", "engine",
)  # fmt: skip
METRIC_COLUMNS = ("kind", "model", "name", "value")


@dataclass(frozen=True)
class Score:
    """A score with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int  # scored items
    chance: float  # score without knowledge
    shots: int  # examples in a prompt
    step: int | None  # training step of a checkpoint; None for other models
    line: int  # in scores.csv
    engine: str = ""  # backend and versions; "" = not recorded

    @property
    def above_chance(self) -> bool:
        """Whether the whole interval lies above the score without knowledge."""
        return self.low > self.chance


@dataclass(frozen=True)
class Scores:
    """Headline scores of a `scores.csv`."""

    path: Path
    entries: dict[str, dict[str, Score]]  # by model, then by task, group or micro_avg

    def of(self, model: str) -> Mapping[str, Score]:
        """All scores of a model; `UserError` if it was not evaluated."""
        if model not in self.entries:
            known = ", ".join(sorted(self.entries)) or "no model"
            raise UserError(f"{self.path} has no scores of {model}; evaluate it. The file has {known}")
        return self.entries[model]

    def get(self, model: str, name: str) -> Score | None:
        """One score; None if it is missing."""
        return self.entries.get(model, {}).get(name)

    def need(self, model: str, name: str) -> Score:
        """One score; `UserError` if it is missing."""
        score = self.of(model).get(name)
        if score is None:
            raise UserError(f"{self.path} has no {name} of {model}; evaluate it on all tasks")
        return score

    def checkpoints(self, family: str, vocabulary: str) -> list[tuple[int, str]]:
        """(step, model) of the evaluated checkpoints of a training run, by step."""
        prefix = f"{family}/{vocabulary}/cpt-"
        names = [name for name in self.entries if name.startswith(prefix)]
        return sorted((next(iter(self.entries[name].values())).step, name) for name in names)

    def last(self, family: str, vocabulary: str) -> str:
        """The last evaluated checkpoint of a training run; `UserError` if there is none."""
        found = self.checkpoints(family, vocabulary)
        if not found:
            raise UserError(
                f"{self.path} has no checkpoint {family}/{vocabulary}/cpt-NNN; evaluate the training run's checkpoints"
            )
        return found[-1][1]

    def donor(self, family: str, vocabulary: str) -> str:
        """The checkpoint with the best Micro-Avg (of equal ones the latest); the last one if none has a Micro-Avg."""
        last = self.last(family, vocabulary)
        found = self.checkpoints(family, vocabulary)
        ranked = [(score.value, step, name) for step, name in found if (score := self.get(name, MICRO))]
        return max(ranked)[2] if ranked else last


@dataclass(frozen=True)
class Metrics:
    """Facts of a `metrics.csv`."""

    path: Path
    entries: dict[tuple[str, str, str], tuple[str, int]]  # (kind, model, name) -> (value as text, line)

    def need(self, kind: str, model: str, name: str) -> float:
        """One fact as a number; `UserError` if it is missing or not a finite number."""
        if (kind, model, name) not in self.entries:
            raise UserError(f"{self.path} has no row {kind},{model},{name}; gather the metrics of that step")
        text, line = self.entries[kind, model, name]
        return read_number(text, f"{self.path}, line {line}: value")

    def get(self, kind: str, model: str, name: str) -> float | None:
        """One fact as a number; None if it is missing."""
        return self.need(kind, model, name) if (kind, model, name) in self.entries else None


def read_scores(path: str | Path, families: list[Family] | None = None) -> Scores:
    """Read and check `scores.csv`; with `families`, a model of any other family is an error."""
    path = Path(path)
    known = {family.name for family in families or ()}
    seen: dict[tuple, int] = {}
    entries: dict[str, dict[str, Score]] = {}
    for line, row in read_rows(path, SCORE_COLUMNS[:-1]):  # scores of earlier versions name no engine
        where = f"{path}, line {line}"
        _check_names(row, where, known)
        key = tuple(row[column] for column in ("model", "level", "name", "metric"))
        if key in seen:
            raise UserError(f"{where} repeats line {seen[key]} ({', '.join(key)}); keep one of the two")
        seen[key] = line
        value, low, high = (read_number(row[column], f"{where}: {column}") for column in ("value", "low", "high"))
        if low > high:
            raise UserError(f"{where}: low {low} is above high {high}; evaluate the model again")
        if row["metric"] == "score":
            entries.setdefault(row["model"], {})[row["name"]] = Score(
                value, low, high, *_counts(row, where), step=_step(row, where), line=line, engine=row.get("engine", "")
            )
    return Scores(path, entries)


def read_metrics(path: str | Path) -> Metrics:
    """Read and check `metrics.csv`; repeated rows and NaN are errors."""
    path = Path(path)
    entries: dict[tuple[str, str, str], tuple[str, int]] = {}
    for line, row in read_rows(path, METRIC_COLUMNS):
        key = (row["kind"], row["model"], row["name"])
        if key in entries:
            raise UserError(f"{path}, line {line} repeats line {entries[key][1]} ({', '.join(key)}); keep one of them")
        if not _finite_or_text(row["value"]):
            raise UserError(f"{path}, line {line}: value is {row['value']}; run the step that measured it again")
        entries[key] = (row["value"], line)
    return Metrics(path, entries)


def read_samples(path: str | Path) -> list[dict]:
    """Sample answers for Figure 3: {"family", "prompt", "answers": [{"model", "label", "text"}]}."""
    samples = []
    for number, sample in numbered_jsonl(path):
        try:
            answers = [{key: str(answer[key]) for key in ("model", "label", "text")} for answer in sample["answers"]]
            samples.append({"family": sample["family"], "prompt": str(sample["prompt"]), "answers": answers})
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{path}, line {number} is not a sample ({error!r}); write family, prompt, answers"
            ) from None
    if not samples:
        raise UserError(f"{path} is empty; generate sample answers first")
    return samples


def as_paths(paths: Paths) -> list[Path]:
    """One path or several as a list."""
    return [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]


def read_rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, row) of a CSV file; `UserError` if a column or a field is missing."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:  # spreadsheets write a mark in front
            reader = csv.DictReader(file)
            missing = [column for column in columns if column not in (reader.fieldnames or ())]
            if missing:
                raise UserError(
                    f"{path} lacks the columns {', '.join(missing)}; its header must be {','.join(columns)}"
                )
            for row in reader:
                if None in row or None in row.values():
                    raise UserError(f"{path}, line {reader.line_num} must have {len(columns)} fields")
                yield reader.line_num, row
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run the step that writes it") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 ({error}); save it as UTF-8") from None
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: {error}; write plain text in UTF-8") from None


def read_table(path: Path, columns: Sequence[str], again: str) -> list[dict[str, str]]:
    """The rows of a CSV file that the report wrote, with exactly these columns; `UserError` says what to do `again`."""
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != tuple(columns):
            raise UserError(f"{path} must have the columns {', '.join(columns)}; {again} again")
        return list(reader)


def _check_names(row: dict[str, str], where: str, families: set[str]) -> None:
    if row["level"] not in LEVELS:
        raise UserError(f"{where}: unknown level {row['level']!r}; use {', '.join(LEVELS)}")
    if row["name"] not in LEVELS[row["level"]]:
        raise UserError(f"{where}: unknown {row['level']} {row['name']!r}; use {', '.join(LEVELS[row['level']])}")
    try:
        model = parse_model_name(row["model"])
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    if families and family_of(model.family) not in families:
        raise UserError(f"{where}: {row['model']} has an unknown family; use one of {', '.join(sorted(families))}")


def _counts(row: dict[str, str], where: str) -> tuple[int, float, int]:
    n, shots = (_whole(row[column], f"{where}: {column}") for column in ("n", "shots"))
    if n < 1:
        raise UserError(f"{where}: n is {row['n']}; it must be the number of scored items")
    return n, read_number(row["chance"], f"{where}: chance"), shots


def _step(row: dict[str, str], where: str) -> int | None:
    if row["step"] == "":
        if "/cpt-" in row["model"]:
            raise UserError(f"{where}: checkpoint {row['model']} has no step; give the training step")
        return None
    return _whole(row["step"], f"{where}: step")


def _whole(text: str, where: str) -> int:
    number = read_number(text, where)
    if number < 0 or number != int(number):
        raise UserError(f"{where} is {text!r}; it must be a whole number, 0 or more")
    return int(number)


def _finite_or_text(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return True


def read_number(text: str, where: str) -> float:
    """A finite number; `UserError` that begins with `where` for anything else."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{where} is {text!r}; it must be a finite number")
    return number
