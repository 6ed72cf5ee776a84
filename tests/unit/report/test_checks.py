"""Integrity checks: each passes on good data and is the one that fails on its own planted defect."""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.etree import ElementTree

import numpy
import pytest
from fixtures.report import (
    FAMILIES,
    PUBLISHED,
    Files,
    change_rows,
    files_of_methods,
    make_evaluation,
    make_files,
    models_of,
    publish_again,
    with_value,
    write_rows,
)
from fixtures.report import read_rows as read_table
from lep.config import UserError
from lep.corpus.overlap import find_overlap
from lep.evaluation.samples import SAMPLES, read_lines
from lep.files import write_json
from lep.manifest import publish, staging
from lep.names import parse_families, parse_model_name
from lep.report import checks
from lep.report.checks import CHECKS, junit, run_checks
from lep.report.gather import gather_scores
from lep.report.published import PUBLISHED_COLUMNS
from lep.report.special_rows import differing_rows
from safetensors.numpy import save_file

LONG = "В начале сотворил Бог небо и землю, земля же была безвидна и пуста."
SHORT = "И стало так."
SPECIALS = {"<s>": (0, 5), "</s>": (1, 6), "<pad>": (2, None)}  # id in the instruct model and in the LEP model


@dataclass(frozen=True)
class Run:
    """The arguments of `run_checks`, but for the target."""

    models: list[str]
    scores: Path
    metrics: Path
    published: Path
    overlaps: list[Path]
    manifests: list[Path]
    propagated: dict[str, str]
    donors: dict[str, Path]
    tables: list[Path]
    families: list[dict]
    evaluations: list[Path] = field(default_factory=list)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("files"), items=6, draws=20)


@pytest.fixture
def run(files: Files, tmp_path: Path) -> Run:
    """A run without a fault."""
    instruct, model = tmp_path / "instruct", tmp_path / "model"
    rows = numpy.arange(40, dtype=numpy.float16).reshape(10, 4)
    model_folder(instruct, 0, rows)
    new = numpy.full((12, 4), 7, numpy.float16)
    new[[5, 6]] = rows[[0, 1]]
    model_folder(model, 1, new)
    artefact = staging(tmp_path / "artefact")
    (artefact / "data.bin").write_bytes(b"\x00\x01")
    publish(artefact, tmp_path / "artefact", recipe_version=1)
    pretraining = change_rows(
        files.scores,
        tmp_path / "pretraining.csv",
        lambda row: row if row["model"].startswith("llama/bpe/cpt-") else None,
    )
    tables = [tmp_path / f"table{n}.md" for n in (1, 2)]
    for table in tables:
        table.write_text("Mistral-7B (stand-in)")
    return Run(
        [model for family in parse_families(FAMILIES) for model in models_of(family)],
        files.scores, files.metrics, PUBLISHED,
        overlaps(tmp_path, "a", ["Совсем другой текст, и нигде больше он не встречается.", SHORT]),
        [tmp_path / "artefact" / "manifest.json"], {str(model): str(instruct / "manifest.json")},
        {donor(tmp_path / "donor", "cpt-100"): pretraining}, tables, FAMILIES,
    )  # fmt: skip


def overlaps(folder: Path, group: str, texts: list[str]) -> list[Path]:
    """What each half of a training text of two documents shares with held-out text."""
    other = "Ничего общего с ним этот второй документ не имеет."
    files = [documents(folder / "train-1.jsonl", group, texts), documents(folder / "train-2.jsonl", "z", [other])]
    (folder / "train.jsonl").write_bytes(b"".join(file.read_bytes() for file in files))
    heldout, found = documents(folder / "test.jsonl", "b", [LONG, SHORT]), [folder / f"{n}.json" for n in range(2)]
    for part, target in enumerate(found):
        find_overlap(folder / "train.jsonl", part, 2, [heldout], target)
    return found


