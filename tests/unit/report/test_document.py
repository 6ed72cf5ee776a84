"""The report's PDF: complete facts, no report with a missing number or a failed check, fixed bytes, readable text."""

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.report import (
    COMPARATORS,
    FAMILIES,
    PUBLISHED,
    ROOT,
    RUN,
    SETTINGS,
    WITH_SECOND,
    Files,
    change_rows,
    files_of_methods,
    make_files,
    outputs,
    pdf_text,
    read_rows,
    real_families,
    sources_of,
    with_second,
    with_value,
)
from lep.config import UserError
from lep.files import sha256_file, write_csv
from lep.manifest import publish, staging
from lep.methods import COMPARED, PAPER_METHODS
from lep.names import COLUMNS, MICRO, VOCABULARIES
from lep.report import document
from lep.report.checks import CHECKS, junit
from lep.report.claim_list import KINDS
from lep.report.claims import read_claims, write_claims
from lep.report.document import compile_document, lay_out, passed_checks
from lep.report.facts import artefact_hashes, flatten, read_pins
from lep.report.figure_1_2 import plot_figure1, plot_figure2
from lep.report.figure_3 import plot_figure3
from lep.report.figure_claims import plot_claims
from lep.report.figure_language import plot_language
from lep.report.figure_methods import plot_methods
from lep.report.figure_symbols import plot_symbols
from lep.report.instructs_compared import compare_instructs, read_served, summarise
from lep.report.markup import number, signed
from lep.report.methods_compared import compare_methods
from lep.report.table import NOT_ABOVE_NOTE
from lep.report.tables import build_table, read_sources, write_table

SOURCE = ROOT / "paper"
FIGURES = ("figure1", "figure2", "figure3", "symbols_per_token", "methods")
CLAIM_FIGURES = tuple(f"claims_{kind}" for kind in KINDS)
Report = dict[str, object]  # the arguments of build_report, but for the target


def build_report(
    families: list[dict],
    scores: Path,
    metrics: Path,
    published: Path,
    methods: Sequence[str] = tuple(PAPER_METHODS),
    **others: object,
) -> None:
    """The report from the files that its sources are read from."""
    sources = read_sources(families, published, scores, metrics, COMPARATORS, RUN, methods)
    document.build_report(sources=sources, **others)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("files"), items=6, draws=20)


@pytest.fixture(scope="module")
def report(files: Files) -> Report:
    folder = files.scores.parent
    drawn = {name: outputs(folder, name, "pdf", "png", "csv") for name in FIGURES}
    sources = sources_of(files)
    plot_figure1(sources, drawn["figure1"])
    plot_figure2(sources, drawn["figure2"])
    plot_figure3(FAMILIES, files.samples, drawn["figure3"])
    plot_symbols(sources, drawn["symbols_per_token"])
    compared = {kind: folder / f"compared.{kind}" for kind in ("csv", "md")}
    compare_methods(FAMILIES, files.scores, files.answers, compared, PAPER_METHODS, draws=20)
    plot_methods(FAMILIES, compared["csv"], drawn["methods"])
    write_claims(FAMILIES, files.scores, files.metrics, PUBLISHED, files.answers, folder / "claims.csv", draws=20)
    drawn_claims = {kind: outputs(folder, f"claims_{kind}", "pdf", "png", "csv") for kind in KINDS}
    plot_claims(folder / "claims.csv", drawn_claims, RUN)
    (folder / "checks.xml").write_text(junit(dict.fromkeys(CHECKS)))
    return {
        "families": FAMILIES, "settings": SETTINGS, "source": SOURCE, "tables": tables(FAMILIES, files, folder),
        "figures": [folder / f"{name}.pdf" for name in (*FIGURES, *CLAIM_FIGURES)],
        "scores": files.scores, "metrics": files.metrics,
        "published": PUBLISHED, "claims": folder / "claims.csv", "checks": folder / "checks.xml",
        "requirements": ROOT / "requirements.txt", "methods_compared": compared["csv"],
    }  # fmt: skip


