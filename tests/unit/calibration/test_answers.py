"""Answers: a kill loses nothing, long prompts, which prompts are chosen."""

import dataclasses
import json
from pathlib import Path

import lep.models.generation
import pytest
from fixtures.calibration import QUESTIONS
from lep.calibration.answers import AnswerJob, answer, choose_prompts
from lep.calibration.progress import Progress
from lep.config import UserError
from lep.manifest import verify
from lep.models.generation import greedy_answers


def test_an_interrupted_job_loses_nothing(answer_job: AnswerJob, monkeypatch, tmp_path: Path) -> None:
    answer(answer_job)
    expected = verify(answer_job.output)["files"]
    broken = dataclasses.replace(answer_job, work=tmp_path / "work2", output=tmp_path / "output2")
    calls = []

    def dying(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return greedy_answers(*arguments)

    monkeypatch.setattr(lep.models.generation, "greedy_answers", dying)
    with pytest.raises(KeyboardInterrupt):
        answer(broken)
    answer(broken)
    assert len(calls) == 2 + 2  # the first batch of three was kept
    assert verify(broken.output)["files"] == expected
    records = [json.loads(line) for line in (answer_job.output / "answers.jsonl").read_text().splitlines()]
    assert sorted(r["messages"][0]["content"] for r in records) == sorted(QUESTIONS)
    assert all(r.keys() == {"messages", "answer"} for r in records)


def test_long_prompts_get_no_answer(answer_job: AnswerJob) -> None:
    answer(dataclasses.replace(answer_job, max_prompt_tokens=1))
    records = [json.loads(line) for line in (answer_job.output / "answers.jsonl").read_text().splitlines()]
    assert {r["answer"] for r in records} == {""}


def test_progress_drops_a_line_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    Progress(path).add({0: "а", 1: "б"})
    with open(path, "a") as file:
        file.write('[2, "cut')
    again = Progress(path)
    again.add({2: "в"})
    assert [Progress(path)[i] for i in range(3)] == ["а", "б", "в"]


def test_prompts_differ_and_are_enough(chat_folder: Path) -> None:
    chosen = choose_prompts(chat_folder / "instructions", 3, 0)
    assert len({json.dumps(c) for c in chosen}) == 3
    assert all(c[-1]["role"] == "user" for c in chosen)
    with pytest.raises(UserError, match="6 are needed"):
        choose_prompts(chat_folder / "instructions", 6, 0)


def test_vllm_is_asked_for_where_it_is_missing(answer_job: AnswerJob) -> None:
    with pytest.raises(UserError, match="envs/vllm"):
        answer(dataclasses.replace(answer_job, backend="vllm"))


def test_kept_answers_may_hold_line_separators(tmp_path: Path) -> None:
    Progress(tmp_path / "kept.jsonl").add({0: "a\u2028b", 1: "c\x85d"})
    with open(tmp_path / "kept.jsonl", "ab") as file:
        file.write('[2, "не'.encode()[:-1])  # killed within a letter
    kept = Progress(tmp_path / "kept.jsonl")
    assert [kept.get(n) for n in range(3)] == ["a\u2028b", "c\x85d", None]
