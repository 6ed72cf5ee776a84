"""Integrity checks of a finished run, written as JUnit XML. All checks run, also after a failure.

A check is a function that raises `CheckError` with a message. Unlike a claim, a check must hold.
"""

import json
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from lep.config import UserError
from lep.evaluation.samples import SAMPLES
from lep.evaluation.scores import scores_again
from lep.files import write_text
from lep.log import logger
from lep.manifest import read_manifest, verify
from lep.names import COLUMNS, GROUPS, MICRO, STAND_IN, TASKS, Family, micro_average, parse_families
from lep.report.gather import gather_scores
from lep.report.published import Published, read_published
from lep.report.scores import SCORE_COLUMNS, Metrics, Paths, Scores, as_paths, read_metrics, read_rows, read_scores
from lep.report.special_rows import differing_rows

ROUNDING = 0.001  # the paper's values have three decimal places
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class CheckError(Exception):
    """An integrity check failed."""


@dataclass(frozen=True)
class Facts:
    """Everything that the checks read."""

    families: list[Family]
    models: Sequence[str]  # names of all models that the workflow evaluates
    scores: Scores
    metrics: Metrics
    published: list[Published]  # the paper's rows
    overlaps: list[Path]  # what each part of the training text shares with held-out text, by `find_overlap`
    manifests: list[Path]  # folders of published artefacts
    propagated: dict[Path, Path]  # folder of a LEP model -> folder of its instruct model
    donors: dict[Path, Path]  # folder of a donor -> scores.csv of the checkpoints that it was chosen from
    tables: list[Path]  # tables as Markdown
    evaluations: list[Path]  # scores.csv of every evaluation, beside its answers and its manifest
    joined: Path  # the file of `scores`


def run_checks(
    families: list[dict],
    models: Sequence[str],
    scores: Path,
    metrics: Path,
    published: Path,
    target: Path,
    overlaps: Paths = (),
    manifests: Paths = (),
    propagated: dict[str, str] | None = None,
    donors: dict[str, str] | None = None,
    tables: Paths = (),
    evaluations: Paths = (),
    run: str = "",
) -> None:
    """Run all checks and write the JUnit XML `target`. Raises one `UserError` that lists all failures.

    The arguments are as in `Facts`; a folder may also be given by its manifest.json.
    """
    facts = Facts(
        parse_families(families), models, read_scores(scores), read_metrics(metrics), read_published(published),
        as_paths(overlaps), [_folder(path) for path in as_paths(manifests)],
        {_folder(a): _folder(b) for a, b in (propagated or {}).items()},
        {_folder(donor): Path(path) for donor, path in (donors or {}).items()}, as_paths(tables),
        as_paths(evaluations), Path(scores),
    )  # fmt: skip
    failures = {name: _failure(check, facts) for name, check in CHECKS.items()}
    write_text(target, junit(failures, run))
    for name, failure in failures.items():
        logger.info("%s %s", "failed" if failure else "passed", name)
    if failed := [f"  {name}: {failure}" for name, failure in failures.items() if failure]:
        raise UserError(f"{len(failed)} of {len(failures)} integrity checks failed:\n" + "\n".join(failed))


def junit(failures: dict[str, str | None], run: str = "") -> str:
    """JUnit XML of checks; `failures` maps each name to its failure message, or to None if the check passed."""
    count = sum(failure is not None for failure in failures.values())
    suite = ElementTree.Element(
        "testsuite", name="integrity", tests=str(len(failures)), failures=str(count), errors="0"
    )
    ElementTree.SubElement(ElementTree.SubElement(suite, "properties"), "property", name="run", value=run)
    for name, failure in failures.items():
        case = ElementTree.SubElement(suite, "testcase", classname="integrity", name=name)
        if failure is not None:
            text = _NOT_XML.sub(lambda match: f"\\x{ord(match[0]):02x}", failure)
            ElementTree.SubElement(case, "failure", message=text.partition("\n")[0]).text = text
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def check_rows_complete(facts: Facts) -> None:
    """Each evaluated model has a score for every task and group, and the Micro-Avg."""
    for model in facts.models:
        missing = [name for name in (*TASKS, *COLUMNS) if not facts.scores.get(model, name)]
        _require(not missing, f"{model} has no {', '.join(missing)}")


def check_scores_as_evaluated(facts: Facts) -> None:
    """The answers of each evaluation give the scores that it wrote, and these, gathered again, give `scores.csv`."""
    if not facts.evaluations:
        return
    for path in facts.evaluations:
        _compare(path, _rows(path), scores_again(path.parent), "evaluate its models again", leave_out="step")
    first = read_manifest(facts.evaluations[0].parent)
    answers = [path.with_name(SAMPLES) for path in facts.evaluations]
    with tempfile.TemporaryDirectory() as scratch:
        again = Path(scratch) / "scores.csv"
        gather_scores(facts.evaluations, again, answers, first["config"]["bootstrap_draws"], first["seed"])
        _compare(facts.joined, _rows(facts.joined), _rows(again), "gather the scores again")


def _rows(path: Path) -> list[dict[str, str]]:
    """Scores as they are written; those of earlier versions name no engine."""
    return [{"engine": ""} | row for _, row in read_rows(path, SCORE_COLUMNS[:-1])]