@pytest.fixture(scope="module")
def pdf(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("pdf") / "paper" / "paper.pdf"
    build_report(**report, target=target)
    return target


@pytest.fixture(scope="module")
def text(pdf: Path) -> str:
    return plain(pdf_text(pdf))


def tables(families: list[dict], files: Files, folder: Path) -> list[Path]:
    for n in (1, 2, 3, 4):
        write_table(n, sources_of(files, families), {"typ": folder / f"table{n}.typ"})
    return [folder / f"table{n}.typ" for n in (1, 2, 3, 4)]


def plain(text: str) -> str:
    """Without spaces, which follow the line breaks, and with one kind of hyphen."""
    return re.sub(r"\s|\u00ad", "", text.replace("\u2011", "-"))


def facts_of(report: Report, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """What the report hands to Typst."""
    seen: list[dict] = []
    monkeypatch.setattr(document, "compile_document", lambda root, output, **options: output.write_bytes(b""))
    monkeypatch.setattr(document, "lay_out", lambda *arguments: seen.append(arguments[-1]))
    build_report(**report, target=folder / "results" / "paper" / "paper.pdf")
    monkeypatch.undo()
    return seen[0]


def score_of(files: Files, model: str, name: str = MICRO) -> float:
    return next(float(r["value"]) for r in read_rows(files.scores) if (r["model"], r["name"]) == (model, name))


def test_the_pdf_is_the_same_on_every_run(report: Report, pdf: Path, tmp_path: Path) -> None:
    build_report(**report, target=tmp_path / "elsewhere" / "again.pdf")
    data = pdf.read_bytes()
    assert (tmp_path / "elsewhere" / "again.pdf").read_bytes() == data
    assert data.startswith(b"%PDF-")
    assert not re.search(rb"CreationDate|ModDate|/tmp/", data)
    assert [path.name for path in pdf.parent.iterdir()] == ["paper.pdf"]


def test_the_text_has_its_sections_tables_and_figures(text: str) -> None:
    headings = (
        "1 What was run", "2 Results", "2.1 Best models", "2.2 Vocabularies and embedding pre-training",
        "2.3 Learned Embedding Propagation", "2.4 Calibration", "3 Differences from the paper",
        "4 Claims of the paper", "5 Sample answers", "7 Checks and provenance", "7.1 Configuration", "7.2 Software",
    )  # fmt: skip
    for heading in headings:
        assert plain(heading) in text
    for kind, count in (("Table", 5), ("Figure", 3)):
        for n in range(1, count + 1):
            assert f"{kind}{n}:" in text
    for n, title in enumerate([kind.title for kind in KINDS.values()], start=2):
        assert plain(f"Figure S{n}: {title}: differences of scores") in text
    assert "FigureS1:" in text
    assert plain(f"Run {RUN}.") in text
    assert "\ufffd" not in text  # every glyph has a meaning
    for title in [family[key] for family in FAMILIES for key in ("base_title", "instruct_title")]:
        assert plain(title) in text
    assert plain("What was not run.") in text


def test_curves_and_learning_rates_stand_behind_the_papers_figures(report: Report, tmp_path: Path) -> None:
    curves = tmp_path / "training.pdf"
    shutil.copyfile(report["figures"][0], curves)
    sweep = tmp_path / "sweep.csv"
    sweep.write_text(
        "run,learning_rate,steps,tokens,bits_per_character,loss_per_token,lowest\n"
        "llama/bpe,0.0001,20,1280,2.2000,4.4000,no\nllama/bpe,0.0002,20,1280,2.1000,4.2000,yes\n"
    )
    figures = [*report["figures"], curves]
    build_report(**report | {"figures": figures, "sweep": [sweep]}, target=tmp_path / "out" / "paper.pdf")
    text = plain(pdf_text(tmp_path / "out" / "paper.pdf"))
    assert plain("Figure S5: Bits per character during embedding pre-training") in text
    assert plain("Table 6: Learning-rate sweep") in text
    assert plain("llama/bpe 0.0002 20 2.1000 4.2000") in text


def test_the_text_has_the_numbers_of_the_run(text: str, files: Files, report: Report) -> None:
    assert plain(f"{6 * 17} items with 5 examples") in text
    assert plain("60 models of 2 families were scored on the 17 tasks") in text
    assert plain("95 % intervals from 200 bootstrap draws over items") in text
    for family, paper in (("mistral", ".607 and .632"), ("llama", ".610 and .618")):
        original = number(score_of(files, f"{family}/instruct"))
        assert plain(f"scores {original} (Micro-Avg) unchanged") in text
        assert plain(f"(paper: {paper})") in text
    for row in read_rows(PUBLISHED):
        assert number(float(row[MICRO])) in text
    claims = read_rows(report["claims"])
    for claim in claims:
        assert plain(claim["statement"]) in text
        assert plain(f"{signed(float(claim['ours']), 3 if claim['low'] else 2)}") in text
    counts = [sum(c["verdict"] == verdict for c in claims) for verdict in ("holds", "does not hold", "undecided")]
    assert plain("{} hold, {} do not hold, {} are undecided".format(*counts)) in text
    for name in CHECKS:
        assert name.replace("_", "") in text


def test_every_row_of_every_table_is_in_the_text(text: str, files: Files, tmp_path: Path) -> None:
    """Label, value, half width and the paper's value, in the row's order."""
    for n in (1, 2, 3, 4):
        write_table(n, sources_of(files), {"csv": tmp_path / "t.csv"})
        for row in read_rows(tmp_path / "t.csv"):
            if not row["model"]:
                continue
            parts = []
            for column in COLUMNS:
                half = (float(row[f"{column}_high"]) - float(row[f"{column}_low"])) / 2
                mark = "°" if row[f"{column}_above_chance"] == "no" else ""
                parts.append(re.escape(f"{number(float(row[column]))}{mark}±{number(half)}") + "[↑↓]?")
                if (n, column) == (2, MICRO):
                    parts.append(r"(?:\.\d+°?±\.\d+|–)")  # the column Last
            parts.append(r"(?:\d\.\d\d)?" if n == 2 else "")
            parts += [re.escape(number(float(row[f"paper_{column}"]))) + "[↑↓]?" for column in COLUMNS]
            assert re.search("".join(parts), text), row


def test_scores_of_table_s1_are_marked_in_the_text(report: Report, files: Files, text: str) -> None:
    """Vocabulary, method, value with its mark, half width: one row for each model."""
    compared = [row for row in read_rows(report["methods_compared"]) if row["name"] == MICRO]
    assert {row["above_chance"] for row in compared} == {"yes", "no"}
    for row in compared:
        half = (float(row["high"]) - float(row["low"])) / 2
        mark = "°" if row["above_chance"] == "no" else ""
        value = f"{number(float(row['value']))}{mark}±{number(half)}"
        assert VOCABULARIES[row["vocabulary"]].title + COMPARED[row["method"]].title + value in text, row
    assert plain("to Conversion. " + NOT_ABOVE_NOTE) in text


def test_instruct_models_that_share_a_donor_have_a_part(
    report: Report, files: Files, text: str, tmp_path: Path
) -> None:
    """Its sentences and rows are the file's; a run without further instruct models has no such part."""
    assert plain("One donor, several instruct models") not in text
    made, places = with_second(files, tmp_path), {kind: tmp_path / f"instructs.{kind}" for kind in ("csv", "md")}
    compare_instructs(WITH_SECOND, made.scores, made.answers, places, PAPER_METHODS, draws=20)
    whole = {**report, "families": WITH_SECOND, "scores": made.scores, "instructs": places["csv"]}
    build_report(**whole, target=tmp_path / "paper/paper.pdf")
    found = plain(pdf_text(tmp_path / "paper/paper.pdf"))
    rows = read_served(places["csv"])
    assert plain("One donor, several instruct models") in found
    for row in summarise(rows):
        counted = "better in {better}, worse in {worse}, undecided in {undecided} of {comparisons} comparisons."
        assert plain(f"{row['title']}: {counted.format(**row)}") in found
    further = [row for row in rows if row.is_further and row.name == MICRO]
    assert len(further) == 2
    for row in further:
        assert plain(f"BPE{COMPARED[row.method].title}{number(row.original)}") in found
        assert plain(f"{signed(row.against_first[0])} ({signed(row.against_first[1])} to") in found


def test_facts_are_complete(report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fact that the source names exists, and nothing is collected that it does not show."""
    facts = facts_of(report, tmp_path, monkeypatch)
    source = "".join(path.read_text() for path in SOURCE.glob("*.typ"))

    def named(prefix: str) -> set[str]:
        return set(re.findall(rf"(?<!\w)(?<!\w\.){prefix}\s*\.(\w+)", source))

    assert named("facts") - {"json"} == set(facts)
    assert named("run") == set(facts["run"])
    family = facts["families"][0]
    assert named("family") == set(family)
    for part in ("t1", "t2", "t3", "t4"):
        assert named(rf"family\.{part}") == set(family[part])
    assert named("facts.paper") == set(facts["paper"])
    values = [
        *facts["run"].values(),
        *(v for f in facts["families"] for t in ("t1", "t2", "t3", "t4") for v in f[t].values()),
    ]
    assert all(isinstance(value, str | bool) and value != "" for value in values)
    assert len(facts["claims"]) == 58


def test_facts_by_hand(report: Report, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = facts_of(report, tmp_path, monkeypatch)
    llama = facts["families"][1]
    tuned = [row["model"] for row in read_rows(files.scores) if re.match(r"llama/\w+/conversion/\w+$", row["model"])]
    best = max(dict.fromkeys(tuned), key=lambda model: score_of(files, model))
    assert (llama["t1"]["best"], llama["t1"]["paper_best"]) == (number(score_of(files, best)), ".618")
    assert llama["t1"]["original"] == number(score_of(files, "llama/instruct"))
    t2 = llama["t2"]
    assert (t2["symbols_original"], t2["symbols_most"], t2["symbols_vocabulary"]) == ("2.10", "3.41", "BPE")
    assert (t2["paper_symbols_original"], t2["paper_symbols_most"]) == ("2.89", "4.40")
    assert (t2["bits_before"], t2["bits_after"]) == ("4.21", "2.87")
    assert t2["symbols_gain"] == "+1.31"
    (bpe,) = (row for row in build_table(2, sources_of(files)).rows if row.model.startswith("llama/bpe/"))
    assert t2["symbols_score"] == number(score_of(files, bpe.model))
    trained = [row for row in read_rows(files.scores) if row["name"] == MICRO and row["model"].startswith("llama/")]
    trained = [row for row in trained if "/cpt-" in row["model"]]
    top = max(trained, key=lambda row: float(row["value"]))
    assert (t2["best"], t2["step"], t2["vocabulary"].lower()) == (
        number(float(top["value"])),
        top["step"],
        top["model"].split("/")[1],
    )
    assert t2["original"] == number(score_of(files, "llama/base"))
    ranges = []
    for v in ("bpe", "unigram", "extended", "optimized"):
        values = [score_of(files, f"llama/{v}/{method}") for method in PAPER_METHODS]
        ranges.append(max(values) - min(values))
    propagated = [r["model"] for r in read_rows(files.scores) if re.match(r"llama/\w+/[a-z]+$", r["model"])]
    propagated = [model for model in propagated if not model.endswith("instruct")]
    first = max(dict.fromkeys(propagated), key=lambda model: score_of(files, model))
    assert llama["t3"]["best"] == number(score_of(files, first))
    assert llama["t3"]["label"].lower() == "{} ({})".format(*first.split("/")[1:])
    assert llama["t3"]["original"] == llama["t1"]["original"]
    assert (llama["t3"]["models"], llama["t3"]["range"]) == ("12", number(max(ranges)))
    assert (llama["t3"]["paper_range"], facts["families"][0]["t3"]["paper_range"]) == (".012", ".016")
    copying = {v: score_of(files, f"llama/{v}/conversion/saiga_copy") for v in ("extended", "optimized")}
    chosen = max(copying, key=copying.get)
    assert llama["t4"]["label"].lower().startswith(chosen)
    assert llama["t4"]["after"] == number(copying[chosen])
    assert llama["t4"]["copy_before"] == number(score_of(files, f"llama/{chosen}/conversion", "daru_copy_ru"))
    assert llama["t4"]["before"] == number(score_of(files, f"llama/{chosen}/conversion"))
    assert llama["t4"]["copy_after"] == number(score_of(files, f"llama/{chosen}/conversion/saiga_copy", "daru_copy_ru"))
    assert llama["t4"]["control"] == number(score_of(files, "llama/original/instruct/saiga_copy"))
    row = next(r for r in read_rows(files.scores) if (r["model"], r["name"]) == (best, MICRO))
    assert llama["t1"]["best_half"] == number((float(row["high"]) - float(row["low"])) / 2)
    assert facts["run"]["models"] == "60"
    assert facts["settings"][-1] == {"key": "pretraining.fractions", "value": "0.25, 0.5, 1.0"}


@pytest.mark.parametrize(
    ("methods", "words", "papers"),
    [
        (["swap", "conversion"], "in two ways", (".009", ".005")),
        (["conversion"], "in one way,", (None, None)),
        (list(PAPER_METHODS), "in three ways", (".016", ".012")),
    ],
)
def test_the_text_speaks_of_the_methods_that_were_run(
    report: Report, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, methods: list[str], words: str,
    papers: tuple[str | None, str | None],
) -> None:  # fmt: skip
    part = files_of_methods(files, tmp_path, methods)
    changed = report | {"scores": part.scores, "methods": methods}
    found = [family["t3"] for family in facts_of(changed, tmp_path, monkeypatch)["families"]]
    for third, family, paper in zip(found, FAMILIES, papers, strict=True):
        values = [[score_of(files, f"{family['name']}/{v}/{m}") for m in methods] for v in family["vocabularies"]]
        assert third["models"] == str(len(methods) * len(values))
        assert third["best"] == number(max(map(max, values)))
        wanted = number(max(max(v) - min(v) for v in values)) if len(methods) > 1 else None
        assert (third["range"], third["paper_range"]) == (wanted, paper)
    build_report(**changed, target=tmp_path / "paper" / "paper.pdf")
    text = plain(pdf_text(tmp_path / "paper" / "paper.pdf"))
    assert plain(words) in text
    assert (plain("methods differ by at most") in text) == (len(methods) > 1)


def without(model: str, name: str) -> Callable[[dict], dict | None]:
    return lambda row: None if (row["model"], row["name"]) == (model, name) else row


@pytest.mark.parametrize(
    ("kind", "model", "name"),
    [
        ("scores", "llama/base", MICRO),
        ("scores", "mistral/instruct", MICRO),
        ("scores", "llama/bpe/swap", MICRO),
        ("scores", "llama/original/instruct/saiga_copy", MICRO),
        ("scores", "llama/optimized/conversion/saiga_copy", MICRO),
        ("scores", "mistral/unigram/cpt-100", MICRO),
        ("metrics", "llama/original", "symbols_per_token"),
        ("metrics", "mistral/bpe", "symbols_per_token"),
    ],
)
def test_a_missing_number_stops_the_report(report: Report, tmp_path: Path, kind: str, model: str, name: str) -> None:
    path = change_rows(report[kind], tmp_path / f"{kind}.csv", without(model, name))
    if kind == "scores" and model == "mistral/unigram/cpt-100":  # no checkpoint of the run has a Micro-Avg
        for other in ("025", "050"):
            path = change_rows(path, path, without(f"mistral/unigram/cpt-{other}", name))
    with pytest.raises(UserError, match=rf"{kind}\.csv has no .*{model}"):
        build_report(**report | {kind: path}, target=tmp_path / "paper" / "paper.pdf")
    assert not (tmp_path / "paper").exists()


def test_missing_bits_stop_the_report(report: Report, tmp_path: Path) -> None:
    def cut(row: dict) -> dict | None:
        return None if row["name"] == "bits_per_character" and "/init" in row["model"] else row

    path = change_rows(report["metrics"], tmp_path / "metrics.csv", cut)
    with pytest.raises(UserError, match=r"no row pretraining,mistral/.*/init,bits_per_character"):
        build_report(**report | {"metrics": path}, target=tmp_path / "paper.pdf")


@pytest.mark.parametrize("key", ["scale", "seeds", "bootstrap_draws", "sample_tokens"])
def test_missing_settings_stop_the_report(report: Report, tmp_path: Path, key: str) -> None:
    for settings in ({k: v for k, v in SETTINGS.items() if k != key}, SETTINGS | {key: None}):
        with pytest.raises(UserError, match=f"settings lack {key};"):
            build_report(**report | {"settings": settings}, target=tmp_path / "paper.pdf")


def test_no_number_of_the_text_stands_in_its_source(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the digits of all facts and tables taken away, only the numbers of headings, figures, tables and pages and
    the count of the checks are left."""

    def blank(value: object) -> object:
        if isinstance(value, dict):
            return {key: blank(inner) if key != "figures" else inner for key, inner in value.items()}
        if isinstance(value, list):
            return [blank(inner) for inner in value]
        return re.sub(r"\d", "Q", value) if isinstance(value, str) else value

    facts = blank(facts_of(report, tmp_path, monkeypatch))
    root = tmp_path / "root"
    root.mkdir()
    lay_out(root, SOURCE, report["tables"], report["figures"], facts)
    for n in (1, 2, 3, 4):
        body = f'#figure(table[Q], kind: table, caption: [Q]) #label("table-{n}")'
        (root / "tables" / f"table{n}.typ").write_text(body)
    compile_document(root, tmp_path / "blank.pdf")
    text = plain(pdf_text(tmp_path / "blank.pdf"))
    assert "Q" in text
    references, headings = r"(?:Figure|Table)S?\d", r"(?<!\d)\d(?:\.\d)?(?=[A-Z])"
    counted, pages = f"All{len(CHECKS)}integritychecks", r"\d+(?=LearnedEmbedding|$)"
    for numbered in (references, counted, headings, pages):
        text = re.sub(numbered, "", text)
    assert re.findall(r".{0,20}\d.{0,10}", text) == []


def test_a_fact_that_is_missing_in_the_file_stops_typst(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = facts_of(report, tmp_path, monkeypatch)
    root = tmp_path / "root"
    root.mkdir()
    lay_out(root, SOURCE, report["tables"], report["figures"], facts)
    cuts = [
        ("run", "seed"),
        ("run", "undecided"),
        ("families", 1, "t2", "bits_after"),
        ("claims", 3, "verdict"),
        ("title",),
    ]
    for cut in cuts:
        changed = json.loads(json.dumps(facts))
        place = changed
        for key in cut[:-1]:
            place = place[key]
        del place[cut[-1]]
        (root / "facts.json").write_text(json.dumps(changed))
        with pytest.raises(UserError, match=rf"cannot be compiled: (?s:.*){cut[-1]}"):
            compile_document(root, tmp_path / "paper.pdf")
    assert not (tmp_path / "paper.pdf").exists()


def test_a_failed_check_stops_the_report(report: Report, tmp_path: Path) -> None:
    path, target = tmp_path / "checks.xml", tmp_path / "paper" / "paper.pdf"
    target.parent.mkdir()
    target.write_text("the last good one")
    path.write_text(junit(dict.fromkeys(CHECKS) | {"no_overlap": "x", "donors": "y"}))
    with pytest.raises(UserError, match="checks no_overlap, donors failed, so there is no report"):
        build_report(**report | {"checks": path}, target=target)
    path.write_text(junit({}))
    with pytest.raises(UserError, match="no integrity check was run"):
        build_report(**report | {"checks": path}, target=target)
    path.write_text(junit({"a": None}).replace(' name="a" />', ' name="a"><error message="x"/></testcase>'))
    with pytest.raises(UserError, match="checks a failed"):
        passed_checks(path)
    path.write_text("<testsuite>")
    with pytest.raises(UserError, match="not JUnit XML"):
        passed_checks(path)
    assert target.read_text() == "the last good one"
    path.write_text(junit(dict.fromkeys(CHECKS)))
    assert passed_checks(path) == [name.replace("_", " ") for name in CHECKS]


@pytest.mark.parametrize(
    ("addition", "message"),
    [
        ("#facts.nothing", "cannot be compiled: .*nothing"),
        ('#text(font: "No Such Font")[x]', "has warnings: .*no such font"),
        ('#include "absent.typ"', "cannot be compiled: .*absent.typ"),
        ("@figure-9", "cannot be compiled: .*figure-9"),
    ],
)
def test_an_error_in_the_source_is_told(report: Report, tmp_path: Path, addition: str, message: str) -> None:
    source = tmp_path / "source"
    shutil.copytree(SOURCE, source)
    with open(source / "abstract.typ", "a") as file:
        file.write(f"\n{addition}\n")
    with pytest.raises(UserError, match=f"(?s){message}") as caught:
        build_report(**report | {"source": source}, target=tmp_path / "paper.pdf")
    assert "abstract.typ" in str(caught.value)
    assert "/tmp/" not in str(caught.value)
    assert not (tmp_path / "paper.pdf").exists()


def test_a_folder_without_the_main_file_is_refused(report: Report, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no paper\.typ; give the folder"):
        build_report(**report | {"source": tmp_path}, target=tmp_path / "paper.pdf")


def test_real_models_are_not_called_stand_ins(report: Report, files: Files, tmp_path: Path) -> None:
    change = {"families": real_families(), "tables": tables(real_families(), files, tmp_path)}
    claims = tmp_path / "claims.csv"
    claims.write_text(report["claims"].read_text().replace(" (stand-in)", ""))
    build_report(**report | change | {"claims": claims}, target=tmp_path / "paper.pdf")
    text = plain(pdf_text(tmp_path / "paper.pdf"))
    assert "stand-in" not in text.lower().replace("standins", "")
    assert "neverrun" not in text
    assert plain("this run less the paper") in text
    difference = score_of(files, "llama/bpe/swap") - 0.565
    assert f".565{signed(difference)}" in text


def test_a_family_that_the_paper_has_not_and_without_calibration(report: Report, files: Files, tmp_path: Path) -> None:
    own = FAMILIES[0] | {"published_family": None, "calibrated": [], "controls": []}
    scores = change_rows(files.scores, tmp_path / "s.csv", lambda r: r if r["model"].startswith("mistral") else None)
    change = {"families": [own], "tables": tables([own], replace(files, scores=scores), tmp_path)}
    build_report(**report | change | {"scores": scores}, target=tmp_path / "paper.pdf")
    text = plain(pdf_text(tmp_path / "paper.pdf"))
    assert plain("models of 1 family were scored") in text
    assert plain("Saiga tuning with copying moves") not in text
    assert "(paper:" not in text


def test_a_run_without_claims_says_so_instead_of_an_empty_table(report: Report, tmp_path: Path) -> None:
    claims = tmp_path / "claims.csv"
    claims.write_text(report["claims"].read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    build_report(**report | {"claims": claims}, target=tmp_path / "paper.pdf")
    text = plain(pdf_text(tmp_path / "paper.pdf"))
    assert plain("The paper has no such models, so none of its claims is judged.") in text
    assert plain("Claims of the paper") not in text
    assert plain("of 0 claims") not in text.lower()


def test_measures_of_languages_have_a_part(report: Report, text: str, tmp_path: Path) -> None:
    assert plain("What the models know of their languages") not in text
    family = FAMILIES[0]
    vocabulary = family["vocabularies"][0]
    values = {
        f"{family['name']}/base": 3,
        f"{family['name']}/{vocabulary}/init": 4.5,
        f"{family['name']}/{vocabulary}/donor": 2,
    }
    language = tmp_path / "language.csv"
    rows = [(name, "bits_per_character", "ru", value, 900) for name, value in values.items()]
    write_csv(language, ("model", "measure", "language", "value", "n"), rows)
    outputs = {kind: tmp_path / f"language.{kind}" for kind in ("pdf", "png", "csv")}
    plot_language([family], language, outputs)
    change = {"language": [language], "figures": [*report["figures"], outputs["pdf"]]}
    build_report(**report | change, target=tmp_path / "paper.pdf")
    found = plain(pdf_text(tmp_path / "paper.pdf"))
    assert (
        plain("ru: 2.00 bits per character after embedding pre-training (4.50 before, 3.00 with the original") in found
    )


def test_numbers_of_the_text_follow_the_scores(report: Report, files: Files, tmp_path: Path) -> None:
    scores = change_rows(
        files.scores,
        tmp_path / "scores.csv",
        lambda row: with_value(row, "mistral/instruct", MICRO, value="0.111111", low="0.1", high="0.2"),
    )
    build_report(**report | {"scores": scores}, target=tmp_path / "paper.pdf")
    assert plain("OpenChat-3.5 (stand-in) scores .111 ± .050.") in plain(pdf_text(tmp_path / "paper.pdf"))


def test_artefacts_are_listed_by_name_and_hash(report: Report, tmp_path: Path) -> None:
    results = tmp_path / "results"
    names = ["models/llama/bpe/donor", "corpus"]
    for name in names:
        publish(staging(results / name), results / name, recipe_version=1, seed=len(name))
    manifests = {path: sha256_file(path) for path in (results / name / "manifest.json" for name in names)}
    found = artefact_hashes(manifests, results)
    assert found == [
        {"name": name, "sha256": sha256_file(results / name / "manifest.json")[:16]} for name in sorted(names)
    ]
    build_report(**report, manifests=manifests, target=results / "paper" / "paper.pdf")
    text = plain(pdf_text(results / "paper" / "paper.pdf"))
    for entry in found:
        assert f"{entry['name']}{entry['sha256']}" in text


def test_pins_and_settings(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("# pins\ntorch==2.13.0  # models\nnetworkx==3.1\nlm_eval==0.4.13    # evaluation\n--index x\n")
    assert read_pins(path) == [{"name": "torch", "version": "2.13.0"}, {"name": "lm_eval", "version": "0.4.13"}]
    assert {"typst", "snakemake"} <= {pin["name"] for pin in read_pins(ROOT / "requirements.txt")}
    nested = {"a": {"b": 1, "c": {"d": [1, 2.5]}}, "e": True, "f": None}
    assert flatten(nested) == [("a.b", "1"), ("a.c.d", "1, 2.5"), ("e", "True"), ("f", "None")]


def test_claims_are_read_strictly(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "claims.csv"
    text = report["claims"].read_text()
    path.write_text(text.replace(",undecided,", ",perhaps,", 1))
    with pytest.raises(UserError, match="unknown verdicts perhaps"):
        read_claims(path)
    path.write_text(text.replace("verdict", "outcome", 1))
    with pytest.raises(UserError, match="must have the columns"):
        read_claims(path)
