"""A tiny model with packed data, and trainings of it."""

import json
from pathlib import Path

import pytest
from fixtures.pretraining import LINES
from fixtures.training import write_model
from lep.config import load_job
from lep.manifest import publish, staging
from lep.pretraining.packing import pack_corpus
from lep.pretraining.pretrain import PretrainJob
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
def make_job(material: Path, tmp_path: Path):
    def make(name: str = "run", **changes) -> PretrainJob:
        values = {
            "model": str(material / "model"),
            "data": str(material / "packed"),
            "validation": str(material / "corpus/validation.jsonl"),
            "work": str(tmp_path / name / "work"),
            "models": str(tmp_path / name / "models"),
            "output": str(tmp_path / name / "output"),
            "optimisation": {
                "learning_rate": 0.01,
                "batch_size": 4,
                "max_steps": 9,
                "warmup_steps": 2,
            },
            "execution": {"micro_batch_size": 2},
            "validation_recipe": {"languages": ["ru"], "characters": 200, "window": 16},
            "fractions": [0.5, 1.0],
            "seed": 1,
            "threads": 1,
            "device": "cpu",
            "dtype": "float32",
            "log_steps": 2,
            "save_steps": 3,
        } | changes
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(values))
        return load_job(PretrainJob, path)

    return make
