"""From a cell to where it came from: what is found, what is missing, what is refused."""

import gzip
import json
from pathlib import Path

import pytest
from fixtures.report import Files, make_files, read_rows, sources_of, write_rows
from lep.config import UserError
from lep.explain import explain
from lep.manifest import publish, staging
from lep.report.run_id import identify_run
from lep.report.tables import write_table

MODEL = "llama/extended/conversion"
CELL = f"table3/{MODEL}/daru_copy_ru"


def artefact(folder: Path, parents: dict[str, Path], **config: object) -> Path:
    staged = staging(folder)
    publish(staged, folder, recipe_version=1, seed=7, parents=parents, config=config)
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("files"), items=4, draws=20)


@pytest.fixture
def results(files: Files, tmp_path: Path) -> Path:
    """A run folder with one evaluation and the artefacts behind it."""
    root = tmp_path / "mini"
    corpus = artefact(
        root / "corpus", {}, sources=[{"name": "bible", "sha256": "f" * 64}], splits={"benchmark_fraction": 0.08}
    )
    benchmark = artefact(root / "benchmark", {"corpus": corpus})
    donor = artefact(root / "models/llama/extended/donor", {"data": corpus})
    model = artefact(root / "models" / MODEL, {"donor": donor})
    other = artefact(root / "models/llama/extended/swap", {})
    folder = root / "evaluation/llama/extended/propagation"
    staged = staging(folder)
    rows = [row for row in read_rows(files.scores) if row["model"] == MODEL]
    write_rows(staged / "scores.csv", tuple(rows[0]), rows)
    line = {"model": MODEL, "task": "cp_sent_ru", "item": 3, "value": {"length_ratio": 0.5}, "prompt": "Повтори:\nДа",
            "target": "Да", "output": "Нет"}  # fmt: skip
    with gzip.open(staged / "samples.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
    publish(
        staged, folder, recipe_version=1, seed=42, facts={"template_hash": {MODEL: None}},
        parents={MODEL: model, "llama/extended/swap": other, "benchmark": benchmark},
    )  # fmt: skip
    job = root / "jobs/evaluate/llama/extended/propagation.json"
    job.parent.mkdir(parents=True)
    job.write_text("{}")
    (root / "metrics.csv").write_bytes(files.metrics.read_bytes())
    identify_run("mini", {"scores.csv": files.scores}, root / "run_id.json")
    for n in (2, 3):
        write_table(n, sources_of(files), {"csv": root / f"tables/table{n}.csv"})
    return root


def test_further_seeds_are_shown(results: Path) -> None:
    assert "seeds; the table" not in explain(CELL, results)
    first, further = (results / place / "evaluation/llama/extended/propagation" for place in ("", "seed-43"))
    staged = staging(further)
    rows = [row | {"value": "0.125000"} for row in read_rows(first / "scores.csv")]
    write_rows(staged / "scores.csv", tuple(rows[0]), rows)
    publish(staged, further, recipe_version=1, seed=43, facts={"template_hash": {MODEL: None}})
    text = explain(CELL, results)
    assert "the first of 2 seeds; the table has their mean" in text
    assert f"0.125000  {further}" in text
    assert f"answers   {first}" in text


def test_a_cell_is_followed_to_the_raw_data(files: Files, results: Path) -> None:
    text = explain(CELL, results)
    scores = {row["name"]: row for row in read_rows(files.scores) if row["model"] == MODEL}
    for name in ("daru_copy_ru", "cp_sent_ru", "cp_para_ru"):
        row = scores[name]
        assert f"{row['value']}  95 % interval {row['low']} to {row['high']}, n {row['n']}" in text
    assert json.loads((results / "run_id.json").read_text())["run"] in text
    chain = text.partition("raw data\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0].rstrip(":") for line in chain] == [
        "scores", "benchmark", "corpus", "raw", MODEL, "donor", "data",
    ]  # fmt: skip
    assert "f" * 64 in chain[3]
    assert chain[-1].endswith("(see above)")
    assert "swap" not in "".join(chain)  # not behind this cell
    for part in ("seed      42", "  | Повтори:", "right     'Да'", "answer    'Нет'", "samples.jsonl.gz", "commit"):
        assert part in text
    assert f"--config {results}/jobs/evaluate/llama/extended/propagation.json" in text
    assert f"python -m lep.explain {CELL} --results {results} --again" in text


def test_a_parent_that_was_made_again_is_missing(results: Path) -> None:
    artefact(results / "models/llama/extended/donor", {}, changed=True)
    assert "donor: MISSING, no folder has the manifest" in explain(CELL, results)


def test_symbols_per_token(results: Path) -> None:
    artefact(results / "vocabularies/llama/bpe", {"corpus": results / "corpus"})
    (results / "corpus/benchmark.jsonl").write_text("")
    text = explain("table2/llama/bpe/symbols_per_token", results)
    assert "value     3.41 symbols per token" in text
    assert "--forcerun measure_vocabularies" in text
    assert "raw data name bible" in text
    assert "corpus/benchmark.jsonl" in text


def test_symbols_of_a_run_that_holds_no_text_back_are_those_of_validation(results: Path) -> None:
    artefact(results / "vocabularies/llama/bpe", {"corpus": results / "corpus"})
    artefact(results / "corpus", {}, splits={"benchmark_fraction": 0})
    (results / "corpus/validation.jsonl").write_text("")
    assert "corpus/validation.jsonl" in explain("table2/llama/bpe/symbols_per_token", results)


BAD = {
    "form": ("llama/extended", r"is not a cell; write tableN/MODEL/COLUMN"),
    "table": ("table9/llama/base/micro_avg", r"is not a cell"),
    "column": (f"table3/{MODEL}/rouge", r"table3 has no column 'rouge'; use one of micro_avg"),
    "model": ("table3/llama/extended/swop/rcb", r"no models 'llama/extended/swop'; use one of mistral/bpe/swap"),
    "several": ("table3/llama/extended/rcb", r"models 'llama/extended'; use"),
    "not evaluated": ("table3/mistral/bpe/swap/rcb", r"no evaluation in .* has answers of mistral/bpe/swap"),
    "not built": ("table4/llama/instruct/rcb", r"table4\.csv does not exist; build the tables first"),
}


@pytest.mark.parametrize(("cell", "message"), BAD.values(), ids=BAD.keys())
def test_what_is_no_cell_is_refused(results: Path, cell: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        explain(cell, results)
