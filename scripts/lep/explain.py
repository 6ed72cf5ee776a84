"""Trace a number of a table: model, manifests down to the raw data, command, seed, prompt and answers.

Run: `python -m lep.explain table3/llama/extended/conversion/daru_copy_ru` (table, model, column). The column may also
be one of the 17 tasks. `--again` scores the cell again in a temporary folder and compares the two scores.
"""

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lep.config import UserError, parse_job
from lep.corpus.documents import measured_split
from lep.evaluation.samples import SAMPLES, read_lines
from lep.files import sha256_file
from lep.log import logged
from lep.manifest import MANIFEST, RUN, read_manifest
from lep.names import COLUMNS, GROUPS, MICRO, ORIGINAL, TASKS, parse_model_name
from lep.report.run_id import RUN_ID, read_run
from lep.report.scores import read_metrics
from lep.report.table import LAST, SYMBOLS
from lep.workflow.run import SEED_FOLDER

SHOWN = 16  # digits of a hash that are shown
TEXT = 1500  # characters of a prompt that are shown, the last ones
PLACES = (Path("data/stand_ins"),)  # folders with manifests, besides the results of the run


@dataclass(frozen=True)
class Cell:
    """A cell of a table."""

    table: int
    model: str
    column: str  # name of the score in scores.csv, or `symbols_per_token`
    tasks: tuple[str, ...]  # tasks that the score is the mean of


def explain(text: str, results: Path) -> str:
    """Everything about the cell `text`, as readable lines; `UserError` if there is no such cell."""
    cell = find_cell(text, results)
    manifests = index_manifests(results)
    head = [f"cell      {text}", f"model     {cell.model}", f"run       {read_run(results / RUN_ID)}"]
    if cell.column == SYMBOLS:
        return "\n".join([*head, *_explain_symbols(cell, results, manifests)]) + "\n"
    folder = evaluation_of(cell.model, results)
    lines = [
        *head,
        *_score_lines(cell, folder),
        *_seed_lines(cell, results),
        "",
        *_origin_lines(cell, text, folder, results),
    ]
    lines += [
        "",
        "manifests, from the scores down to the raw data",
        *chain("scores", folder, manifests, (cell.model, "benchmark")),
    ]
    return "\n".join([*lines, "", *_example_lines(cell, folder)]) + "\n"


def find_cell(text: str, results: Path) -> Cell:
    """The cell `tableN/MODEL/COLUMN`. In Table 2, FAMILY/VOCABULARY is enough: it means the chosen checkpoint."""
    table, _, rest = text.partition("/")
    name, _, column = rest.rpartition("/")
    path = results / "tables" / f"{table}.csv"
    if table not in ("table1", "table2", "table3", "table4") or not name:
        raise UserError(
            f"{text!r} is not a cell; write tableN/MODEL/COLUMN, as in table3/llama/extended/conversion/{MICRO}"
        )
    known = (*COLUMNS, *TASKS, *((SYMBOLS, LAST) if table == "table2" else ()))
    if column not in known:
        raise UserError(f"{table} has no column {column!r}; use one of {', '.join(known)}")
    try:
        with open(path, encoding="utf-8", newline="") as file:
            models = [row["model"] for row in csv.DictReader(file) if row["model"]]
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; build the tables first (make paper)") from None
    found = [model for model in models if model == name] or [m for m in models if m.startswith(f"{name}/")]
    if len(found) != 1:
        raise UserError(f"{table} has {len(found) or 'no'} models {name!r}; use one of {', '.join(models)}")
    tasks = GROUPS.get(column, TASKS if column in (MICRO, LAST) else (column,))
    model = _last(found[0], results) if column == LAST else found[0]
    return Cell(int(table[-1]), model, MICRO if column == LAST else column, tasks)


def index_manifests(results: Path) -> dict[str, Path]:
    """Folders of all published artefacts, of the run and shipped ones, by the hash of their manifest."""
    paths = [path for place in (results, *PLACES) for path in sorted(place.rglob(MANIFEST))]
    return {sha256_file(path): path.parent for path in paths if not _unfinished(path)}


def evaluation_of(model: str, results: Path) -> Path:
    """The folder with the answers of a model, of its first seed; `UserError` if it was not evaluated."""
    found = next(evaluations_of(model, results / "evaluation"), None)
    if found is None:
        raise UserError(f"no evaluation in {results} has answers of {model}; run the workflow again")
    return found


