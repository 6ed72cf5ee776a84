"""Measures of languages: known models get the right numbers, and the same again; too little text is one message."""

import csv
import dataclasses
import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fixtures.models import byte_level, lines, make_model, set_matrices
from lep.config import UserError
from lep.evaluation import language
from lep.evaluation.harness import Model
from lep.evaluation.language import LanguageJob, choose_rankings, measure
from lep.files import write_csv, write_jsonl
from lep.models.store import load_model
from lep.names import parse_families, parse_model_name
from lep.pretraining.validation import ValidationRecipe
from lep.report.figure_language import plot_language, shown_model
from lep.report.language_table import Measured, learned, write_language_table
from scipy.stats import binomtest


def write_documents(path: Path, count: int = 8) -> Path:
    records = []
    for code in ("ru", "en"):
        texts = [f"{text[:60]} {text[:40]}" for text in lines(code, 2 * count) if len(text) > 20]
        for number in range(0, len(texts) - 1, 2):
            paragraphs = [{"text": text} for text in texts[number : number + 2]]
            records.append(
                {"id": f"{code}{number}", "source": "made", "language": code, "title": "", "paragraphs": paragraphs}
            )
    write_jsonl(path, records)
    return path


@pytest.fixture
def job(tmp_path: Path) -> LanguageJob:
    folder = make_model(byte_level(), tmp_path / "model", tied=True)
    # All tokens have the same probability, whatever comes before.
    set_matrices(folder, input=torch.zeros(load_model(folder, "float32", "cpu").get_input_embeddings().weight.shape))
    return LanguageJob(
        models=[Model("a/base", str(folder)), Model("a/instruct", str(folder))],
        validation=write_documents(tmp_path / "validation.jsonl"),
        recipe=ValidationRecipe(["ru", "en"], characters=300, window=32),
        rankings=4, speed_tokens=2, work=tmp_path / "work", output=tmp_path / "out", threads=1, seed=42, device="cpu",
        dtype="float32",
    )  # fmt: skip