def documents(path: Path, group: str, texts: list[str]) -> Path:
    paragraphs = [{"id": str(n), "text": text} for n, text in enumerate(texts)]
    document = {"id": f"{path.stem}/1", "group": group, "language": "ru", "title": "", "paragraphs": paragraphs}
    path.write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def donor(folder: Path, checkpoint: str) -> str:
    publish(staging(folder), folder, recipe_version=1, facts={"checkpoint": checkpoint})
    return str(folder)


def model_folder(folder: Path, which: int, rows: numpy.ndarray, tied: bool = False) -> None:
    """Input embeddings and head in two files, as of a model in the store."""
    folder.mkdir()
    names = ["model.embed_tokens.weight", "lm_head.weight"][: 1 if tied else 2]
    for name in names:
        # a tensor before it, so that the matrix does not start at the file's first byte
        save_file({name: rows, f"a.{name}": numpy.ones(3, numpy.float16)}, folder / f"{name}.safetensors")
    weight_map = {place: f"{name}.safetensors" for name in names for place in (name, f"a.{name}")}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    added = [{"content": name, "id": ids[which]} for name, ids in SPECIALS.items() if ids[which] is not None]
    (folder / "tokenizer.json").write_text(json.dumps({"added_tokens": added}))


def check(run: Run, target: Path) -> dict[str, str | None]:
    """Failure by check, from the XML; a raised error must agree with it."""
    raised = ""
    try:
        run_checks(target=target, **vars(run))
    except UserError as error:
        raised = str(error)
    suite = ElementTree.parse(target).getroot()
    found = {}
    for case in suite.findall("testcase"):
        failure = case.find("failure")
        found[case.get("name")] = None if failure is None else failure.text
    failed = [text for text in found.values() if text]
    assert (suite.get("tests"), suite.get("failures")) == (str(len(found)), str(len(failed)))
    assert bool(raised) == bool(failed)
    assert all(text in raised for text in failed)
    return found


def score(change: Callable[[dict], dict | None]) -> Callable[[Run, Path], Run]:
    """A defect of scores.csv."""
    return lambda run, folder: replace(run, scores=change_rows(run.scores, folder / "changed.csv", change))


def forged(change: Callable[[dict], dict], where: str, published: bool = False) -> Callable[[Run, Path], Run]:
    """A forgery that no other check sees: in the scores of an evaluation, or in its answers."""

    def forge(run: Run, folder: Path) -> Run:
        scores = make_evaluation(folder / "evaluation")
        if where == "answers":
            lines = [change(line) for line in read_lines(scores.parent / SAMPLES)]
            with gzip.open(scores.parent / SAMPLES, "wt", encoding="utf-8") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines)
        else:
            change_rows(scores, scores, change)
        if published:
            publish_again(scores.parent)
        return evaluated(run, [scores], folder)

    return forge


def forged_joined(run: Run, folder: Path) -> Run:
    found = evaluated(run, [make_evaluation(folder / "evaluation")], folder)
    return replace(found, scores=change_rows(found.scores, folder / "forged.csv", higher))


def evaluated(run: Run, scores: list[Path], folder: Path) -> Run:
    """A run whose scores come from these evaluations alone."""
    gather_scores(scores, folder / "joined.csv", [path.with_name(SAMPLES) for path in scores], draws=20)
    return replace(run, scores=folder / "joined.csv", evaluations=scores, models=[], families=[], donors={})


def higher(row: dict) -> dict:
    return with_value(row, "llama/base", "rcb", high="0.999999")


def more_right(line: dict) -> dict:
    return line | {"value": line["value"] | {"pred": line["value"]["gold"]}} if line["task"] == "rcb" else line


def with_metric(row: dict, model: str, value: str) -> dict:
    return row | {"value": value} if (row["kind"], row["model"]) == ("pretraining", model) else row


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def wrong_published(run: Run, folder: Path) -> Run:
    rows = read_table(PUBLISHED)
    rows[-1]["daru_mera"] = "0.532"
    return replace(run, published=write_rows(folder / "published.csv", PUBLISHED_COLUMNS, rows))


def repeated_paragraph(run: Run, folder: Path) -> Run:
    other_spelling = LONG.upper().replace(" ", "  ")
    return replace(run, overlaps=overlaps(folder, "c", [SHORT, other_spelling]))


