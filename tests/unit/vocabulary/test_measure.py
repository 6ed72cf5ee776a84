"""What is measured of vocabularies, counted by hand on tiny ones."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.measured import byte_level, measured
from lep.config import UserError
from lep.vocabulary.byte_view import ByteView
from lep.vocabulary.measure import count_tokens
from lep.vocabulary.reach import unreachable_rows
from tokenizers import Tokenizer


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


def test_pieces_are_counted_by_script(tmp_path: Path) -> None:
    metrics, _ = measured(tmp_path)
    names = ("pieces_cyrillic", "pieces_latin", "pieces_other")
    assert [metrics["m/extended", name] for name in names] == [2, 1, 3]
    assert ("m/original", "pieces_latin") not in metrics


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
    with pytest.raises(UserError, match=r"benchmark\.jsonl has no document in ru; raise corpus\.benchmark_fraction"):
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