def _compare(path: Path, rows: list[dict], wanted: list[dict], remedy: str, leave_out: str = "") -> None:
    """Raise `CheckError` with the first row of a table that is not as it should be, or that it lacks."""
    keys = [key for key in SCORE_COLUMNS if key != leave_out]
    found, given = (Counter(tuple(row[key] for key in keys) for row in table) for table in (rows, wanted))
    for values, what in [*((row, "has") for row in found - given), *((row, "lacks") for row in given - found)]:
        row = dict(zip(keys, values, strict=True))
        shown = ", ".join(row[key] for key in ("model", "name", "metric", "value"))
        raise CheckError(f"{path} is not what the evaluations gave: it {what} {shown}; {remedy}")


def check_micro_formula(facts: Facts) -> None:
    """A group score is the mean over its tasks, and the Micro-Avg the mean over all 17."""
    for model, scores in facts.scores.entries.items():
        parts = [(name, tasks) for name, tasks in {**GROUPS, MICRO: TASKS}.items() if name in scores]
        for name, tasks in parts:
            mean = sum(scores[task].value for task in tasks) / len(tasks)
            _require(abs(mean - scores[name].value) < 1e-5, f"{model}: {name} is {scores[name].value}, mean {mean:.6f}")


def check_micro_formula_published(facts: Facts) -> None:
    """The paper's Micro-Avg is the mean of its group scores, weighted by number of tasks, up to rounding."""
    for row in facts.published:
        mean = micro_average({name: row.values[name] for name in GROUPS})
        where = f"Table {row.table}, {row.model} {row.vocabulary}"
        found = row.values[MICRO]
        _require(abs(mean - found) < ROUNDING, f"{where}: Micro-Avg {found}, but the mean is {mean:.4f}")


def check_no_overlap(facts: Facts) -> None:
    """No part of the training text shares a group of documents or a paragraph with held-out text."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in facts.overlaps]
    _require(any(part["documents"] for part in found), "no training document was compared with held-out text")
    first = [message for part in found for message in part["first"]]
    _require(not first, f"{sum(part['shared'] for part in found)} times; first: {'; '.join(first[:3])}")


def check_manifests(facts: Facts) -> None:
    """Every file of every artefact has the hash that the manifest states."""
    for folder in facts.manifests:
        verify(folder)


def check_validation_improves(facts: Facts) -> None:
    """Embedding pre-training lowers the bits per character of held-out text for every vocabulary."""
    name = "bits_per_character"
    for family in facts.families:
        for vocabulary in family.vocabularies:
            last = facts.scores.last(family.name, vocabulary)
            before = facts.metrics.need("pretraining", f"{family.name}/{vocabulary}/init", name)
            after = facts.metrics.need("pretraining", last, name)
            _require(after < before, f"{last}: {after} bits per character, {before} before training")


def check_special_rows(facts: Facts) -> None:
    """Rows of added tokens equal those of the instruct model bit for bit, in input embeddings and head."""
    for model, instruct in facts.propagated.items():
        differing = differing_rows(model, instruct)
        _require(not differing, f"{model}: rows of {', '.join(differing[:5])} differ from {instruct}")


def check_counts_and_chance(facts: Facts) -> None:
    """Chance levels are between 0 and 1, scores between -1 and 1."""
    for model, scores in facts.scores.entries.items():
        for name, score in scores.items():
            _require(0 <= score.chance <= 1, f"line {score.line}: chance of {model}, {name} is {score.chance}")
            _require(-1 <= score.value <= 1, f"line {score.line}: score of {model}, {name} is {score.value}")


def check_same_items(facts: Facts) -> None:
    """Models with equal shots were scored on equally many items of each task."""
    for name in TASKS:
        for shots in {score[name].shots for score in facts.scores.entries.values() if name in score}:
            found = {m: s[name].n for m, s in facts.scores.entries.items() if name in s and s[name].shots == shots}
            _require(len(set(found.values())) <= 1, f"{name} ({shots} shots): {found}")


def check_donors(facts: Facts) -> None:
    """The donor of LEP is the best checkpoint of its pre-training."""
    for folder, path in facts.donors.items():
        scores = read_scores(path)
        used = read_manifest(folder)["facts"].get("checkpoint")
        family, vocabulary, _ = next(iter(scores.entries)).split("/")
        best = scores.donor(family, vocabulary).rsplit("/", 1)[-1]
        _require(used == best, f"{folder}: LEP used {used}, the best of {path} is {best}")


def check_stand_ins_declared(facts: Facts) -> None:
    """Stand-ins are named as such in every title and in the tables."""
    for family in facts.families:
        titles = family.base_title, family.instruct_title
        named = all(STAND_IN in title for title in titles)
        _require(named == family.stand_in, f"{family.name}: stand_in is {family.stand_in}, titles are {titles}")
    if any(family.stand_in for family in facts.families):
        for table in facts.tables:
            _require(STAND_IN in Path(table).read_text(encoding="utf-8"), f"{table} does not name its stand-ins")


CHECKS: dict[str, Callable[[Facts], None]] = {
    check.__name__.removeprefix("check_"): check
    for check in (
        check_rows_complete,
        check_scores_as_evaluated,
        check_micro_formula,
        check_micro_formula_published,
        check_counts_and_chance,
        check_same_items,
        check_no_overlap,
        check_manifests,
        check_validation_improves,
        check_donors,
        check_special_rows,
        check_stand_ins_declared,
    )
}


def _failure(check: Callable[[Facts], None], facts: Facts) -> str | None:
    try:
        check(facts)
    except (CheckError, UserError) as error:
        return str(error)
    except Exception as error:  # the other checks must run even on damaged data
        return f"the check stopped with {error!r}"
    return None


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise CheckError(message)


def _folder(path: str | Path) -> Path:
    path = Path(path)
    return path.parent if path.name == "manifest.json" else path
