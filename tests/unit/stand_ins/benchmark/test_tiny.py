"""The committed items of the benchmark."""

from pathlib import Path

from darumeru import data
from fixtures.checkout import ROOT
from lep.stand_ins.benchmark import tiny


def test_the_committed_items_are_what_the_verses_give(tmp_path: Path) -> None:
    """Byte for byte, so nothing but the public-domain verses of the fixture can be in them."""
    tiny.make_tiny(ROOT / tiny.CORPUS, tmp_path)
    made, kept = (
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.jsonl"))}
        for folder in (tmp_path, data.TINY)
    )
    assert made.keys() == kept.keys()
    assert made == kept