def table(job: LanguageJob) -> dict[tuple[str, str], float]:
    with open(job.output / "measures.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["model"] == "a/base"]
    return {(row["measure"], row["language"]): float(row["value"]) for row in rows}


def test_a_model_without_knowledge(job: LanguageJob) -> None:
    measure(job)
    found = table(job)
    rows = byte_level().get_vocab_size()
    for code in ("ru", "en"):
        per_token = found["bits_per_character", code] * found["characters_per_token", code]
        assert per_token == pytest.approx(math.log2(rows), rel=2e-3)
    assert found["matrices_megabytes", ""] == pytest.approx(rows * 16 * 4 / 1e6, abs=0.05)
    speeds = json.loads((job.output / "run.json").read_text())["characters_per_second"]
    assert set(speeds) == {"a/base", "a/instruct"}
    assert all(value > 0 for value in speeds["a/base"].values())


def test_the_true_paragraph_is_found_by_the_one_who_knows_it(job: LanguageJob, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = {}
    for code in ("ru", "en"):
        asked = choose_rankings(job.validation, code, 4, 42)
        assert all(len(set(ranking.options)) == 4 and ranking.context not in ranking.options for ranking in asked)
        assert asked == choose_rankings(job.validation, code, 4, 42)
        pairs |= {ranking.context: ranking.options[0] for ranking in asked}
    monkeypatch.setattr(language, "_log_probability", lambda m, t, context, text: -(pairs[context] != text) * len(text))
    measure(job)
    assert [value for (name, _), value in table(job).items() if name == "next_paragraph"] == [1.0, 1.0]


def test_probabilities_of_an_option_are_of_its_characters_alone(job: LanguageJob) -> None:
    model = load_model(Path(job.models[0].path), "float32", "cpu")
    tokenizer = language.load_tokenizer(Path(job.models[0].path))
    tokens = len(tokenizer("before it\nthe option", add_special_tokens=False)["input_ids"])
    tokens -= len(tokenizer("before it\n", add_special_tokens=False)["input_ids"])
    found = language._log_probability(model, tokenizer, "before it", "the option")
    assert found == pytest.approx(-tokens * math.log(byte_level().get_vocab_size()), rel=1e-4)


def test_copied_tokens_are_those_of_the_second_paragraph(job: LanguageJob) -> None:
    """A model that predicts the token before it, and so every token of a repeated letter but the first."""
    model = load_model(Path(job.models[0].path), "float32", "cpu")
    tokenizer = language.load_tokenizer(Path(job.models[0].path))
    rows = model.get_input_embeddings().weight.shape[0]

    def echo(ids: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=torch.nn.functional.one_hot(ids, rows).float())

    echo.device = model.device
    assert language._copied(echo, tokenizer, "zzzz").tolist() == [False, True, True, True]


def test_a_restarted_job_measures_only_what_is_missing(job: LanguageJob, monkeypatch: pytest.MonkeyPatch) -> None:
    measure(job)
    first = (job.output / "measures.csv").read_bytes()
    (job.work / "a__instruct.json").unlink()
    loaded = []
    given = language.load_model
    monkeypatch.setattr(language, "load_model", lambda *a: loaded.append(a) or given(*a))
    again = dataclasses.replace(job, output=job.output.parent / "again")
    measure(again)
    assert len(loaded) == 1
    assert (again.output / "measures.csv").read_bytes() == first
    measure(dataclasses.replace(again, seed=43))
    assert len(loaded) == 3


def test_too_little_text_is_one_message(job: LanguageJob) -> None:
    with pytest.raises(UserError, match=r"are needed; lower evaluation\.language\.rankings, or raise corpus\.valid"):
        measure(dataclasses.replace(job, rankings=500))
    assert not job.output.exists()


def test_the_table_has_a_row_per_model(job: LanguageJob, tmp_path: Path) -> None:
    measure(job)
    outputs = {"csv": tmp_path / "t.csv", "md": tmp_path / "t.md", "speed": tmp_path / "s.csv"}
    write_language_table([job.output], outputs)
    head, _, first, second, *_ = outputs["md"].read_text(encoding="utf-8").splitlines()
    assert head.startswith("| model | bits/char ru | bits/char en | next paragraph ru |")
    assert (first.split(" | ")[0], second.split(" | ")[0]) == ("| a/base", "| a/instruct")
    with open(outputs["speed"], encoding="utf-8", newline="") as file:
        speeds = list(csv.DictReader(file))
    assert [row["model"] for row in speeds] == ["a/base", "a/instruct"]
    assert all(float(speeds[0][key]) > 0 for key in ("characters_per_second_1", "characters_per_second_16"))
    assert float(speeds[0]["characters_per_token_ru"]) == pytest.approx(table(job)["characters_per_token", "ru"])


def test_the_figure_has_a_line_per_model(tmp_path: Path) -> None:
    names = ["a/base", "a/instruct", "a/bpe/init", "a/bpe/donor", "a/bpe/swap", "a/bpe/conversion/self"]
    names.insert(2, "a/original/instruct/saiga")
    rows = [
        (name, measure, code, 0.5, n)
        for measure, n in (("bits_per_character", 900), ("next_paragraph", 40), ("matrices_megabytes", 1))
        for name in reversed(names)
        for code in (("ru", "en") if n > 1 else ("",))
    ]
    write_csv(tmp_path / "language.csv", ("model", "measure", "language", "value", "n"), rows)
    family = {"name": "a", "base_title": "A", "instruct_title": "A it", "stand_in": False, "vocabularies": ["bpe"]}
    outputs = {kind: tmp_path / f"figure.{kind}" for kind in ("pdf", "png", "csv")}
    plot_language([family], tmp_path / "language.csv", outputs)
    with open(outputs["csv"], encoding="utf-8", newline="") as file:
        drawn = list(csv.DictReader(file))
    assert len(drawn) == 2 * 2 * len(names)
    shares = [(float(row["low"]), float(row["high"])) for row in drawn if row["measure"] == "next_paragraph"]
    assert shares[0] == pytest.approx(tuple(binomtest(20, 40).proportion_ci(method="wilson")), abs=1e-6)
    assert all(not row["low"] for row in drawn if row["measure"] == "bits_per_character")
    assert shown_model(parse_model_name("a/bpe/conversion/self")) == "BPE: Conversion, self-calibration"
    assert shown_model(parse_model_name("a/original/instruct/saiga")) == "instruct, saiga"


def test_what_was_learned_is_stated_per_vocabulary_and_language() -> None:
    values = {"a/base": 3.0, "a/bpe/init": 4.5, "a/bpe/donor": 2.0}
    rows = [Measured(name, "bits_per_character", "ru", value, 9) for name, value in values.items()]
    family = {"name": "a", "base_title": "A", "instruct_title": "A it", "stand_in": True, "vocabularies": ["bpe"]}
    assert learned(rows, parse_families([family])) == [
        {
            "family": "A (stand-in)", "vocabulary": "BPE", "language": "ru",
            "original": "3.00", "initial": "4.50", "adapted": "2.00",
        }
    ]  # fmt: skip