def evaluations_of(model: str, place: Path) -> Iterator[Path]:
    """The folders below `place` with the answers of a model."""
    for path in sorted(place.rglob(MANIFEST)):
        if not _unfinished(path) and model in read_manifest(path.parent)["facts"].get("template_hash", {}):
            yield path.parent


def chain(name: str, folder: Path, manifests: dict[str, Path], parents: Sequence[str] = ()) -> list[str]:
    """The manifest of `folder` and those of all its ancestors, one line each, indented by depth.

    `parents` limits the parents of `folder` itself (empty = all). A parent is reported as missing if no folder has its
    hash: it was deleted or made again.
    """
    lines: list[str] = []
    seen: set[Path] = set()

    def walk(name: str, folder: Path, digest: str, depth: int, only: Sequence[str] = ()) -> None:
        known = " (see above)" if folder in seen else ""
        lines.append(f"  {'  ' * depth}{name}: {folder}  {digest[:SHOWN]}{known}")
        if known:
            return
        seen.add(folder)
        manifest = read_manifest(folder)
        for source in _raw_sources(manifest):
            lines.append(f"  {'  ' * (depth + 1)}raw data {source}")
        for parent, wanted in manifest["parents"].items():
            if only and parent not in only:
                continue
            if wanted in manifests:
                walk(parent, manifests[wanted], wanted, depth + 1)
            else:
                lines.append(f"  {'  ' * (depth + 1)}{parent}: MISSING, no folder has the manifest {wanted[:SHOWN]}")

    walk(name, folder, sha256_file(folder / MANIFEST), 0, parents)
    return lines


