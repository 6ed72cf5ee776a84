"""What is measured of vocabularies, counted by hand on tiny ones, and the report made of it."""

import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from fixtures.report import FAMILIES, PUBLISHED
from lep.config import UserError
from lep.report.vocabularies import report_vocabularies
from lep.vocabulary.byte_view import BYTE_ALPHABET, ByteView
from lep.vocabulary.measure import count_tokens, measure_vocabularies, unreachable_rows
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

TEXTS = {"ru": ["яя да", "да нет"], "en": ["ab ab", "c"]}
NEW = ["ab", "Ġда", "да"]


def byte_level(*words: str) -> Tokenizer:
    """All bytes and `words` (`Ġ` is a space), each built by merges from its left; one special token."""
    names = ["".join(BYTE_ALPHABET[byte] for byte in word.replace("Ġ", " ").encode()) for word in words]
    merges = [(name[:end], name[end]) for name in names for end in range(1, len(name))]
    tokens = dict.fromkeys([*sorted(BYTE_ALPHABET), *("".join(merge) for merge in merges)])
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, list(dict.fromkeys(merges))))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>"])
    return tokenizer


def documents(path: Path, texts: dict[str, list[str]]) -> Path:
    lines = [
        {"id": f"d{i}", "language": language, "title": "", "paragraphs": [{"id": str(i), "text": text}]}
        for language, found in texts.items()
        for i, text in enumerate(found)
    ]
    path.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines) + "\n", encoding="utf-8")
    return path


def measured(folder: Path, texts: dict[str, list[str]] = TEXTS) -> tuple[dict, list[dict]]:
    folders = {"m/original": folder / "original", "m/extended": folder / "extended"}
    for (_, place), words in zip(folders.items(), ([], NEW), strict=True):
        place.mkdir(exist_ok=True)
        byte_level(*words).save(str(place / "tokenizer.json"))
    paths = [folder / name for name in ("metrics.csv", "tokens.csv")]
    heldout, training = (
        documents(folder / "h.jsonl", texts),
        documents(folder / "t.jsonl", {"ru": ["да да"], "en": ["ab"]}),
    )
    options = {"languages": list(texts), "characters": 1000, "under_trained_below": 2}
    measure_vocabularies(folders, heldout, training, *paths, **options)
    metrics, tokens = (list(csv.DictReader(path.open(encoding="utf-8", newline=""))) for path in paths)
    return {(row["model"], row["name"]): float(row["value"]) for row in metrics}, tokens


def test_metrics_are_what_one_counts_by_hand(tmp_path: Path) -> None:
    metrics, _ = measured(tmp_path)
    old = {name: value for (model, name), value in metrics.items() if model == "m/original"}
    new = {name: value for (model, name), value in metrics.items() if model == "m/extended"}
    assert old["size"] == 257
    # 11 characters of Russian in 20 bytes; every letter is two bytes, the two spaces one each
    assert old["symbols_per_token"] == pytest.approx(11 / 20, abs=1e-6)
    assert old["bytes_per_token"] == 1
    assert old["tokens_per_word"] == 20 / 4
    assert old["byte_share"] == pytest.approx(18 / 20)
    assert (old["symbols_per_token_en"], old["byte_share_en"], old["tokens_per_word_en"]) == (1, 0, 6 / 3)
    # яя = 4, Ġда = 1; да = 1, Ġнет = 6, for Ġ and the first byte of н are one token on the way to Ġда
    assert new["symbols_per_token"] == pytest.approx(11 / 12, abs=1e-6)
    assert new["byte_share"] == pytest.approx(9 / 12)
    assert new["symbols_per_token_en"] == pytest.approx(6 / 4)  # ab, Ġ, ab, c
    assert (old["parity"], new["parity"]) == (pytest.approx(20 / 6, abs=1e-6), pytest.approx(12 / 4))
    # training text: да, Ġда, ab, once each; of the original's bytes д, а, Ð twice or more, a, b and Ġ once
    assert new["under_trained"] == new["size"] - 1
    seen_twice = {0xD0, 0xB4, 0xB0}
    assert old["under_trained"] == old["size"] - 1 - len(seen_twice)


def test_new_tokens_are_listed(tmp_path: Path) -> None:
    _, tokens = measured(tmp_path)
    lists = {
        (model, kind): [
            (row["token"], int(row["value"])) for row in tokens if (row["model"], row["list"]) == (model, kind)
        ]
        for model in ("m/original", "m/extended")
        for kind in ("new", "longest")
    }
    assert lists["m/original", "new"] == []
    assert len(lists["m/original", "longest"]) == 10
    assert lists["m/extended", "new"] == [(" да", 1), ("да", 1)]
    assert lists["m/extended", "longest"][0] == (" да", 3)


