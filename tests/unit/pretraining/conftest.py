"""A tiny model with packed data, and trainings of it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures.pretraining import LINES, LONG, pack_corpus, pretrain_job
from fixtures.training import write_model
from lep.manifest import publish, staging
from lep.pretraining.pretrain import PretrainJob, pretrain
from lep.pretraining.selection import PackingRecipe


@pytest.fixture(scope="session")
def material(tmp_path_factory) -> Path:
    """A tiny model, a corpus packed with its tokenizer, and validation documents."""
    folder = tmp_path_factory.mktemp("material")
    write_model(folder / "model", LINES)
    built = staging(folder / "corpus")
    for split in ("train", "validation"):
        with open(built / f"{split}.jsonl", "w", encoding="utf-8") as file:
            for number in range(40 if split == "train" else 3):
                lines = [LINES[(number + k) % 3] for k in range(3)]
                paragraphs = [{"id": str(k), "text": line} for k, line in enumerate(lines)]
                document = {
                    "id": str(number),
                    "group": str(number),
                    "source": "s",
                    "language": "ru",
                    "title": f"{number}",
                }
                file.write(json.dumps({**document, "paragraphs": paragraphs}, ensure_ascii=False) + "\n")
    publish(built, folder / "corpus", recipe_version=1)
    pack_corpus(folder / "corpus/train.jsonl", folder / "model", folder / "packed", PackingRecipe(16, reserve=0))
    return folder


@pytest.fixture
def make_job(material: Path, tmp_path: Path) -> Callable[..., PretrainJob]:
    """make_job(name, **changes): a training of nine steps under the test's own folder."""

    def make(name: str = "run", **changes) -> PretrainJob:
        return pretrain_job(material, tmp_path / name, **changes)

    return make


@pytest.fixture(scope="session")
def short_run(material: Path, tmp_path_factory: pytest.TempPathFactory) -> PretrainJob:
    """A finished training of nine steps that nothing disturbed; only read it."""
    job = pretrain_job(material, tmp_path_factory.mktemp("undisturbed") / "short")
    pretrain(job)
    return job


@pytest.fixture(scope="session")
def long_run(material: Path, tmp_path_factory: pytest.TempPathFactory) -> PretrainJob:
    """A finished training of 120 steps that nothing disturbed; only read it."""
    job = pretrain_job(material, tmp_path_factory.mktemp("undisturbed") / "long", optimisation=LONG, save_steps=7)
    pretrain(job)
    return job