def score_again(text: str, results: Path) -> str:
    """Evaluate the cell's model on the cell's tasks again, in a temporary folder, and compare the scores."""
    from lep.evaluation.evaluate import EvaluateJob, evaluate

    cell = find_cell(text, results)
    if cell.column == SYMBOLS:
        raise UserError(
            "symbols per token are counted, not scored; the command that `lep.explain` prints counts them again"
        )
    folder = evaluation_of(cell.model, results)
    settings = json.loads(_job_of(folder, results).read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as place:
        new = Path(place) / "evaluation"
        settings |= {
            "models": [model for model in settings["models"] if model["name"] == cell.model],
            "tasks": [task for task in settings["tasks"] if task in cell.tasks],
            "work": f"{place}/work", "output": str(new),
        }  # fmt: skip
        evaluate(parse_job(EvaluateJob, settings, text))
        before, after = (_rows(where, cell.model) for where in (folder, new))
    compared = [name for name in dict.fromkeys((cell.column, *cell.tasks)) if name in after]
    lines = [f"{name:22} {before[name]['value']}  again {after[name]['value']}" for name in compared]
    equal = all(before[name]["value"] == after[name]["value"] for name in compared)
    return "\n".join([*lines, "equal" if equal else "DIFFERENT"]) + "\n"


def _score_lines(cell: Cell, folder: Path) -> Iterator[str]:
    rows = _rows(folder, cell.model)
    for name in dict.fromkeys((cell.column, *(cell.tasks if len(cell.tasks) > 1 else ()))):
        if name not in rows:
            raise UserError(f"{folder}/scores.csv has no {name} of {cell.model}; it was not evaluated on all its tasks")
        row = rows[name]
        lead = "value     " if name == cell.column else f"  of {name:20} "
        yield (
            f"{lead}{row['value']}  95 % interval {row['low']} to {row['high']}, n {row['n']}, chance {row['chance']}, "
            f"{row['shots']} shots" + (f", prompts {row['prompt_hash']}" if row["prompt_hash"] else "")
        )


def _seed_lines(cell: Cell, results: Path) -> Iterator[str]:
    """The score with each further seed, if there are some: the table shows the mean."""
    places = sorted(results.glob(f"{SEED_FOLDER}*/evaluation"))
    folders = [folder for place in places for folder in evaluations_of(cell.model, place)]
    if folders:
        yield f"the first of {len(folders) + 1} seeds; the table has their mean, with an interval over seeds and items"
    for folder in folders:
        value = _rows(folder, cell.model)[cell.column]["value"]
        yield f"  seed {read_manifest(folder)['seed']:17} {value}  {folder}"


def _origin_lines(cell: Cell, text: str, folder: Path, results: Path) -> Iterator[str]:
    manifest, run = read_manifest(folder), json.loads((folder / RUN).read_text(encoding="utf-8"))
    yield f"answers   {folder / SAMPLES}"
    yield f"seed      {manifest['seed']}"
    yield f"commit    {run['commit']}"
    yield f"made      {run['finished']} by Python {run['python']}, " + ", ".join(
        f"{name} {version}" for name, version in run["versions"].items() if version
    )
    yield f"command   python -m lep.evaluation.evaluate --config {_job_of(folder, results)}"
    yield f"this cell python -m lep.explain {text} --results {results} --again"
    yield f"workflow  snakemake {_overlay(results)}--cores 1 --forcerun evaluate -- {folder / 'scores.csv'}"


def _example_lines(cell: Cell, folder: Path) -> Iterator[str]:
    """Prompt, answer and score of the first item of the cell's first task."""
    for line in read_lines(folder / SAMPLES):
        if line["model"] == cell.model and line["task"] == cell.tasks[0]:
            prompt = line["prompt"]
            cut = f" (the last {TEXT} of {len(prompt)} characters)" if len(prompt) > TEXT else ""
            yield f"prompt of item {line['item']} of {line['task']}{cut}"
            yield from (f"  | {part}" for part in prompt[-TEXT:].splitlines())
            yield f"right     {line['target']!r}"
            yield f"answer    {line['output']!r}"
            yield f"scored    {json.dumps(line['value'], ensure_ascii=False, sort_keys=True)}"
            return


def _explain_symbols(cell: Cell, results: Path, manifests: dict[str, Path]) -> Iterator[str]:
    model = parse_model_name(cell.model)
    name = f"{model.family}/{model.vocabulary}"
    value = read_metrics(results / "metrics.csv").need("vocabulary", name, SYMBOLS)
    yield f"value     {value} symbols per token of Russian text"
    splits = read_manifest(results / "corpus")["config"]["splits"]
    text = results / f"corpus/{measured_split(splits['benchmark_fraction'])}.jsonl"
    yield f"text      {text}  {sha256_file(text)[:SHOWN]}"
    target = results / "vocabularies/metrics.csv"
    yield f"workflow  snakemake {_overlay(results)}--cores 1 --forcerun measure_vocabularies -- {target}"
    yield "\nmanifests, from the vocabulary down to the raw data"
    is_original = model.vocabulary == ORIGINAL
    folder = results / "models" / cell.model if is_original else results / "vocabularies" / name
    yield from chain("vocabulary", folder, manifests)


def _raw_sources(manifest: dict) -> Iterator[str]:
    """Sources outside the workflow that a manifest names, with hash or revision, and the files read from them."""
    sources = manifest["config"].get("sources") or ()
    for source in sources:
        yield ", ".join(f"{key} {value}" for key, value in sorted(source.items()))
    for name, digest in manifest["files"].items() if sources else ():
        yield f"as read: {name}, sha256 {digest}"
    for key in ("repository", "revision", "subfolder"):
        if key in manifest["config"]:
            yield f"{key} {manifest['config'][key]}"


def _rows(folder: Path, model: str) -> dict[str, dict[str, str]]:
    with open(folder / "scores.csv", encoding="utf-8", newline="") as file:
        return {r["name"]: r for r in csv.DictReader(file) if r["model"] == model and r["metric"] == "score"}


def _last(model: str, results: Path) -> str:
    """The last checkpoint of the training run of a checkpoint."""
    folder = evaluation_of(model, results)
    return max(name for name in read_manifest(folder)["facts"]["template_hash"])


def _job_of(folder: Path, results: Path) -> Path:
    """The file with the job settings of an evaluation."""
    place = folder.relative_to(results / "evaluation")
    path = (results / "jobs/evaluate" / place).with_suffix(".json")
    if not path.is_file():
        raise UserError(f"{path} is missing; run the workflow again")
    return path


def _overlay(results: Path) -> str:
    overlay = Path("configs") / f"{results.name}.yaml"
    return f"--configfile {overlay} " if overlay.is_file() else ""


def _unfinished(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def main() -> None:
    parser = argparse.ArgumentParser(description="Trace a number of a table down to the raw data.")
    parser.add_argument("cell", help="tableN/MODEL/COLUMN, as in table3/llama/extended/conversion/daru_copy_ru")
    parser.add_argument("--results", type=Path, default=Path("results/mini"), help="folder of the run")
    parser.add_argument("--again", action="store_true", help="score this cell again and compare")
    options = parser.parse_args()
    with logged():
        make = score_again if options.again else explain
        sys.stdout.write(make(options.cell, options.results))


if __name__ == "__main__":
    main()
