"""Tables 1 to 4: rows and order, best values, donors, differences, and the four formats."""

import csv
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from fixtures.report import (
    COMPARATORS,
    FAMILIES,
    PUBLISHED,
    ROOT,
    RUN,
    Files,
    change_rows,
    files_of_methods,
    make_files,
    outputs,
    pdf_text,
    published_sources,
    read_rows,
    real_families,
    sources_of,
    with_value,
    write_rows,
)
from lep.config import UserError
from lep.manifest import publish, read_manifest, staging
from lep.methods import METHODS, PAPER_METHODS
from lep.names import COLUMNS, MICRO
from lep.pretraining.donor import select_donor
from lep.report.document import compile_document
from lep.report.markup import number, signed
from lep.report.scores import Score
from lep.report.table import Cell, Table
from lep.report.tables import WRITERS, arrow, build_table, read_sources, write_table

KINDS = ("csv", "tidy", "md", "tex", "typ")
TABLES = (1, 2, 3, 4)
VOCABULARIES = {"mistral": ["bpe", "unigram", "extended"], "llama": ["bpe", "unigram", "extended", "optimized"]}
TABLE4 = {
    "mistral": [
        "instruct", "original/instruct/saiga", "original/instruct/saiga_copy",
        "unigram/conversion", "unigram/conversion/saiga", "unigram/conversion/saiga_copy",
        "extended/conversion", "extended/conversion/saiga", "extended/conversion/saiga_copy",
    ],
    "llama": [
        "instruct", "original/instruct/saiga", "original/instruct/saiga_copy",
        *(f"{vocabulary}/conversion{calibration}" for vocabulary in ("extended", "optimized")
          for calibration in ("", "/self", "/saiga", "/saiga_copy")),
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("files"), items=12, draws=50)


def build(n: int, files: Files, families: list[dict] = FAMILIES, scores: Path | None = None) -> Table:
    return build_table(n, sources_of(files, families, scores))


def write(n: int, folder: Path, files: Files | None, families: list[dict] = FAMILIES) -> dict[str, Path]:
    paths = outputs(folder, f"table{n}", *KINDS)
    write_table(n, sources_of(files, families) if files else published_sources(), paths)
    return paths


def markdown_rows(path: Path) -> list[list[str]]:
    lines = [line for line in path.read_text().splitlines() if line.startswith("|")]
    return [re.split(r"(?<!\\)\|", line[1:-1]) for line in lines[2:]]


def test_rows_and_their_order(files: Files) -> None:
    table1 = build(1, files)
    assert [row.model for row in table1.rows[:6]] == ["mistral/instruct", "llama/instruct", "", "", "", ""]
    others = ["Saiga (LLaMa-3-8B)", "Vikhr-5.2 (Mistral-7B)", "Qwen-2 7B", "Mistral Nemo (12B)"]
    assert [row.labels[0] for row in table1.rows[2:6]] == [f"{name}, published only" for name in others]
    families = [re.match(r"(\w+)/\w+/conversion/\w+$", row.model)[1] for row in table1.rows[6:]]
    assert families == ["mistral", "llama"]

    models = [row.model for row in build(2, files).rows]
    places = [re.sub(r"cpt-\d+", "cpt", model) for model in models]
    assert places == [m for f, vs in VOCABULARIES.items() for m in (f"{f}/base", *(f"{f}/{v}/cpt" for v in vs))]

    wanted = [f"{f}/{v}/{m}" for f, vs in VOCABULARIES.items() for v in vs for m in PAPER_METHODS]
    assert [row.model for row in build(3, files).rows] == wanted
    table4 = build(4, files)
    assert [row.model for row in table4.rows] == [f"{family}/{m}" for family, ms in TABLE4.items() for m in ms]
    assert table4.rows[12].labels == ("Extended", "–")
    assert table4.rows[13].labels == ("Extended", "self-calibration")


@pytest.mark.parametrize(
    ("methods", "left_out"),
    [(["conversion", "swap"], "Overlap"), (["overlap"], "Swap, Conversion"), (list(PAPER_METHODS), "")],
)
def test_table_3_has_the_methods_that_were_run(tmp_path: Path, files: Files, methods: list[str], left_out: str) -> None:
    """In the order of the paper, whatever that of the configuration; no other row is missed."""
    table = build_table(3, sources_of(files_of_methods(files, tmp_path, methods), methods=methods))
    run = [method for method in PAPER_METHODS if method in methods]
    assert [row.model for row in table.rows] == [
        f"{f}/{v}/{m}" for f, vs in VOCABULARIES.items() for v in vs for m in run
    ]
    assert [row.labels[1] for row in table.rows[: len(run)]] == [METHODS[method].title for method in run]
    assert all(row.published and MICRO in row.cells for row in table.rows)
    assert [note for note in table.notes if note.startswith("Not ")] == ([f"Not run: {left_out}."] if left_out else [])


def test_the_papers_table_3_has_all_methods() -> None:
    assert [row.labels[1] for row in build_table(3, published_sources()).rows[:3]] == ["Swap", "Overlap", "Conversion"]


def test_published_rows_beside_ours_are_those_of_the_same_model(files: Files) -> None:
    published = read_rows(PUBLISHED)
    for n in TABLES:
        wanted = [row for row in published if row["table"] == str(n)]
        rows = build(n, files).rows
        assert [row.published[MICRO] for row in rows] == [float(row["micro_avg"]) for row in wanted]
        assert [row.published["daru_copy_ru"] for row in rows] == [float(row["daru_copy_ru"]) for row in wanted]


@pytest.mark.parametrize("n", TABLES)
def test_published_only_equals_the_paper_digit_for_digit(tmp_path: Path, n: int) -> None:
    paths = write(n, tmp_path, None)
    rows, paper = read_rows(paths["csv"]), [row for row in read_rows(PUBLISHED) if row["table"] == str(n)]
    columns = (*(["symbols_per_token"] if n == 2 else []), *COLUMNS)
    assert len(rows) == len(paper)
    for ours, theirs in zip(rows, paper, strict=True):
        for column in columns:
            digits = 2 if column == "symbols_per_token" else 3
            assert ours[f"paper_{column}"] == f"{float(theirs[column]):.{digits}f}"
        assert ours["stand_in"] == "no"
    assert not any(name in COLUMNS or name.startswith("delta") or name.endswith("_low") for name in rows[0])
    shown = [
        number(float(row[column]), 2 if column == "symbols_per_token" else 3) for row in paper for column in columns
    ]
    cells = [re.sub(r"[*↑↓ ]", "", cell) for row in markdown_rows(paths["md"]) for cell in row[-len(columns) :]]
    assert cells == shown
    for kind in KINDS:
        text = paths[kind].read_text()
        assert "stand-in" not in text.lower()
        assert "±" not in text
        assert "this run" not in text


def test_values_of_ours_are_those_of_the_scores(tmp_path: Path, files: Files) -> None:
    scores = {(row["model"], row["name"]): row for row in read_rows(files.scores)}
    for n in TABLES:
        for row in read_rows(write(n, tmp_path, files)["csv"]):
            for column in COLUMNS if row["model"] else ():
                for end, key in (("", "value"), ("_low", "low"), ("_high", "high")):
                    assert row[column + end] == scores[row["model"], column][key]
    symbols = {row["model"]: row["value"] for row in read_rows(files.metrics) if row["kind"] == "vocabulary"}
    for row in read_rows(tmp_path / "table2.csv"):
        family, vocabulary = row["model"].split("/")[:2]
        key = f"{family}/original" if vocabulary == "base" else f"{family}/{vocabulary}"
        assert float(row["symbols_per_token"]) == float(symbols[key])


def test_scores_that_are_not_above_chance_are_marked_in_every_format(tmp_path: Path, files: Files) -> None:
    model, other = "llama/bpe/swap", "llama/bpe/overlap"
    levels = {model: {"low": "0.2", "chance": "0.2"}, other: {"low": "0.2001", "chance": "0.2"}}

    def change(row: dict) -> dict:
        values = {"value": "0.3", "high": "0.4", **levels.get(row["model"], {})}
        return row | values if row["model"] in levels and row["name"] == MICRO else row

    scores = change_rows(files.scores, tmp_path / "scores.csv", change)
    outputs = {kind: tmp_path / f"table3.{kind}" for kind in WRITERS}
    write_table(3, sources_of(files, scores=scores), outputs)
    texts = {kind: path.read_text(encoding="utf-8") for kind, path in outputs.items()}
    for kind, marked, plain in (
        ("md", ".300° ±.100", ".300 ±.100"),
        ("tex", r".300$^\circ$", r".300\,"),
        ("typ", "[.300°#pm[.100]", "[.300#hide[°]#pm[.100]"),
    ):
        assert texts[kind].count(marked) == texts[kind].count(plain) == 1, kind
        assert "not above chance: the interval reaches the score of guessing" in texts[kind]
    wide = {row["model"]: row["micro_avg_above_chance"] for row in read_rows(outputs["csv"])}
    assert (wide[model], wide[other]) == ("no", "yes")
    tidy = {row["model"]: row["above_chance"] for row in read_rows(outputs["tidy"])
            if (row["column"], row["source"]) == (MICRO, "this run")}  # fmt: skip
    assert (tidy[model], tidy[other]) == ("no", "yes")


@pytest.mark.parametrize("n", TABLES)
def test_best_values_are_bold_in_every_format(tmp_path: Path, files: Files, n: int) -> None:
    paths = write(n, tmp_path, files)
    with open(paths["csv"], encoding="utf-8", newline="") as file:
        header, *lines = csv.reader(file)
    assert len(set(header)) == len(header)
    columns = [name for name in header if name in (*COLUMNS, "symbols_per_token", "last_micro_avg")]
    shown = columns + [name for name in header if name.startswith("paper_")]
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    wanted = []
    for row in rows:
        peers = [other for other in rows if n == 1 or other["group"] == row["group"]]
        for column in shown:
            digits = 2 if column.endswith("symbols_per_token") else 3
            values = [round(float(other[column]), digits) for other in peers if other[column]]
            best = row[column] != "" and round(float(row[column]), digits) == max(values)
            wanted.append(best and column != "last_micro_avg")
    assert 0 < sum(wanted) < len(wanted) / 2
    labels = len(build(n, files).label_titles)
    assert ["**" in cell for row in markdown_rows(paths["md"]) for cell in row[1 + labels :]] == wanted
    body = [line for line in paths["tex"].read_text().splitlines() if re.search(r"[^{]& .*\\\\$", line)]
    body = [re.split(r"(?<!\\)&", line)[labels:] for line in body if "multicolumn" not in line][1:]
    assert [r"\textbf" in cell for row in body for cell in row] == wanted
    cells = [line.strip()[1:-3] for line in paths["typ"].read_text().splitlines() if re.match(r"  \([\[p].*\),$", line)]
    cells = [re.split(r", (?=paper\[|\[)", line)[labels:] for line in cells[1:]]
    assert [bool(re.search(r"(?<!\\)\*", cell)) for row in cells for cell in row] == wanted


def test_equal_values_are_all_best(tmp_path: Path, files: Files) -> None:
    def change(row: dict) -> dict:
        values = {"llama/bpe/swap": "0.900400", "llama/extended/overlap": "0.899600", "llama/bpe/overlap": "0.899400"}
        if row["name"] == "daru_mmlu" and row["model"] in values:
            row |= {"value": values[row["model"]], "high": "1.0"}
        return row

    table = build(3, files, scores=change_rows(files.scores, tmp_path / "scores.csv", change))
    best = [row.model for row in table.rows if table.best(row, "daru_mmlu") and row.peers == "llama"]
    assert best == ["llama/bpe/swap", "llama/extended/overlap"]  # .900 and .900 as shown, .899 is less
    paper = [row.model for row in table.rows if table.best(row, "daru_copy_en", published=True)]
    assert sum(model.startswith("mistral") for model in paper) == 4  # four times .999


def test_last_column_and_donor(tmp_path: Path, files: Files) -> None:
    """The donor of Table 2 is the one that LEP takes, also of equals."""
    values = {"llama/bpe": (0.3, 0.5, 0.4), "llama/unigram": (0.5, 0.5, 0.4), "llama/extended": (0.5, 0.3, 0.5)}
    wanted = {"llama/bpe": "cpt-050", "llama/unigram": "cpt-050", "llama/extended": "cpt-100"}
    names = ("cpt-025", "cpt-050", "cpt-100")
    new = {f"{run}/{name}": v for run, vs in values.items() for name, v in zip(names, vs, strict=True)}

    def change(row: dict) -> dict:
        if row["level"] == "micro" and row["model"] in new:
            row |= {"value": str(new[row["model"]]), "low": "0.1", "high": "0.9"}
        return row

    path = change_rows(files.scores, tmp_path / "scores.csv", change)
    table = build(2, files, scores=path)
    for row in table.rows:
        run = row.model.rpartition("/")[0]
        if run in wanted:
            assert row.model == f"{run}/{wanted[run]}"
            assert row.labels[1] == {"cpt-050": "60", "cpt-100": "120"}[wanted[run]]
            assert (row.cells["last_micro_avg"].value, row.cells[MICRO].value) == (values[run][2], 0.5)
    for run, name in wanted.items():
        own = [row for row in read_rows(path) if row["model"].startswith(f"{run}/cpt")]
        for checkpoint in names:
            folder = tmp_path / run / checkpoint
            publish(staging(folder), folder, recipe_version=1)
        scores = write_rows(tmp_path / run / "scores.csv", tuple(own[0]), own)
        select_donor(scores, tmp_path / run, tmp_path / run / "donor")
        assert read_manifest(tmp_path / run / "donor")["facts"]["checkpoint"] == name


def test_stand_ins_have_no_difference_to_the_paper(tmp_path: Path, files: Files) -> None:
    for n in TABLES:
        table = build(n, files)
        assert not any(table.delta(row, column) for row in table.rows for column in table.columns)
        paths = write(n, tmp_path, files)
        assert not [name for name in read_rows(paths["csv"])[0] if name.startswith("delta")]
        for kind in ("md", "tex", "typ"):
            text = paths[kind].read_text()
            assert "paper (8B)" in text
            assert "under[" not in text
            assert "this run less the paper" not in text
            assert "which would compare unlike things" in text


def test_real_models_have_a_difference_to_the_paper(tmp_path: Path, files: Files) -> None:
    for n in (2, 3, 4):
        paths = write(n, tmp_path, files, real_families())
        for row in read_rows(paths["csv"]):
            for column in COLUMNS:
                difference = float(row[column]) - float(row[f"paper_{column}"])
                assert float(row[f"delta_{column}"]) == pytest.approx(difference, abs=2e-6)
        for kind in ("md", "tex", "typ"):
            text = paths[kind].read_text()
            assert "8B)" not in text.replace("LLaMa-3-8B)", "")
            assert "this run less the paper" in text
    first = read_rows(tmp_path / "table3.csv")[0]
    shown = signed(float(first["delta_micro_avg"]))
    assert f"({shown})" in markdown_rows(tmp_path / "table3.md")[0][-6]
    assert f"#under[{shown}]".replace("+", r"\+") in (tmp_path / "table3.typ").read_text()


def test_a_stand_in_beside_a_real_family(files: Files) -> None:
    table = build(3, files, [FAMILIES[0], real_families()[1]])
    differences = [table.delta(row, MICRO) is not None for row in table.rows]
    assert differences == [False] * 9 + [True] * 12


def test_another_best_model_than_the_papers_has_no_difference(tmp_path: Path, files: Files) -> None:
    """Table 1 of the paper shows Extended with saiga and copying."""
    for best, comparable in (
        ("llama/extended/conversion/saiga_copy", True),
        ("llama/optimized/conversion/self", False),
    ):
        path = change_rows(
            files.scores,
            tmp_path / "scores.csv",
            lambda row, best=best: with_value(row, best, MICRO, value="0.99", high="1"),
        )
        table = build(1, files, real_families(), path)
        assert table.rows[-1].model == best
        assert (table.delta(table.rows[-1], MICRO) is not None) == comparable


def test_arrows_of_ours_by_the_combined_intervals() -> None:
    before = Score(0.5, 0.47, 0.53, 10, 0.0, 0, None, 2)  # half width .03; with .04 the margin is .05
    for value, sign in {0.551: "↑", 0.549: "", 0.451: "", 0.449: "↓"}.items():
        assert arrow(before, Cell(value, value - 0.04, value + 0.04)) == sign
    assert arrow(None, Cell(0.9, 0.9, 0.9)) == ""
    exact = Score(0.5, 0.5, 0.5, 10, 0.0, 0, None, 2)
    assert arrow(exact, Cell(0.5, 0.5, 0.5)) == ""


def test_arrows_of_the_paper(files: Files) -> None:
    openchat, llama = build(1, files).rows[-2:]
    assert openchat.published_change == {MICRO: "↑", "daru_mera": "↑", "daru_copy_ru": "↑"}
    up = {MICRO: "↑", "daru_mera": "↑", "daru_sum": "↑", "daru_copy_ru": "↑"}
    assert llama.published_change == up | {"daru_mmlu": "↓"}


def test_titles_are_escaped(tmp_path: Path, files: Files) -> None:
    title = r"A_b & 50% #1 $x$ ~^ {y} \z [q] <w>@k *s* `t` =+-/ 'u' | _i_ // 1.5"
    families = [FAMILIES[0], {**FAMILIES[1], "instruct_title": f"{title} (stand-in)"}]
    paths = write(3, tmp_path, files, families)
    escaped = r"A\_b \& 50\% \#1 \$x\$ \textasciitilde{}\textasciicircum{} \{y\} \textbackslash{}z [q] <w>@k"
    assert escaped + r" *s* `t` =+-/ 'u' | \_i\_ // 1.5 (stand-in)" in paths["tex"].read_text()
    assert title.replace("|", r"\|") in paths["md"].read_text()
    (tmp_path / "style.typ").write_text((ROOT / "paper/style.typ").read_text())
    (tmp_path / "paper.typ").write_text('#set page(width: 400mm)\n#include "table3.typ"\n')
    compile_document(tmp_path, tmp_path / "paper.pdf")
    assert title.replace("'", "’") in pdf_text(tmp_path / "paper.pdf")


@pytest.mark.parametrize("real", [False, True])
def test_latex_is_well_formed(tmp_path: Path, files: Files, real: bool) -> None:
    for n in TABLES:
        text = write(n, tmp_path, files, real_families() if real else FAMILIES)["tex"].read_text()
        columns = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)[1]
        body = text.partition(r"\toprule")[2].partition(r"\bottomrule")[0]
        rows = [row for row in re.split(r"\\\\\n", body) if row.strip()]
        assert len(rows) > 8
        for row in rows:
            spans = [int(span) for span in re.findall(r"\\multicolumn\{(\d+)\}", row)]
            cells = len(re.findall(r"(?<!\\)&", row)) + 1
            assert cells - len(spans) + sum(spans) == len(columns), row
            assert row.count("{") == row.count("}")
        assert re.findall(r"\\begin\{(\w+)\}", text) == re.findall(r"\\end\{(\w+)\}", text)[::-1]
        assert not re.search(r"[±↑↓−–]", text)
        assert f"\\label{{tab:lep-{n}}}" in text


