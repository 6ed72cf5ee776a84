"""Facts of a model folder, as `lep.inspect` prints them."""

from pathlib import Path

from fixtures.families import Family
from fixtures.models import byte_level, extended
from lep.inspect import inspect_folder


def test_facts_of_a_propagated_model(tmp_path: Path) -> None:
    Family(tmp_path, byte_level(), extended()).propagate("conversion")
    facts = inspect_folder(tmp_path / "out", against=tmp_path / "base")
    assert facts["tokens"] == extended().get_vocab_size()
    assert facts["kind"] == "byte-level BPE"
    assert (facts["chat template"], facts["head tied to input"], facts["head empty rows"]) == ("yes", "no", 0)
    assert facts[f"tokens of {tmp_path / 'base'} shared by bytes"] == "402 of 402"
