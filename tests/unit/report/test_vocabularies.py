"""The report of what was measured of the vocabularies."""

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest
from fixtures.measured import LANGUAGES, measured
from fixtures.report import FAMILIES, PUBLISHED, ROOT
from lep.report.vocabularies import report_vocabularies


def report(folder: Path, target: Path, languages: Sequence[str] = ("ru", "en")) -> dict[str, Path]:
    metrics, tokens = folder / "metrics.csv", folder / "tokens.csv"
    outputs = {key: target / f"vocabularies.{key}" for key in ("table", "md", "pdf", "png", "csv")}
    families = [FAMILIES[0] | {"name": "m", "vocabularies": ["extended"], "calibrated": []}]
    scripts = {code: LANGUAGES[code] for code in languages}
    options = {"languages": scripts, "characters": 1000, "under_trained_below": 2}
    report_vocabularies(families, metrics, tokens, PUBLISHED, ROOT / "data/published_pieces.csv", outputs, **options)
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
    assert "| Mistral-7B (stand-in) | Extended | 1 (50.0 %) | 1 (50.0 %) | 4 |\n" in text
    assert "published_pieces_latin" not in original


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
    beside = "24,381 (77.4 %) | 7,133 (22.6 %) | 227 |"  # the published model
    assert f"| Mistral-7B (stand-in) | Extended | 2 (66.7 %) | 1 (33.3 %) | 3 | {beside}\n" in text
    assert (rows[0]["pieces_latin"], rows[1]["pieces_latin"], rows[1]["published_pieces_latin"]) == ("", "1", "7133")
    assert outputs["png"].stat().st_size > 10_000
    again = report(tmp_path, tmp_path / "b")
    assert all(path.read_bytes() == again[key].read_bytes() for key, path in outputs.items())


def test_report_without_aligned_text_leaves_parity_open(tmp_path: Path) -> None:
    measured(tmp_path)
    lines = (tmp_path / "metrics.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "metrics.csv").write_text("\n".join(line for line in lines if "parity" not in line), encoding="utf-8")
    rows = list(csv.DictReader(report(tmp_path, tmp_path / "a")["table"].open(encoding="utf-8")))
    assert [row["parity"] for row in rows] == ["", ""]