def test_models_without_all_tasks_show_a_gap(tmp_path: Path, files: Files) -> None:
    partial = "mistral/bpe/swap"

    def cut(row: dict) -> dict | None:
        return None if row["model"] == partial and row["name"] in (MICRO, "daru_sum") else row

    path = change_rows(files.scores, tmp_path / "scores.csv", cut)
    paths = outputs(tmp_path, "table3", *KINDS)
    write_table(3, sources_of(files, scores=path), paths)
    first = read_rows(paths["csv"])[0]
    assert [first[column] == "" for column in COLUMNS] == [True, False, False, True, False, False]
    assert [cell.strip() == "–" for cell in markdown_rows(paths["md"])[0][3:9]] == [
        True,
        False,
        False,
        True,
        False,
        False,
    ]
    assert "not evaluated on all tasks" in paths["md"].read_text()
    assert "not evaluated on all tasks" not in write(3, tmp_path, files)["md"].read_text()


def without(files: Files, folder: Path, *models: str) -> Path:
    return change_rows(
        files.scores, folder / "scores.csv", lambda row: None if row["model"].startswith(models) else row
    )


def test_a_model_that_was_not_evaluated_is_a_visible_gap(tmp_path: Path, files: Files) -> None:
    scores = without(files, tmp_path, "llama/extended/swap")
    table = build(3, files, scores=scores)
    (row,) = [row for row in table.rows if row.model == "llama/extended/swap"]
    assert row.cells == {}
    assert "Not evaluated: llama/extended/swap." in table.notes
    assert len(table.rows) == len(build(3, files).rows)
    paths = outputs(tmp_path, "table3", *KINDS)
    write_table(3, sources_of(files, scores=scores), paths)
    (line,) = [line for line in read_rows(paths["csv"]) if line["model"] == "llama/extended/swap"]
    assert {line[column] for column in COLUMNS} == {""}
    assert line["paper_micro_avg"] == "0.592"
    assert "this run" not in {x["source"] for x in read_rows(paths["tidy"]) if x["model"] == "llama/extended/swap"}


