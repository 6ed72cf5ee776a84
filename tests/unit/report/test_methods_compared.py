"""Table S1 and its figure: paired differences to Conversion, verdicts, and what is left out."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.report import FAMILIES, Files, change_rows, files_of_methods, make_files, outputs, read_rows, with_models
from lep.config import UserError
from lep.evaluation.paired import paired_difference
from lep.evaluation.samples import load_samples
from lep.methods import PAPER_METHODS
from lep.names import COLUMNS, MICRO, parse_families
from lep.report.figure_methods import plot_methods
from lep.report.methods_compared import HEADER, compare_methods, mark_note, read_compared, shown, summarise
from lep.report.table import NOT_ABOVE_NOTE


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("files"), items=12, draws=20)


def compare(
    files: Files,
    folder: Path,
    methods: tuple[str, ...] = PAPER_METHODS,
    controls: tuple[str, ...] = (),
    families: list[dict] = FAMILIES,
) -> dict[tuple, dict[str, str]]:
    places = {kind: folder / f"methods.{kind}" for kind in ("csv", "md")}
    compare_methods(families, files.scores, files.answers, places, methods, controls, draws=50, seed=3, run="ci-1")
    return {tuple(row[key] for key in HEADER[:4]): row for row in read_rows(places["csv"])}


def with_ridge(files: Files, folder: Path, name: str = "ridge") -> Files:
    """The run with a further method, whose answers are those of Swap but for perfect copies."""
    models = {row["model"] for row in read_rows(files.scores)}
    names = {model: model.replace("/swap", f"/{name}") for model in models if model.endswith("/swap")}
    return with_models(files, folder, names, perfect=set(names.values()))


def test_differences_are_paired_and_against_conversion(files: Files, tmp_path: Path) -> None:
    found = compare(files, tmp_path)
    assert len(found) == 7 * 3 * len(COLUMNS)
    samples = load_samples(files.answers)
    for name in COLUMNS:
        row = found["llama", "bpe", "swap", name]
        expected = paired_difference(
            [samples["llama/bpe/conversion"]], [samples["llama/bpe/swap"]], name, draws=50, seed=3
        )
        assert [float(row[key]) for key in HEADER[7:10]] == pytest.approx(expected, abs=1e-6)
        low, high = expected[1:]
        assert row["verdict"] == ("better" if low > 0 else "worse" if high < 0 else "undecided")
        assert found["llama", "bpe", "conversion", name]["difference"] == ""
        assert found["llama", "bpe", "conversion", name]["verdict"] == ""
    assert {row["run"] for row in found.values()} == {"ci-1"}


def test_scores_that_are_not_above_chance_are_marked_in_every_format(files: Files, tmp_path: Path) -> None:
    """An interval that begins at chance is marked, one that begins above it is not; a note explains the mark."""
    lows = {"llama/bpe/swap": "0.2", "llama/bpe/overlap": "0.2001"}

    def change(row: dict) -> dict:
        low = lows.get(row["model"], "0.21")
        return row | {"value": "0.3", "low": low, "high": "0.4", "chance": "0.2"}

    changed = replace(files, scores=change_rows(files.scores, tmp_path / "scores.csv", change))
    found = compare(changed, tmp_path)
    assert {key for key, row in found.items() if row["above_chance"] == "no"} == {
        ("llama", "bpe", "swap", name) for name in COLUMNS
    }
    lines = (tmp_path / "methods.md").read_text(encoding="utf-8").splitlines()
    assert [line.split(" | ")[1:4] for line in lines if "°" in line and "|" in line] == [["BPE", "Swap", ".300° ±.100"]]
    assert sum(NOT_ABOVE_NOTE in line for line in lines) == 1
    compared = read_compared(tmp_path / "methods.csv")
    assert [(row["vocabulary"], row["method"]) for row in shown(compared, parse_families(FAMILIES)) if row["mark"]] == [
        ("BPE", "Swap")
    ]
    assert mark_note(compared) == NOT_ABOVE_NOTE
    assert not mark_note([row for row in compared if row.method != "swap"])


def test_a_planted_gain_is_found(files: Files, tmp_path: Path) -> None:
    """Copies that are perfect for one method alone: better on copying, and in the summary of the Micro-Avg."""
    found = compare(with_ridge(files, tmp_path), tmp_path, (*PAPER_METHODS, "ridge"))
    for family, vocabulary in (("llama", "bpe"), ("mistral", "extended")):
        assert found[family, vocabulary, "ridge", "daru_copy_ru"]["verdict"] == "better"
        same = [found[family, vocabulary, method, "daru_mmlu"]["difference"] for method in ("ridge", "swap")]
        assert same[0] == same[1]
    rows = read_compared(tmp_path / "methods.csv")
    summary = {row["title"]: row for row in summarise(rows)}
    assert list(summary) == ["Swap", "Overlap", "Ridge"]
    verdicts = [row.verdict for row in rows if (row.method, row.name) == ("ridge", MICRO)]
    assert summary["Ridge"]["better"] == str(verdicts.count("better"))
    assert summary["Ridge"]["comparisons"] == "7"
    text = (tmp_path / "methods.md").read_text(encoding="utf-8")
    assert text.startswith("**Table S1.**")
    assert f"Ridge: better in {verdicts.count('better')}, worse in" in text


def test_without_conversion_there_are_scores_and_no_difference(files: Files, tmp_path: Path) -> None:
    methods = ("swap", "overlap")
    found = compare(files_of_methods(files, tmp_path, methods), tmp_path, methods)
    assert len(found) == 7 * 2 * len(COLUMNS)
    assert all(row["value"] and not row["difference"] and not row["verdict"] for row in found.values())
    places = outputs(tmp_path, "methods_figure", "pdf", "png", "csv")
    plot_methods(FAMILIES, tmp_path / "methods.csv", places)  # an empty figure, not an error
    assert len(places["csv"].read_text().splitlines()) == 1


def test_figure_has_the_data_of_the_table(files: Files, tmp_path: Path) -> None:
    compare(files, tmp_path)
    places = outputs(tmp_path, "figure", "pdf", "png", "csv")
    plot_methods(FAMILIES, tmp_path / "methods.csv", places, run="ci-1")
    drawn = list(csv.DictReader(places["csv"].read_text().splitlines()))
    table = [row for row in read_rows(tmp_path / "methods.csv") if row["name"] == MICRO and row["difference"]]
    assert [row["difference"] for row in drawn] == [row["difference"] for row in table]
    first = places["png"].read_bytes()
    plot_methods(FAMILIES, tmp_path / "methods.csv", places, run="ci-1")
    assert places["png"].read_bytes() == first


def test_controls_are_rows_of_table_and_figure(files: Files, tmp_path: Path) -> None:
    """The original for every vocabulary, as scored once; those that are made, for the chosen vocabularies alone."""
    families = [FAMILIES[0], FAMILIES[1] | {"control_vocabularies": ["bpe"]}]
    made = with_ridge(files, tmp_path, "direct")
    found = compare(made, tmp_path, controls=("direct", "original"), families=families)
    assert len(found) == (7 * 3 + 7 + 1) * len(COLUMNS)
    samples = load_samples(made.answers)
    for vocabulary in FAMILIES[1]["vocabularies"]:
        row = found["llama", vocabulary, "original", MICRO]
        pair = [samples[f"llama/{vocabulary}/conversion"]], [samples["llama/instruct"]]
        assert [float(row[key]) for key in HEADER[7:10]] == pytest.approx(
            paired_difference(*pair, MICRO, draws=50, seed=3), abs=1e-6
        )
    assert found["llama", "bpe", "direct", "daru_copy_ru"]["verdict"] == "better"
    assert ("llama", "extended", "direct", MICRO) not in found
    text = (tmp_path / "methods.md").read_text(encoding="utf-8")
    assert "Direct (control): the instruct model with embeddings that were trained on it" in text
    assert "Original (control): better in" in text
    places = outputs(tmp_path, "with_controls", "pdf", "png", "csv")
    plot_methods(families, tmp_path / "methods.csv", places)
    drawn = [row["method"] for row in csv.DictReader(places["csv"].read_text().splitlines())]
    assert (drawn.count("original"), drawn.count("direct")) == (7, 1)
    with pytest.raises(UserError, match=r"unknown control directly; use original, donor_body, direct"):
        compare(made, tmp_path, controls=("directly",))


def test_missing_model_and_foreign_file(files: Files, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no samples of llama/bpe/ridge"):
        compare(files, tmp_path, (*PAPER_METHODS, "ridge"))
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"other\.csv must have the columns family, vocabulary"):
        read_compared(tmp_path / "other.csv")
