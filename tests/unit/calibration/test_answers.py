"""Answers and judges: batching changes nothing, a kill loses nothing, a judge that misbehaves is survived."""

import dataclasses
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import lep.models.generation
import pytest
import torch
from fixtures.training import write_model
from lep.calibration.answers import AnswerJob, Progress, answer, choose_prompts
from lep.calibration.judge import JudgeSettings, grade, grade_by_endpoint, grade_by_rules, parse_grade
from lep.config import UserError
from lep.evaluation.sample_answers import SampledFamily, SampledModel, SampleJob, sample
from lep.manifest import publish, staging, verify
from lep.models.chat import encode_prompt, end_of_turn_ids
from lep.models.folder import load_tokenizer
from lep.models.generation import greedy_answers
from lep.models.store import load_model

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

    monkeypatch.setattr(lep.models.generation, "greedy_answers", dying)
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


SLOW, CUT = -1, -2
PATIENCE = 0.2  # seconds


@pytest.fixture
def server() -> Iterator[tuple[str, list, list]]:
    """A stub of an OpenAI-compatible endpoint: plays back (status, body, headers), records requests.

    Status 0 breaks the connection, CUT cuts the body off, SLOW answers too late. The last entry is repeated.
    """
    script: list[tuple] = []
    seen: list[dict] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            status, body, *headers = script.pop(0) if len(script) > 1 else script[0]
            if status == SLOW:
                time.sleep(2 * PATIENCE)
            if status in (0, SLOW):
                self.connection.close()
                return
            self.send_response(200 if status == CUT else status)
            self.send_header("Content-Length", str(len(body.encode()) + (status == CUT)))
            for name, value in headers:
                self.send_header(name, value)
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


def settings(endpoint: str, attempts: int, **values) -> JudgeSettings:
    return JudgeSettings("openai", endpoint, "judge-70b", attempts=attempts, timeout_seconds=PATIENCE, **values)


def test_a_judge_with_troubles(server) -> None:
    """Rate limit, error, time-out, broken connection, body cut off, no JSON, no grade: then a grade."""
    endpoint, script, seen = server
    script += [(429, ""), (503, ""), (SLOW, ""), (0, ""), (CUT, "{"), (200, "no json"), (200, "[]"), reply("не знаю")]
    script += [reply("Оценка: 4")]
    pauses: list[float] = []
    assert grade_by_endpoint("вопрос?", "ответ", settings(endpoint, 9), pauses.append) == 4
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 120]
    assert seen[0]["model"] == "judge-70b"
    assert seen[0]["temperature"] == 0
    assert "вопрос?" in seen[0]["messages"][0]["content"]


def test_a_rate_limit_says_how_long_to_wait(server) -> None:
    endpoint, script, _ = server
    script += [(429, "", ("Retry-After", "7")), (429, "", ("Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT")), reply("5")]
    pauses: list[float] = []
    assert grade_by_endpoint("q", "a", settings(endpoint, 3), pauses.append) == 5
    assert pauses == [7, 2]


def test_retries_are_bounded(server) -> None:
    endpoint, script, seen = server
    patient = settings(endpoint, 3)
    script[:] = [reply("хм")]
    assert grade_by_endpoint("q", "a", patient, lambda _: None) is None
    assert len(seen) == 3
    script[:] = [(500, "")]
    with pytest.raises(UserError, match="HTTP 500; the grades so far are kept"):
        grade_by_endpoint("q", "a", patient, lambda _: None)
    assert len(seen) == 6
    script[:] = [(401, "")]
    with pytest.raises(UserError, match="check key and model"):
        grade_by_endpoint("q", "a", patient, lambda _: None)
    assert len(seen) == 7
    script[:] = [(0, "")]
    with pytest.raises(UserError, match="did not answer in 3 attempts"):
        grade_by_endpoint("q", "a", patient, lambda _: None)


