"""Which files of a repository are fetched: those of one model in one format, and what goes with it."""

import json
from collections.abc import Sequence

import pytest
from fixtures.hub_layouts import FOREIGN, SHARDS, SMALL, STATES
from lep.config import UserError
from lep.fetch.choice import INDEX, choose_dataset, choose_model

TRUE_INDEX = json.dumps({"weight_map": dict(enumerate(SHARDS))}).encode()


def chosen(names: Sequence[str], subfolder: str = "", index: bytes = TRUE_INDEX) -> dict[str, str]:
    return choose_model("a/b", names, subfolder, lambda path: index)


def test_weights_are_those_of_the_index_alone() -> None:
    found = chosen([*SMALL, INDEX, *SHARDS, *FOREIGN])
    assert found == {name: name for name in [*SMALL, INDEX, *SHARDS]}


def test_one_file_of_weights() -> None:
    assert set(chosen(["config.json", "model.safetensors", "consolidated.safetensors"])) == {
        "config.json",
        "model.safetensors",
    }


def test_checkpoints_in_folders_are_not_fetched_with_the_model() -> None:
    folders = [f"checkpoint-{n}0000/{name}" for n in (1, 2, 3) for name in [*SMALL, INDEX, *SHARDS, *STATES]]
    assert set(chosen([*SMALL, INDEX, *SHARDS, *folders])) == {*SMALL, INDEX, *SHARDS}


def test_a_sub_folder_gives_its_weights_and_the_rest_of_the_top_level() -> None:
    """A checkpoint of a trainer has no licence, and often no tokenizer."""
    inside = ["config.json", INDEX, *SHARDS, *STATES]
    asked = []
    found = choose_model(
        "a/b",
        [*SMALL, "model.safetensors", *(f"checkpoint-20000/{name}" for name in inside)],
        "checkpoint-20000",
        lambda path: asked.append(path) or TRUE_INDEX,
    )
    assert asked == [f"checkpoint-20000/{INDEX}"]
    assert found["config.json"] == "checkpoint-20000/config.json"
    assert {name: found[name] for name in SHARDS} == {name: f"checkpoint-20000/{name}" for name in SHARDS}
    assert (found["tokenizer.json"], found["LICENSE"]) == ("tokenizer.json", "LICENSE")
    assert set(found) == {*SMALL, INDEX, *SHARDS}


REFUSED = {
    "only pickles": (
        ["config.json", "pytorch_model-00001-of-00002.bin"],
        "only pytorch_model-00001-of-00002.bin; pick",
    ),
    "another format": (["params.json", "consolidated.safetensors"], "only consolidated.safetensors; pickled weights"),
    "no weights": (["config.json"], r"a/b has no safetensors of a model \(model\.safetensors or .*\); pickled"),
    "a missing file": ([INDEX, SHARDS[0]], f"a/b lacks weights that its index names: {SHARDS[1]}; name another"),
}


@pytest.mark.parametrize(("names", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_other_weights_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        chosen(names)


def test_a_damaged_index_is_refused() -> None:
    for index in (b"no", b"[]", b"{}"):
        with pytest.raises(UserError, match=r"model\.safetensors\.index\.json is not an index of weights"):
            chosen([INDEX], index=index)


def test_an_index_cannot_name_files_elsewhere() -> None:
    with pytest.raises(UserError, match=r"lacks weights that its index names: \.\./secret\.safetensors"):
        chosen([INDEX, "model.safetensors"], index=json.dumps({"weight_map": {"x": "../secret.safetensors"}}).encode())


def test_a_sub_folder_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(UserError, match=r"a/b has no folder checkpoint-9; it has checkpoint-1, checkpoint-2$"):
        chosen(["config.json", "checkpoint-1/config.json", "checkpoint-2/config.json"], "checkpoint-9")
    with pytest.raises(UserError, match=r"a/b has no folder checkpoint-9; it has none"):
        chosen(["config.json"], "checkpoint-9")


def test_a_data_set_is_what_can_be_read_and_its_card() -> None:
    names = [".gitattributes", "README.md", "default/train/0000.parquet", "libru_prose_0.jsonl.zst", "load.py", "x.csv"]
    assert list(choose_dataset("a/b", names)) == ["default/train/0000.parquet", "libru_prose_0.jsonl.zst", "README.md"]
    with pytest.raises(UserError, match=r"a/b has no file of a readable type: \*\.parquet"):
        choose_dataset("a/b", ["README.md", "x.csv"])
