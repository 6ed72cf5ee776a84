"""Scores of two engines in one table: a mark, a note and a column, in every format; else nothing."""

import dataclasses
from pathlib import Path

import pytest
from fixtures.report import FAMILIES, Files, change_rows, make_files, outputs, read_rows, sources_of
from lep.methods import PAPER_METHODS
from lep.names import MICRO
from lep.report.methods_compared import compare_methods, read_compared
from lep.report.tables import build_table, write_table

HF, VLLM = "transformers 5.23.0, torch 2.13.0, lm_eval 0.4.13", "vllm 0.33.0, transformers 5.20.2, torch 2.14.0"
KINDS = ("csv", "tidy", "md", "tex", "typ")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("files"), items=8, draws=20)


def scored(files: Files, folder: Path, *models: str) -> Files:
    """The run with all scores by transformers, but those of `models` by vLLM."""
    folder.mkdir(exist_ok=True)
    engine = dict.fromkeys(models, VLLM)
    scores = change_rows(
        files.scores, folder / "scores.csv", lambda row: row | {"engine": engine.get(row["model"], HF)}
    )
    return dataclasses.replace(files, scores=scores)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_one_engine_leaves_tables_as_they_are(number: int, files: Files, tmp_path: Path) -> None:
    texts = []
    for name, given in (("none", files), ("one", scored(files, tmp_path / "scores"))):
        paths = outputs(tmp_path / name, "table", *KINDS)
        write_table(number, sources_of(given, FAMILIES), paths)
        texts.append({kind: path.read_text(encoding="utf-8") for kind, path in paths.items()})
    assert texts[0] == texts[1]


MIXED = {1: "llama/instruct", 2: "llama/base", 3: "mistral/bpe/swap", 4: "llama/extended/conversion/saiga"}


@pytest.mark.parametrize(("number", "model"), MIXED.items())
def test_two_engines_are_marked_in_every_format(number: int, model: str, files: Files, tmp_path: Path) -> None:
    mixed = scored(files, tmp_path / "scores", model)
    paths = outputs(tmp_path, "table", *KINDS)
    write_table(number, sources_of(mixed, FAMILIES), paths)
    rows = {row["model"]: row for row in read_rows(paths["csv"]) if row["model"] and row[MICRO]}
    assert {name: row["engine"] for name, row in rows.items()} == {n: VLLM if n == model else HF for n in rows}
    tidy = {row["model"]: row["label"] for row in read_rows(paths["tidy"]) if row["source"] == "this run"}
    assert all(label.endswith("(b)" if name == model else "(a)") for name, label in tidy.items())
    for kind in ("md", "tex", "typ"):
        text = paths[kind].read_text(encoding="utf-8").replace("\\", "")
        assert "(b)" in text
        assert f"(a) {HF}; (b) {VLLM}." in text
        assert "Differences between rows of different letters may be theirs." in text


def test_a_column_of_another_engine_counts(files: Files, tmp_path: Path) -> None:
    """The last checkpoint of Table 2 stands in the row of the chosen one."""
    table = build_table(2, sources_of(files, FAMILIES))
    row = next(
        r for r in table.rows if r.model.startswith("llama/") and "cpt" in r.model and not r.model.endswith("100")
    )
    last = row.model.rsplit("/", 1)[0] + "/cpt-100"
    mixed = build_table(2, sources_of(scored(files, tmp_path / "scores", last), FAMILIES))
    assert next(r for r in mixed.rows if r.model == row.model).labels[-1].endswith("(a, b)")


def test_methods_of_two_engines_are_marked(files: Files, tmp_path: Path) -> None:
    places = {kind: tmp_path / f"methods.{kind}" for kind in ("csv", "md")}
    for models in ((), ("llama/bpe/swap",)):
        given = scored(files, tmp_path / "scores", *models)
        compare_methods(FAMILIES, given.scores, given.answers, places, PAPER_METHODS, draws=20)
        found = {
            f"{row.family}/{row.vocabulary}/{row.method}" for row in read_compared(places["csv"]) if row.engine == VLLM
        }
        assert found == set(models)
        text = places["md"].read_text(encoding="utf-8")
        assert ("(a)" in text, "(b) vllm" in text) == (bool(models), bool(models))
