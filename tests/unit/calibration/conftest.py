"""Small jobs of answers and of their grades."""

from pathlib import Path

import pytest
from fixtures.calibration import QUESTIONS
from lep.calibration.answers import AnswerJob
from lep.calibration.grades import GradeJob
from lep.calibration.grading import JudgeSettings
from lep.files import write_jsonl
from lep.manifest import publish, staging


@pytest.fixture
def answer_job(chat_folder: Path, tmp_path: Path) -> AnswerJob:
    return AnswerJob(
        model=chat_folder / "model",
        instructions=chat_folder / "instructions",
        prompts=5,
        work=tmp_path / "work",
        output=tmp_path / "output",
        max_new_tokens=6,
        batch_size=2,
        max_prompt_tokens=200,
        seed=1,
        threads=1,
        device="cpu",
        dtype="float32",
    )


@pytest.fixture
def grade_job(tmp_path: Path) -> GradeJob:
    """Five answers of different quality, to be graded by the stand-in."""
    replies = ["В начале сотворил Бог небо.", "Небо и землю сотворил Бог.", "", "Heaven", "ля ля ля ля ля"]
    records = [
        {"messages": [{"role": "user", "content": question}], "answer": answer}
        for question, answer in zip(QUESTIONS, replies, strict=True)
    ]
    folder = staging(tmp_path / "answers")
    write_jsonl(folder / "answers.jsonl", records)
    publish(folder, tmp_path / "answers", recipe_version=1)
    return GradeJob(
        answers=tmp_path / "answers",
        judge=JudgeSettings("stand_in"),
        work=tmp_path / "grades_work",
        output=tmp_path / "grades",
        seed=1,
        threads=1,
        device="cpu",
    )
