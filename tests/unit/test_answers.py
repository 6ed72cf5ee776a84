"""Answers and judges: batching changes nothing, a kill loses nothing, a judge that misbehaves is survived."""

import dataclasses
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import lep.answers
import pytest
import torch
from lep.answers import AnswerJob, Progress, answer, choose_prompts, greedy_answers
from lep.chat import encode_prompt, end_of_turn_ids
from lep.config import UserError
from lep.judge import JudgeSettings, grade_by_endpoint, grade_by_rules, make_judge, parse_grade
from lep.manifest import publish, staging, verify
from lep.model_store import load_model, load_tokenizer
from lep.samples import SampledFamily, SampledModel, SampleJob, sample
from training_fixtures import write_model

QUESTIONS = [
    "Что было в начале?",
    "Кто сотворил небо и землю, и свет, и тьму?",
    "Где?",
    "Повтори: И стал свет.",
    "Как?",
]


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("material")
    write_model(folder / "model", QUESTIONS)
    built = staging(folder / "instructions")
    with open(built / "instructions.jsonl", "w", encoding="utf-8") as file:
        for question in QUESTIONS:
            messages = [{"role": "user", "content": question}, {"role": "bot", "content": "x"}]
            file.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")
    publish(built, folder / "instructions", recipe_version=1)
    return folder


@pytest.fixture
def job(material: Path, tmp_path: Path) -> AnswerJob:
    return AnswerJob(
        model=material / "model",
        instructions=material / "instructions",
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


def test_batches_answer_as_single_prompts_do(material: Path) -> None:
    model, tokenizer = load_model(material / "model", "float32"), load_tokenizer(material / "model")
    prompts = [encode_prompt(tokenizer, [{"role": "user", "content": question}]) for question in QUESTIONS]
    together = greedy_answers(model, tokenizer, prompts, 6)
    assert together == [greedy_answers(model, tokenizer, [prompt], 6)[0] for prompt in prompts]
    ids = list(prompts[0])  # by hand
    for _ in range(6):
        with torch.no_grad():
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] in end_of_turn_ids(tokenizer):
            break
    assert together[0] == tokenizer.decode(ids[len(prompts[0]) :], skip_special_tokens=True).strip()


def test_an_interrupted_job_loses_nothing(job: AnswerJob, monkeypatch, tmp_path: Path) -> None:
    answer(job)
    expected = verify(job.output)["files"]
    broken = dataclasses.replace(job, work=tmp_path / "work2", output=tmp_path / "output2")
    calls = []

    def dying(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return greedy_answers(*arguments)

    monkeypatch.setattr(lep.answers, "greedy_answers", dying)
    with pytest.raises(KeyboardInterrupt):
        answer(broken)
    answer(broken)
    assert len(calls) == 2 + 2  # the first batch of three was kept
    assert verify(broken.output)["files"] == expected
    records = [json.loads(line) for line in (job.output / "answers.jsonl").read_text().splitlines()]
    assert sorted(r["messages"][0]["content"] for r in records) == sorted(QUESTIONS)
    assert all(1 <= r["grade"] <= 5 for r in records)


def test_long_prompts_get_no_answer(job: AnswerJob) -> None:
    answer(dataclasses.replace(job, max_prompt_tokens=1))
    records = [json.loads(line) for line in (job.output / "answers.jsonl").read_text().splitlines()]
    assert {(r["answer"], r["grade"]) for r in records} == {("", 1)}


def test_progress_drops_a_line_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    Progress(path).add({0: "а", 1: "б"})
    with open(path, "a") as file:
        file.write('[2, "cut')
    again = Progress(path)
    again.add({2: "в"})
    assert [Progress(path)[i] for i in range(3)] == ["а", "б", "в"]


def test_prompts_differ_and_are_enough(material: Path) -> None:
    chosen = choose_prompts(material / "instructions", 3, 0)
    assert len({json.dumps(c) for c in chosen}) == 3
    assert all(c[-1]["role"] == "user" for c in chosen)
    with pytest.raises(UserError, match="6 are wanted"):
        choose_prompts(material / "instructions", 6, 0)


@pytest.mark.parametrize(
    ("reply", "grade"),
    [
        ("Оценка: 4", 4),
        ("**Оценка:** 5", 5),
        ("3", 3),
        (" 4/5 ", 4),
        ("4 из 5", 4),
        ("Grade: 2. The answer has 12 words.", 2),
        ("Оценка: 3\nпосле исправления Оценка: 4", 4),
        ("Оценка: 4.0", 4),
        ("Оценка: 4.5", None),
        ("Оценка: 10", None),
        ("0", None),
        ("7", None),
        ("от 1 до 5", None),
        ("хорошо", None),
        ("", None),
    ],
)
def test_parse_grade(reply: str, grade: int | None) -> None:
    assert parse_grade(reply) == grade


def test_the_stand_in_judge_ranks() -> None:
    question = "Кто сотворил небо и землю?"
    assert grade_by_rules(question, "Небо и землю сотворил Бог.") == 5
    assert grade_by_rules(question, "") == 1
    assert grade_by_rules(question, "Heaven and earth") == 3
    assert grade_by_rules(question, "небо небо небо небо небо небо") == 4
    assert grade_by_rules(question, "ля ля ля ля ля ля") == 3
    assert grade_by_rules("Какого слова не хватает?\nA. да\nB. нет", "Ответ: B") == 5


@pytest.fixture
def server() -> Iterator[tuple[str, list, list]]:
    """A stub of an OpenAI-compatible endpoint: plays back (status, body), records requests."""
    script: list[tuple[int, str]] = []
    seen: list[dict] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            status, body = script.pop(0) if len(script) > 1 else script[0]
            if status == 0:
                self.connection.close()
                return
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *arguments) -> None:
            pass

    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{found.server_port}/v1", script, seen
    found.shutdown()


