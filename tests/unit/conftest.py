"""Small models, data and jobs that tests of several packages share; each is made once in a process.

Libraries for models are imported where they are used: most unit tests do without them.
"""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lep.calibration.calibrate import CalibrateJob
    from lep.evaluation.harness import EvaluateJob


@pytest.fixture
def gpu() -> str:
    """Device of a test that holds a GPU against the CPU, else the test is skipped.

    LEP_TEST_DEVICE=cpu tries such a test where there is no GPU.
    """
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if "LEP_TEST_DEVICE" not in os.environ:
        pytest.skip("no GPU")
    return os.environ["LEP_TEST_DEVICE"]


@pytest.fixture
def gpu_only(gpu: str) -> str:
    """As `gpu`, for tests of kernels that a CPU does not have."""
    if gpu == "cpu":
        pytest.skip("no GPU")
    return gpu


@pytest.fixture(scope="session")
def chat_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny chat model in `model` and questions for it in `instructions`."""
    from fixtures.calibration import QUESTIONS
    from fixtures.training import write_model
    from lep.manifest import publish, staging

    folder = tmp_path_factory.mktemp("chat")
    write_model(folder / "model", QUESTIONS)
    built = staging(folder / "instructions")
    with open(built / "instructions.jsonl", "w", encoding="utf-8") as file:
        for question in QUESTIONS:
            messages = [{"role": "user", "content": question}, {"role": "bot", "content": "x"}]
            file.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")
    publish(built, folder / "instructions", recipe_version=1)
    return folder


@pytest.fixture(scope="session")
def verses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training text of a small published corpus."""
    from fixtures.instructions import write_corpus

    return write_corpus(tmp_path_factory.mktemp("corpus") / "corpus")


@pytest.fixture(scope="session")
def instructions(verses: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 instructions made of `verses`."""
    from lep.stand_ins.instructions import InstructionRecipe, make_instructions

    folder = tmp_path_factory.mktemp("instructions") / "made"
    make_instructions(verses, folder, InstructionRecipe(records=600))
    return folder


@pytest.fixture(scope="session")
def calibration_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny models in `model` and, with one matrix for input and output, in `tied`; conversations in `data.jsonl`."""
    from fixtures.calibration import LINES
    from fixtures.training import write_model

    folder = tmp_path_factory.mktemp("calibration")
    write_model(folder / "model", LINES)
    write_model(folder / "tied", LINES, tied=True)
    with open(folder / "data.jsonl", "w", encoding="utf-8") as file:
        for number in range(14):
            answer = LINES[number % 3][: 5 + number]
            messages = [{"role": "user", "content": LINES[(number + 1) % 3]}, {"role": "assistant", "content": answer}]
            file.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")
    return folder


@pytest.fixture
def make_calibrate_job(calibration_folder: Path, tmp_path: Path) -> Callable[..., "CalibrateJob"]:
    """make_calibrate_job(name, parent, **lora): a calibration of four steps under the test's own folder."""
    from lep.calibration.calibrate import CalibrateJob
    from lep.config import load_job

    def make(name: str = "run", parent: str = "model", **lora) -> CalibrateJob:
        values = {
            "parent": str(calibration_folder / parent),
            "data": str(calibration_folder / "data.jsonl"),
            "validation": str(calibration_folder / "data.jsonl"),
            "work": str(tmp_path / name / "work"),
            "output": str(tmp_path / name / "output"),
            "lora": {"rank": 2, "alpha": 4, "full": ["lm_head"]} | lora,
            "tuning": {
                "learning_rate": 0.01,
                "weight_decay": 0.1,
                "batch_size": 4,
                "micro_batch_size": 2,
                "max_length": 200,
            },
            "seed": 1,
            "threads": 1,
            "device": "cpu",
            "dtype": "float32",
            "save_steps": 2,
        }
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(values))
        return load_job(CalibrateJob, path)

    return make


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """For evaluations: the models `a` and `b` and the benchmark `data`, all under `root`, where the jobs write too."""
    from fixtures.darumeru import write_benchmark, write_model

    root = tmp_path_factory.mktemp("evaluate")
    return {
        "root": root,
        "a": write_model(root / "a", 0),
        "b": write_model(root / "b", 1),
        "data": write_benchmark(root / "benchmark"),
    }


@pytest.fixture(scope="session")
def finished(places: dict[str, Path]) -> "EvaluateJob":
    """An evaluation of all tasks, finished by the command that a rule runs."""
    from darumeru.specs import SPECS
    from fixtures.evaluation import make_job
    from lep.evaluation.evaluate import main
    from lep.files import write_json

    job = make_job(places, "first", tasks=list(SPECS), limit=None)
    write_json(places["root"] / "job.json", dataclasses.asdict(job))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["lep.evaluation.evaluate", "--config", str(places["root"] / "job.json")])
        main()
    return job