def test_missing_checkpoints_and_candidates_are_named(tmp_path: Path, files: Files) -> None:
    scores = without(files, tmp_path, "llama/bpe/cpt", "llama/optimized/conversion/saiga_copy")
    assert "Not evaluated: llama/bpe/donor." in build(2, files, scores=scores).notes
    assert (
        "Not considered, as they have no Micro-Avg: llama/optimized/conversion/saiga_copy."
        in build(1, files, scores=scores).notes
    )


def test_symbols_are_a_gap_without_metrics(files: Files) -> None:
    table = build_table(2, read_sources(FAMILIES, PUBLISHED, files.scores, comparators=COMPARATORS))
    assert not any("symbols_per_token" in row.cells for row in table.rows)
    assert any("no metrics.csv was given" in note for note in table.notes)
    assert not any(note.startswith("–:") for note in table.notes)


def test_a_vocabulary_that_was_not_measured_is_a_gap(files: Files, tmp_path: Path) -> None:
    metrics = change_rows(files.metrics, tmp_path / "m.csv", lambda row: None if row["model"] == "llama/bpe" else row)
    table = build_table(2, read_sources(FAMILIES, PUBLISHED, files.scores, metrics, COMPARATORS))
    assert [row.model.split("/")[1] for row in table.rows if "symbols_per_token" not in row.cells] == ["bpe"]