def reply(text: str) -> tuple[int, str]:
    return 200, json.dumps({"choices": [{"message": {"content": text}}]})


def test_a_judge_with_troubles(server) -> None:
    endpoint, script, seen = server
    settings = JudgeSettings("openai", endpoint, "judge-70b", attempts=5, timeout_seconds=5)
    pauses: list[float] = []
    script += [(429, ""), (503, ""), (200, "no json"), reply("не знаю"), reply("Оценка: 4")]
    assert grade_by_endpoint("вопрос?", "ответ", settings, pauses.append) == 4
    assert pauses == [1, 2, 4, 8]
    assert seen[0]["model"] == "judge-70b"
    assert seen[0]["temperature"] == 0
    assert "вопрос?" in seen[0]["messages"][0]["content"]


def test_retries_are_bounded(server) -> None:
    endpoint, script, seen = server
    settings = JudgeSettings("openai", endpoint, "m", attempts=3, timeout_seconds=5)
    script[:] = [reply("хм")]
    assert grade_by_endpoint("q", "a", settings, lambda _: None) is None
    assert len(seen) == 3
    script[:] = [(500, "")]
    with pytest.raises(UserError, match="HTTP 500; the grades so far are kept"):
        grade_by_endpoint("q", "a", settings, lambda _: None)
    assert len(seen) == 6
    script[:] = [(401, "")]
    with pytest.raises(UserError, match="check key and model"):
        grade_by_endpoint("q", "a", settings, lambda _: None)
    assert len(seen) == 7
    script[:] = [(0, "")]
    with pytest.raises(UserError, match="did not answer in 3 attempts"):
        grade_by_endpoint("q", "a", settings, lambda _: None)


def test_grades_are_kept_when_the_judge_fails(job: AnswerJob, server) -> None:
    endpoint, script, seen = server
    judged = dataclasses.replace(job, judge=JudgeSettings("openai", endpoint, "m", attempts=1, timeout_seconds=5))
    script[:] = [reply("5"), reply("4"), (500, "")]
    with pytest.raises(UserError, match="HTTP 500"):
        answer(judged)
    script[:] = [reply("3")]
    answer(judged)
    assert len(seen) == 3 + 3
    records = [json.loads(line) for line in (job.output / "answers.jsonl").read_text().splitlines()]
    assert sorted(r["grade"] for r in records) == [3, 3, 3, 4, 5]


def test_a_judge_needs_an_address() -> None:
    with pytest.raises(UserError, match="endpoint"):
        make_judge(JudgeSettings("openai"))


def test_samples_of_figure_3(material: Path, tmp_path: Path) -> None:
    models = [
        SampledModel(name, material / "model", label) for name, label in (("a/instruct", "original"), ("a/b", "LEP"))
    ]
    values = {"output": tmp_path / "samples.jsonl", "max_new_tokens": 4, "threads": 1, "seed": 1, "device": "cpu"}
    sample(
        SampleJob(
            [SampledFamily("a", models)],
            ["Где?"],
            dtype="float32",
            instructions=material / "instructions",
            drawn=2,
            **values,
        )
    )
    lines = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert len(lines) == 3
    assert lines[0]["prompt"] == "Где?"
    assert [(a["model"], a["label"]) for a in lines[0]["answers"]] == [("a/instruct", "original"), ("a/b", "LEP")]
    assert lines[0]["answers"][0]["text"] == lines[0]["answers"][1]["text"]
