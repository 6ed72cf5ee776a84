from collections.abc import Callable
from pathlib import Path

import pytest
from darumeru import task
from fixtures.darumeru import write_benchmark, write_model
from fixtures.harness import LENGTHS
from lm_eval.tasks import TaskManager


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_benchmark(tmp_path_factory.mktemp("benchmark"))


@pytest.fixture(scope="session")
def load(model: Path, benchmark: Path) -> Callable:
    """load(names, shots, **metadata): the loaded tasks as the harness takes them."""

    def loader(names: list[str], shots: int = 0, **metadata: object) -> dict:
        settings = {"tokenizer": str(model), "max_length": 1024, "darumeru_data": str(benchmark)}
        settings |= {"darumeru_max_new_tokens": LENGTHS, "darumeru_draws": 0} | metadata
        manager = TaskManager(include_path=str(task.FOLDER), include_defaults=False, metadata=settings)
        loaded = manager.load(names)
        for one in loaded["tasks"].values():
            if one.get_config("num_fewshot") != 0:
                one.set_config("num_fewshot", shots)
        return loaded

    return loader
