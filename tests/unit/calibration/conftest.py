"""A small job of answers."""

from pathlib import Path

import pytest
from lep.calibration.answers import AnswerJob
from lep.calibration.judge import JudgeSettings


@pytest.fixture
def answer_job(chat_folder: Path, tmp_path: Path) -> AnswerJob:
    return AnswerJob(
        model=chat_folder / "model",
        instructions=chat_folder / "instructions",
        prompts=5,
        work=tmp_path / "work",
        output=tmp_path / "output",
        judge=JudgeSettings("stand_in"),
        max_new_tokens=6,
        batch_size=2,
        max_prompt_tokens=200,
        seed=1,
        threads=1,
        device="cpu",
        dtype="float32",
    )