def test_grades_are_kept_when_the_judge_fails(job: AnswerJob, server) -> None:
    endpoint, script, seen = server
    judged = dataclasses.replace(job, judge=settings(endpoint, 1, parallel=1))
    script[:] = [reply("5"), reply("4"), (500, "")]
    with pytest.raises(UserError, match="HTTP 500"):
        answer(judged)
    assert len(seen) == 3  # after the failure nothing more is asked
    script[:] = [reply("3")]
    answer(judged)
    assert len(seen) == 3 + 3
    records = [json.loads(line) for line in (job.output / "answers.jsonl").read_text().splitlines()]
    assert sorted(r["grade"] for r in records) == [3, 3, 3, 4, 5]


def test_several_questions_at_a_time(server) -> None:
    endpoint, script, seen = server
    script[:] = [reply("2"), (429, "", ("Retry-After", "0")), reply("2")]
    pairs = {index: (f"вопрос {index}", "ответ") for index in range(20)}
    patient = settings(endpoint, 2, parallel=4, first_pause_seconds=0)
    assert dict(grade(pairs, patient, done={3, 5})) == {index: 2 for index in pairs if index not in (3, 5)}
    assert len(seen) == 18 + 1


def write_judge(source: Path, target: Path) -> None:
    """A model that says "5" and ends its turn: its next token depends on the last one alone."""
    model, tokenizer = load_model(source, "float32"), load_tokenizer(source)
    last = encode_prompt(tokenizer, [{"role": "user", "content": "a"}])[-1]
    five, end = tokenizer("5", add_special_tokens=False)["input_ids"][-1], tokenizer.convert_tokens_to_ids("<|eot_id|>")
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        for matrix, rows in ((model.model.embed_tokens, (last, five)), (model.lm_head, (five, end))):
            matrix.weight.zero_()
            matrix.weight[:, -1] = 0.1
            for axis, row in enumerate(rows):
                matrix.weight[row, axis] = 1.0
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def test_a_judge_in_a_folder(job: AnswerJob, material: Path, tmp_path: Path) -> None:
    write_judge(material / "model", tmp_path / "judge")
    judge = JudgeSettings("local", model=str(tmp_path / "judge"), parallel=2)
    answer(dataclasses.replace(job, judge=judge))
    records = [json.loads(line) for line in (job.output / "answers.jsonl").read_text().splitlines()]
    assert [r["grade"] for r in records] == [5] * 5
    assert dict(grade({7: ("q", "a")}, judge, done={7})) == {}


def test_a_judge_needs_an_address() -> None:
    with pytest.raises(UserError, match="`model`"):
        grade({}, JudgeSettings("openai"))
    with pytest.raises(UserError, match="endpoint"):
        grade({}, JudgeSettings("openai", "host:8000", "m"))


def test_vllm_is_asked_for_where_it_is_missing(job: AnswerJob) -> None:
    with pytest.raises(UserError, match="envs/vllm"):
        answer(dataclasses.replace(job, backend="vllm"))


def test_samples_of_figure_3(material: Path, tmp_path: Path) -> None:
    models = [
        SampledModel(name, material / "model", label) for name, label in (("a/instruct", "original"), ("a/b", "LEP"))
    ]
    values = {"output": tmp_path / "samples.jsonl", "max_new_tokens": 4, "threads": 1, "seed": 1, "device": "cpu"}
    sample(
        SampleJob(
            [SampledFamily("a", models)], instructions=material / "instructions", drawn=2, dtype="float32", **values
        )
    )
    lines = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert [line["prompt"] for line in lines] == [
        p[-1]["content"] for p in choose_prompts(material / "instructions", 2, 1)
    ]
    assert [(a["model"], a["label"]) for a in lines[0]["answers"]] == [("a/instruct", "original"), ("a/b", "LEP")]
    assert lines[0]["answers"][0]["text"] == lines[0]["answers"][1]["text"]