def repeated_group(run: Run, folder: Path) -> Run:
    return replace(run, overlaps=overlaps(folder, "b", [SHORT]))


def nothing_compared(run: Run, folder: Path) -> Run:
    write_json(folder / "0.json", {"documents": 0, "shared": 0, "first": []})
    return replace(run, overlaps=[folder / "0.json"])


def changed_artefact(run: Run, folder: Path) -> Run:
    flip(folder / "artefact" / "data.bin", 0)
    return run


def missing_file(run: Run, folder: Path) -> Run:
    (folder / "artefact" / "data.bin").unlink()
    return run


def no_gain(value: str) -> Callable[[Run, Path], Run]:
    def change(run: Run, folder: Path) -> Run:
        path = change_rows(run.metrics, folder / "m.csv", lambda row: with_metric(row, "llama/unigram/cpt-100", value))
        return replace(run, metrics=path)

    return change


def other_donor(run: Run, folder: Path) -> Run:
    (scores,) = run.donors.values()
    return replace(run, donors={donor(folder / "other", "cpt-050"): scores})


def special_row(matrix: str, row: int) -> Callable[[Run, Path], Run]:
    def change(run: Run, folder: Path) -> Run:
        path = folder / "model" / f"{matrix}.safetensors"
        start = path.stat().st_size - 12 * 4 * 2  # the matrix is the file's last tensor
        flip(path, start + row * 4 * 2 + 1)
        return run

    return change


def unnamed_title(run: Run, folder: Path) -> Run:
    return replace(run, families=[FAMILIES[0], {**FAMILIES[1], "instruct_title": "LLaMa-3-8B Instruct"}])


def unnamed_table(run: Run, folder: Path) -> Run:
    run.tables[1].write_text("Mistral-7B")
    return run


SAIGA = "llama/extended/conversion/saiga"
DEFECTS: list[tuple[str, str, Callable[[Run, Path], Run], str]] = [
    ("rows_complete", "group", score(lambda r: None if (r["model"], r["name"]) == (SAIGA, "daru_sum") else r),
     f"{SAIGA} has no daru_sum"),
    ("rows_complete", "model", score(lambda r: None if r["model"] == "mistral/original/instruct/saiga" else r),
     "mistral/original/instruct/saiga has no rummlu, "),
    ("rows_complete", "checkpoint", score(lambda r: None if r["model"] == "llama/bpe/cpt-025" else r),
     "llama/bpe/cpt-025 has no rummlu, "),
    ("rows_complete", "comparator", lambda run, folder: replace(run, models=[*run.models, "other3/instruct"]),
     "other3/instruct has no rummlu, "),
    ("scores_as_evaluated", "joined", forged_joined, "forged.csv is not what the evaluations gave: it has llama/base"),
    ("scores_as_evaluated", "evaluation", forged(higher, "scores", published=True), "it has llama/base, rcb, score"),
    ("scores_as_evaluated", "hash", forged(higher, "scores"), "scores.csv does not match"),
    ("scores_as_evaluated", "answers", forged(more_right, "answers", published=True), "evaluate its models again"),
    ("scores_as_evaluated", "answers hash", forged(more_right, "answers"), "samples.jsonl.gz does not match"),
    ("scores_as_evaluated", "no answers", forged(lambda line: line | {"model": "x"}, "answers", published=True),
     "give no scores (KeyError('llama/base')"),
    ("micro_formula", "micro", score(lambda r: with_value(r, SAIGA, "micro_avg", value="0.9", high="1")),
     f"{SAIGA}: micro_avg is 0.9, mean 0."),
    ("micro_formula", "group", score(lambda r: with_value(r, "llama/base", "daru_copy_ru", value="0", low="0")),
     "llama/base: daru_copy_ru is 0.0"),
    ("micro_formula_published", "", wrong_published, "Table 4, instruct optimized: Micro-Avg 0.617, but the mean"),
    ("counts_and_chance", "chance", score(lambda r: with_value(r, SAIGA, "rcb", chance="1.5")), "chance of"),
    ("counts_and_chance", "low", score(lambda r: with_value(r, SAIGA, "rcb", chance="-0.1")), "chance of"),
    ("same_items", "", score(lambda r: with_value(r, SAIGA, "parus", n="7")), "parus (0 shots)"),
    ("no_overlap", "paragraph", repeated_paragraph, "train-1/1 repeats held-out test/1"),
    ("no_overlap", "group", repeated_group, "train-1/1: its group is in both"),
    ("no_overlap", "nothing", nothing_compared, "no training document was compared"),
    ("manifests", "byte", changed_artefact, "does not match"),
    ("manifests", "missing", missing_file, "missing"),
    ("validation_improves", "equal", no_gain("4.21"), "llama/unigram/cpt-100: 4.21 bits"),
    ("validation_improves", "worse", no_gain("4.3"), "4.21 before training"),
    ("donors", "", other_donor, "/other: LEP used cpt-050, the best of "),
    ("special_rows", "input", special_row("model.embed_tokens.weight", 5), "<s> (model.embed_tokens.weight) differ"),
    ("special_rows", "head", special_row("lm_head.weight", 6), "</s> (lm_head.weight) differ"),
    ("stand_ins_declared", "title", unnamed_title, "llama: stand_in is True"),
    ("stand_ins_declared", "table", unnamed_table, "table2.md does not name"),
]  # fmt: skip


