"""Shards: whole or not at all."""

from pathlib import Path

import pytest
from fixtures.corpus import CLEANING, source, write_lines
from lep.config import UserError
from lep.corpus.shards import prepare_shard


def test_a_broken_shard_leaves_nothing(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "raw.jsonl", [{"text": "Хороший документ."}] * 5 + [{"no": "text"}])
    with pytest.raises(UserError, match="line 6: no text column"):
        prepare_shard([source(path)], 0, 1, tmp_path / "shards" / "0", CLEANING)
    assert not (tmp_path / "shards" / "0").exists()
    path = write_lines(path, [{"text": "Хороший документ."}])
    prepare_shard([source(path)], 0, 1, tmp_path / "shards" / "0", CLEANING)
    assert sorted(p.name for p in (tmp_path / "shards" / "0").iterdir()) == [
        "bands.npy", "counts.json", "documents.jsonl", "identities.npy", "paragraphs.npy", "signatures.npy",
    ]  # fmt: skip