def test_an_evaluated_comparator_has_scores_and_no_difference(tmp_path: Path, files: Files) -> None:
    """The paper does not say which revisions it scored."""
    rows = read_rows(files.scores)
    rows += [row | {"model": "qwen/instruct"} for row in rows if row["model"] == "llama/instruct"]
    scores = write_rows(tmp_path / "scores.csv", tuple(rows[0]), rows)
    model = {"path": "Qwen/Qwen2-7B-Instruct", "revision": "unpinned"}
    others = [COMPARATORS[0], COMPARATORS[2] | {"name": "qwen", "model": model}]
    table = build_table(1, read_sources(real_families(), PUBLISHED, scores, files.metrics, others))
    saiga, qwen = (row for row in table.rows if row.kind == "comparator")
    assert (saiga.labels, qwen.labels) == (("Saiga (LLaMa-3-8B), published only",), ("Qwen-2 7B",))
    assert not saiga.cells
    assert (saiga.published[MICRO], qwen.published[MICRO]) == (0.608, 0.613)
    assert qwen.cells[MICRO].value == pytest.approx(
        next(r for r in table.rows if r.model == "llama/instruct").cells[MICRO].value
    )
    assert table.delta(qwen, MICRO) is None


@pytest.mark.parametrize("path", ["meta-llama/Llama-3.1-8B", "/models/Meta-Llama-3-8B"])
def test_another_model_than_the_papers_has_no_difference(files: Files, path: str) -> None:
    """Whatever its title says: only the hub ids of the published rows give one."""
    mistral, llama = real_families()
    table = build(3, files, [mistral, llama | {"base": {"path": path, "revision": "unpinned"}}])
    assert {row.model.split("/")[0] for row in table.rows if table.delta(row, MICRO) is not None} == {"mistral"}


