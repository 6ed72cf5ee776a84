"""What `make clean-models` deletes, and what it must leave alone."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from fixtures.models import byte_level, make_model
from lep.config import UserError
from lep.manifest import publish, staging, verify
from lep.models.folder import read_embeddings
from lep.models.store import derive_model, import_model, load_model
from lep.workflow.clean_models import clean_models, read_summary

HEADER = "output_file\tdate\trule\tlog-file(s)\tstatus\tplan\n"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A store with base, instruct, and two models that are derived from the instruct."""
    store = tmp_path / "results" / "models" / "llama"
    for role in ("base", "instruct"):
        import_model(make_model(byte_level(), tmp_path / role), store / role)
    for method in ("swap", "conversion"):
        derive(store / "instruct", store / "bpe" / method)
    return tmp_path / "results"


def derive(parent: Path, target: Path) -> None:
    derive_model(parent, read_embeddings(parent), parent, target, recipe_version=1, parents={"instruct": parent})


def named(results: Path, *models: str) -> set[Path]:
    lines = [f"{results}/models/llama/{model}/manifest.json\tdate\trule\tlog\tok\tno update\n" for model in models]
    return read_summary([HEADER, *lines, f"{results}/scores.csv\tdate\trule\tlog\tok\tno update\n"])


def stored(results: Path) -> set[str]:
    store = results / "models" / "llama"
    return {path.parent.relative_to(store).as_posix() for path in store.rglob("manifest.json")}


def test_nothing_that_the_graph_names_is_deleted(results: Path) -> None:
    assert clean_models(results, named(results, *stored(results))) == []
    assert stored(results) == {"base", "instruct", "bpe/swap", "bpe/conversion"}


def test_models_of_further_seeds_are_of_the_graph_too(results: Path) -> None:
    further = results / "seed-43/models/llama/bpe"
    for method in ("swap", "conversion"):
        derive(results / "models/llama/instruct", further / method)
    wanted = named(results, *stored(results)) | {further / "swap"}
    assert clean_models(results, wanted) == [further / "conversion"]


def test_a_deleted_model_harms_neither_parent_nor_sibling(results: Path) -> None:
    assert clean_models(results, named(results, "base", "instruct", "bpe/conversion")) == [
        results / "models/llama/bpe/swap"
    ]
    assert stored(results) == {"base", "instruct", "bpe/conversion"}
    for name in stored(results):
        verify(results / "models/llama" / name)


def test_a_deleted_parent_harms_no_child(results: Path) -> None:
    """The body lies in the folder of the child as much as in the parent's."""
    clean_models(results, named(results, "bpe/conversion"))
    assert stored(results) == {"bpe/conversion"}
    model = results / "models/llama/bpe/conversion"
    verify(model)
    body = next(model.glob("body-*"))
    assert body.stat().st_nlink == 1
    assert load_model(model)(torch.tensor([[1, 2]])).logits.isfinite().all()


def test_the_body_behind_a_symbolic_link_stays(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    derive(results / "models/llama/instruct", results / "models/llama/bpe/overlap")
    clean_models(results, named(results, "bpe/overlap"))
    assert stored(results) == {"instruct", "bpe/overlap"}
    verify(results / "models/llama/bpe/overlap")


def test_unfinished_folders_go(results: Path) -> None:
    for name in (".swap.staging", ".swap.old"):
        shutil.copytree(results / "models/llama/bpe/swap", results / "models/llama/bpe" / name)
    freed = clean_models(results, named(results, *stored(results) - {"bpe/.swap.staging", "bpe/.swap.old"}))
    assert {path.name for path in freed} == {".swap.staging", ".swap.old"}
    assert stored(results) == {"base", "instruct", "bpe/swap", "bpe/conversion"}


def fetched(results: Path, role: str, content: str) -> Path:
    """A source model as `fetch_model` leaves it."""
    folder = results / "sources/models/llama" / role
    built = staging(folder)
    (built / "config.json").write_text(content)
    publish(built, folder, recipe_version=1)
    return folder


def test_fetched_models_go_once_they_are_in_the_store(results: Path) -> None:
    """The instruct was fetched anew and not imported yet."""
    base, instruct = fetched(results, "base", "1"), fetched(results, "instruct", "2")
    model = results / "models/llama/base"
    derive_model(model, read_embeddings(model), model, model, recipe_version=1, parents={"source": base})
    names = named(results, *stored(results)) | {base, instruct}
    assert clean_models(results, names) == [base]
    assert instruct.is_dir()


def test_data_of_other_kinds_is_not_touched(results: Path) -> None:
    other = results / "corpus"
    publish(staging(other), other, recipe_version=1)
    clean_models(results, named(results, "base"))
    assert (other / "manifest.json").is_file()


@pytest.mark.parametrize("lines", [[], [HEADER], [HEADER, "results/mini/scores.csv\tdate\trule\tlog\tok\tno\n"]])
def test_without_a_graph_nothing_is_deleted(results: Path, lines: list[str]) -> None:
    """As when Snakemake failed and its summary is empty."""
    with pytest.raises(UserError, match="nothing is deleted"):
        clean_models(results, read_summary(lines))
    assert len(stored(results)) == 4


def test_the_graph_of_another_scale_deletes_nothing(results: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the graph has nothing in"):
        clean_models(results, named(tmp_path / "other", "base"))
    assert len(stored(results)) == 4
