"""The figure of the data card."""

from pathlib import Path

from fixtures.corpus import build, raw, source
from lep.corpus.assembly import CARD
from lep.report.figure_data_card import plot_data_card


def test_the_card_is_drawn_with_its_numbers(tmp_path: Path) -> None:
    card = build([source(raw(tmp_path / "raw.jsonl", range(60)))], tmp_path / "corpus") / CARD
    for name in ("a", "b"):
        plot_data_card(card, ["ru", "en"], {suffix: tmp_path / f"{name}.{suffix}" for suffix in ("pdf", "png", "csv")})
    rows = (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0] == "part,name,language,unit,number"
    assert "kept,undefined,ru,documents,60" in rows
    assert "dropped,paragraphs/repeated,,paragraphs,48" in rows
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