def test_a_good_run_passes(run: Run, tmp_path: Path) -> None:
    assert check(run, tmp_path / "checks" / "checks.xml") == dict.fromkeys(CHECKS)
    assert not any(check(evaluated(run, [make_evaluation(tmp_path / "e")], tmp_path), tmp_path / "checks.xml").values())
    assert {name for name, *_ in DEFECTS} == set(CHECKS)


def test_scores_of_two_seeds_are_computed_again(run: Run, tmp_path: Path) -> None:
    scores = [make_evaluation(tmp_path / name, seed=seed) for name, seed in (("a", 42), ("b", 43))]
    good = evaluated(run, scores, tmp_path)
    assert not any(check(good, tmp_path / "checks.xml").values())
    change_rows(good.scores, good.scores, higher)
    assert "it has llama/base, rcb, score" in check(good, tmp_path / "checks.xml")["scores_as_evaluated"]


@pytest.mark.parametrize(("name", "kind", "defect", "message"), DEFECTS, ids=[f"{d[0]}-{d[1]}" for d in DEFECTS])
def test_a_defect_fails_its_check_and_no_other(
    run: Run, tmp_path: Path, name: str, kind: str, defect: Callable[[Run, Path], Run], message: str
) -> None:
    found = check(defect(run, tmp_path), tmp_path / "checks.xml")
    assert [key for key, failure in found.items() if failure] == [name]
    assert message in found[name]


def test_ordinary_rows_may_differ_and_short_paragraphs_recur(run: Run, tmp_path: Path) -> None:
    special_row("lm_head.weight", 4)(run, tmp_path)
    special_row("model.embed_tokens.weight", 7)(run, tmp_path)
    assert not any(check(run, tmp_path / "checks.xml").values())


def test_two_of_three_methods(run: Run, files: Files, tmp_path: Path) -> None:
    """The workflow says which models it evaluates; no other is missed, and none of them may be missing."""
    part = replace(run, scores=files_of_methods(files, tmp_path, ["swap", "conversion"]).scores)
    evaluated = [model for model in run.models if parse_model_name(model).step != "overlap"]
    assert not any(check(replace(part, models=evaluated), tmp_path / "checks.xml").values())
    found = check(part, tmp_path / "checks.xml")
    assert [name for name, failure in found.items() if failure] == ["rows_complete"]
    assert "mistral/bpe/overlap has no rummlu" in found["rows_complete"]