def test_the_tidy_table_holds_every_value_once(tmp_path: Path, files: Files) -> None:
    for n in TABLES:
        paths = write(n, tmp_path, files)
        tidy, wide = read_rows(paths["tidy"]), read_rows(paths["csv"])
        found = {(line["label"], line["group"], line["source"] != "this run", line["column"]): line for line in tidy}
        assert len(found) == len(tidy)
        labels = [name for name in wide[0] if name in ("label", "vocabulary", "step", "lep", "calibration")]
        count = 0
        for row in wide:
            label = " / ".join(row[name] for name in labels)
            for column in [
                name for name in row if name.removeprefix("paper_") in (*COLUMNS, "symbols_per_token", "last_micro_avg")
            ]:
                if row[column]:
                    line = found[label, row["group"], column.startswith("paper_"), column.removeprefix("paper_")]
                    assert (line["value"], line["model"], line["run"]) == (row[column], row["model"], RUN)
                    assert line["low"] == row.get(f"{column}_low", "")
                    count += 1
        assert count == len(tidy)


def test_every_format_carries_the_run(tmp_path: Path, files: Files) -> None:
    for path in write(4, tmp_path, files).values():
        assert RUN in path.read_text(), path


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex with booktabs and xcolor")
def test_latex_compiles(tmp_path: Path, files: Files) -> None:
    names = [write(n, tmp_path, files, families)["tex"].rename(tmp_path / f"{n}-{real}.tex").name
             for real, families in enumerate((FAMILIES, real_families())) for n in TABLES]  # fmt: skip
    body = "\n".join(rf"\input{{{name}}}\clearpage" for name in names)
    packages = r"\usepackage{booktabs,xcolor}\usepackage[margin=1cm,landscape]{geometry}"
    head = rf"\documentclass{{article}}{packages}\begin{{document}}"
    (tmp_path / "all.tex").write_text(f"{head}\n{body}\n\\end{{document}}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-1500:]
    assert not re.findall(r"Overfull \\hbox \((\d{2,})", result.stdout), "a table is wider than the page"


def test_refusals(tmp_path: Path, files: Files) -> None:
    with pytest.raises(UserError, match="unknown table 5"):
        build(5, files)
    with pytest.raises(UserError, match="unknown LEP method copy; use swap, overlap, conversion"):
        sources_of(files, methods=["swap", "copy"])
    with pytest.raises(UserError, match="unknown table format 'html'"):
        write_table(1, sources_of(files), {"html": tmp_path / "x"})


def test_numbers() -> None:
    texts = {
        0.3244: ".324",
        0.9996: "1.000",
        -0.2522: "-.252",
        -0.0004: ".000",
        2.4: "2.400",
        10.5: "10.500",
        0.0: ".000",
    }
    assert {value: number(value) for value in texts} == texts
    assert [number(2.436, 2), number(0.1, 0)] == ["2.44", "0"]
    assert [signed(value) for value in (0.0121, -0.0031, -0.0001)] == ["+.012", "−.003", "+.000"]
