"""Table S2: what further instruct models gain with a family's donors, against their originals and the first."""

from pathlib import Path

import pytest
from fixtures.report import FAMILIES, PUBLISHED, SECOND, WITH_SECOND, Files, make_files, read_rows, with_second
from lep.config import UserError
from lep.evaluation.paired import contrast, paired_difference
from lep.evaluation.samples import load_samples
from lep.names import COLUMNS, MICRO
from lep.report.instructs_compared import HEADER, compare_instructs, read_served, shown, summarise
from lep.report.methods_compared import compare_methods, read_compared
from lep.report.tables import read_sources

METHODS = ("swap", "overlap", "conversion")
ORIGINAL = "llama@second/instruct"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("files")
    return with_second(make_files(folder, items=12, draws=20), folder)


def compare(files: Files, folder: Path, families: list[dict] = WITH_SECOND) -> dict[tuple, dict[str, str]]:
    places = {kind: folder / f"instructs.{kind}" for kind in ("csv", "md")}
    compare_instructs(families, files.scores, files.answers, places, METHODS, draws=50, seed=3, run="ci-1")
    return {tuple(row[key] for key in HEADER[:4]): row for row in read_rows(places["csv"])}


def test_changes_are_paired_with_the_own_original_and_with_the_first(files: Files, tmp_path: Path) -> None:
    found = compare(files, tmp_path)
    assert {key[:3] for key in found} == {
        (name, "bpe", method) for name in ("llama", "llama@second") for method in ("swap", "conversion")
    }
    assert len(found) == 4 * len(COLUMNS)
    samples = {model: [values] for model, values in load_samples(files.answers).items()}
    for name in COLUMNS:
        row, first = (found[pair, "bpe", "conversion", name] for pair in ("llama@second", "llama"))
        change = paired_difference(samples[ORIGINAL], samples["llama@second/bpe/conversion"], name, draws=50, seed=3)
        assert [float(row[f"change{part}"]) for part in ("", "_low", "_high")] == pytest.approx(change, abs=1e-6)
        terms = [
            (-1, samples[ORIGINAL]), (1, samples["llama@second/bpe/conversion"]),
            (1, samples["llama/instruct"]), (-1, samples["llama/bpe/conversion"]),
        ]  # fmt: skip
        against = contrast(terms, name, draws=50, seed=3)
        assert [float(row[f"against_first{part}"]) for part in ("", "_low", "_high")] == pytest.approx(
            against, abs=1e-6
        )
        assert float(row["against_first"]) == pytest.approx(float(row["change"]) - float(first["change"]), abs=2e-6)
        assert {first[key] for key in HEADER if key.startswith("against_first")} == {""}
        # The planted gain is in copying alone; all other answers are those of the first, on the same items.
        verdict = "better" if name.startswith("daru_copy") else "undecided"
        assert name == MICRO or row["against_first_verdict"] == verdict
        assert {row["above_chance"], row["original_above_chance"]} <= {"yes", "no"}
    assert {row["run"] for row in found.values()} == {"ci-1"}


def test_the_answer_is_counted_from_the_verdicts(files: Files, tmp_path: Path) -> None:
    found = compare(files, tmp_path)
    rows = read_served(tmp_path / "instructs.csv")
    assert [row.is_further for row in rows if row.name == MICRO] == [False, False, True, True]
    summary = {row["title"]: row for row in summarise(rows)}
    assert [row["comparisons"] for row in summary.values()] == ["2", "2", "2"]
    verdicts = [row["change_verdict"] for key, row in found.items() if (key[0], key[3]) == ("llama@second", MICRO)]
    own = summary["Further instruct models against their own originals"]
    assert [own[verdict] for verdict in ("better", "worse", "undecided")] == [
        str(verdicts.count(verdict)) for verdict in ("better", "worse", "undecided")
    ]
    text = (tmp_path / "instructs.md").read_text(encoding="utf-8")
    assert text.startswith("**Table S2.**")
    assert f"Further instruct models against their own originals: better in {own['better']}, worse in" in text
    assert text.count("Second (stand-in)") == 2
    sources = read_sources(WITH_SECOND, PUBLISHED, files.scores)
    assert [row["first_value"] == "–" for row in shown(rows, sources.pairs)] == [True, True, False, False]
    assert [family.name for family in sources.families] == ["mistral", "llama"]


def test_without_further_instructs_nothing_is_compared(files: Files, tmp_path: Path) -> None:
    assert compare(files, tmp_path, FAMILIES) == {}
    assert summarise(read_served(tmp_path / "instructs.csv")) == []


def test_table_s1_has_the_rows_of_a_further_instruct(files: Files, tmp_path: Path) -> None:
    places = {kind: tmp_path / f"methods.{kind}" for kind in ("csv", "md")}
    compare_methods(WITH_SECOND, files.scores, files.answers, places, METHODS, ("original",), draws=50, seed=3)
    rows = [row for row in read_compared(places["csv"]) if row.family == "llama@second" and row.name == MICRO]
    assert [(row.vocabulary, row.method, bool(row.difference)) for row in rows] == [
        ("bpe", "swap", True), ("bpe", "conversion", False), ("bpe", "original", True),
    ]  # fmt: skip
    assert "| Second (stand-in) | BPE | Swap |" in places["md"].read_text(encoding="utf-8")


def test_a_missing_model_and_a_foreign_file(files: Files, tmp_path: Path) -> None:
    unscored = [FAMILIES[0], FAMILIES[1] | {"instructs": [SECOND | {"vocabularies": ["extended"]}]}]
    with pytest.raises(UserError, match="no samples of llama@second/extended/conversion"):
        compare(files, tmp_path, unscored)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"other\.csv must have the columns instruct, vocabulary"):
        read_served(tmp_path / "other.csv")