def test_aligned_text_is_no_condition_and_a_missing_language_is_named(tmp_path: Path) -> None:
    assert ("m/original", "parity") in measured(tmp_path)[0]
    texts = {"ru": [], "en": ["x"]}
    with pytest.raises(UserError, match=r"h\.jsonl has no document in ru; raise corpus\.benchmark_fraction"):
        measured(tmp_path, texts)


def test_tokens_are_counted_without_specials_over_several_batches() -> None:
    view = ByteView(byte_level("ab"))
    counts = count_tokens(view, ["ab", "b"] * 600)
    assert counts[view.ids["ab"]] == counts[view.ids["b"]] == 600
    assert counts.sum() == 1200


def test_jobs_of_this_stage_need_no_model_library() -> None:
    """An import of torch or transformers costs seconds in each of them."""
    code = (
        "import sys; sys.modules |= dict.fromkeys(('torch', 'transformers', 'datasets', 'matplotlib'))\n"
        "import lep.vocabulary.build, lep.vocabulary.originals, lep.vocabulary.measure"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unreachable_rows_are_found() -> None:
    tokenizer = byte_level("ab", "да")
    assert unreachable_rows(ByteView(tokenizer)) == []
    state = json.loads(tokenizer.to_str())
    extra = {"abc": 300, "<0x41>": 301, "!a": 302}  # no merge; none; a merge, but the pre-tokenizer cuts it
    state["model"]["vocab"] |= extra
    state["model"]["merges"].append(["!", "a"])
    state["added_tokens"] = []
    view = ByteView(Tokenizer.from_str(json.dumps(state)))
    assert [view.tokens[i] for i in unreachable_rows(view)] == list(extra)


def report(folder: Path, target: Path, languages: Sequence[str] = ("ru", "en")) -> dict[str, Path]:
    metrics, tokens = folder / "metrics.csv", folder / "tokens.csv"
    outputs = {key: target / f"vocabularies.{key}" for key in ("table", "md", "pdf", "png", "csv")}
    families = [FAMILIES[0] | {"name": "m", "vocabularies": ["extended"], "calibrated": []}]
    options = {"languages": languages, "characters": 1000, "under_trained_below": 2}
    report_vocabularies(families, metrics, tokens, PUBLISHED, outputs, **options)
    return outputs


def test_a_report_of_other_languages(tmp_path: Path) -> None:
    """The first language has the plain names and no values of the paper, whose text is Russian."""
    measured(tmp_path, {"el": ["λέξη λέξη", "μία"], "de": ["ab cd", "ab"]})
    written = report(tmp_path, tmp_path, ["el", "de"])
    (original, extended) = csv.DictReader(written["table"].open(encoding="utf-8", newline=""))
    assert float(original["symbols_per_token"]) == pytest.approx(12 / 23, abs=1e-5)  # of two bytes each but the space
    assert float(extended["symbols_per_token_de"]) > float(original["symbols_per_token_de"])
    assert "published" not in original
    text = written["md"].read_text(encoding="utf-8")
    assert "Greek, or German (DE)" in text
    assert "EL tokens for one DE token" in text


def test_report_shows_what_was_measured(tmp_path: Path) -> None:
    metrics, _ = measured(tmp_path)
    outputs = report(tmp_path, tmp_path / "a")
    rows = list(csv.DictReader(outputs["table"].open(encoding="utf-8")))
    assert [(row["model"], row["stand_in"]) for row in rows] == [("m/original", "yes"), ("m/extended", "yes")]
    assert float(rows[1]["symbols_per_token"]) == metrics["m/extended", "symbols_per_token"]
    assert float(rows[1]["speed_up"]) == pytest.approx(20 / 12, abs=1e-5)
    assert [float(row["published"]) for row in rows] == [2.44, 3.77]
    text = outputs["md"].read_text(encoding="utf-8")
    assert "- m/extended: `▁да` 1, `да` 1" in text
    assert "| Mistral-7B (stand-in) | Extended |" in text
    assert outputs["png"].stat().st_size > 10_000
    again = report(tmp_path, tmp_path / "b")
    assert all(path.read_bytes() == again[key].read_bytes() for key, path in outputs.items())


def test_report_without_aligned_text_leaves_parity_open(tmp_path: Path) -> None:
    measured(tmp_path)
    lines = (tmp_path / "metrics.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "metrics.csv").write_text("\n".join(line for line in lines if "parity" not in line), encoding="utf-8")
    rows = list(csv.DictReader(report(tmp_path, tmp_path / "a")["table"].open(encoding="utf-8")))
    assert [row["parity"] for row in rows] == ["", ""]