def test_all_checks_run_after_one_failed(run: Run, tmp_path: Path) -> None:
    defects = {name: defect for name, _, defect, _ in DEFECTS}
    for name in ("rows_complete", "no_overlap", "stand_ins_declared"):
        run = defects[name](run, tmp_path)
    with pytest.raises(
        UserError, match=r"3 of 12 integrity checks failed:\n  rows_complete: .*\n  no_overlap: .*\n  stand"
    ):
        run_checks(target=tmp_path / "checks.xml", **vars(run))
    found = check(run, tmp_path / "checks.xml")
    assert list(found) == list(CHECKS)
    assert [name for name, failure in found.items() if failure] == ["rows_complete", "no_overlap", "stand_ins_declared"]


def test_damaged_data_stops_no_other_check(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run.overlaps[0].write_text('{"documents": 3')
    (tmp_path / "model" / "tokenizer.json").write_text("[]")
    (tmp_path / "artefact" / "manifest.json").write_text("{")
    found = check(run, tmp_path / "checks.xml")
    assert [name for name, failure in found.items() if failure] == ["no_overlap", "manifests", "special_rows"]
    monkeypatch.setitem(CHECKS, "micro_formula", lambda facts: {}["daru_sum"])
    assert check(run, tmp_path / "checks.xml")["micro_formula"] == "the check stopped with KeyError('daru_sum')"


def test_unreadable_scores_are_refused_before_any_check(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.csv does not exist"):
        run_checks(target=tmp_path / "checks.xml", **vars(replace(run, scores=tmp_path / "nothing.csv")))
    assert not (tmp_path / "checks.xml").exists()


def test_junit_is_well_formed_whatever_the_message() -> None:
    messages = {"a": None, "b": 'x <&"> ]]> ы\nsecond', "c": "\x00\x1b[0m \ud800", "d": ""}
    suite = ElementTree.fromstring(junit(messages).encode("utf-8"))
    assert dict(suite.items()) == {"name": "integrity", "tests": "4", "failures": "3", "errors": "0"}
    b, c = (suite.find(f"testcase[@name='{name}']/failure") for name in "bc")
    assert (b.get("message"), b.text) == ('x <&"> ]]> ы', 'x <&"> ]]> ы\nsecond')
    assert c.text == r"\x00\x1b[0m \xd800"
    assert suite.find("testcase[@name='a']/failure") is None
    assert suite.find("testcase[@name='d']/failure") is not None


def test_check_names_say_what_they_check() -> None:
    for name, function in CHECKS.items():
        assert function is getattr(checks, f"check_{name}")
        assert function.__doc__


@pytest.mark.parametrize("tied", [False, True])
def test_an_ordinary_folder_with_one_file(tmp_path: Path, tied: bool) -> None:
    """The instruct model may be a download that has no index."""
    rows = numpy.arange(80, dtype=numpy.float16).reshape(20, 4)
    model_folder(tmp_path / "instruct", 0, rows[:10], tied)
    model_folder(tmp_path / "model", 1, numpy.roll(rows[:10], 5, axis=0), tied)
    names = ["model.embed_tokens.weight", "lm_head.weight"][: 1 if tied else 2]
    (tmp_path / "instruct" / "model.safetensors.index.json").unlink()
    save_file(dict.fromkeys(names, rows[:10]), tmp_path / "instruct" / "model.safetensors")
    assert differing_rows(tmp_path / "model", tmp_path / "instruct") == []
    save_file(dict.fromkeys(names, rows[1:11]), tmp_path / "instruct" / "model.safetensors")
    wanted = [f"{token} ({name})" for name in names for token in ("</s>", "<s>")]
    assert differing_rows(tmp_path / "model", tmp_path / "instruct") == wanted


def test_tied_models_and_strangers(tmp_path: Path) -> None:
    rows = numpy.ones((10, 4), numpy.float16)
    model_folder(tmp_path / "a", 0, rows, tied=True)
    model_folder(tmp_path / "b", 1, rows, tied=True)
    assert differing_rows(tmp_path / "b", tmp_path / "a") == []
    (tmp_path / "b" / "tokenizer.json").write_text('{"added_tokens": [{"content": "<x>", "id": 1}]}')
    with pytest.raises(UserError, match="share no added token"):
        differing_rows(tmp_path / "b", tmp_path / "a")
