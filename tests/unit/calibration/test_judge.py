"""Judges: grades in any wording, a judge that misbehaves is survived, a judge in a folder."""

import dataclasses
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from lep.calibration.answers import AnswerJob, answer
from lep.calibration.judge import JudgeSettings, grade, grade_by_endpoint, grade_by_rules, parse_grade
from lep.config import UserError
from lep.models.chat import encode_prompt
from lep.models.folder import load_tokenizer
from lep.models.store import load_model


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
    threading.Thread(target=found.serve_forever, args=(0.02,), daemon=True).start()
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


def test_grades_are_kept_when_the_judge_fails(answer_job: AnswerJob, server) -> None:
    endpoint, script, seen = server
    judged = dataclasses.replace(answer_job, judge=settings(endpoint, 1, parallel=1))
    script[:] = [reply("5"), reply("4"), (500, "")]
    with pytest.raises(UserError, match="HTTP 500"):
        answer(judged)
    assert len(seen) == 3  # after the failure nothing more is asked
    script[:] = [reply("3")]
    answer(judged)
    assert len(seen) == 3 + 3
    records = [json.loads(line) for line in (answer_job.output / "answers.jsonl").read_text().splitlines()]
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


def test_a_judge_in_a_folder(answer_job: AnswerJob, chat_folder: Path, tmp_path: Path) -> None:
    write_judge(chat_folder / "model", tmp_path / "judge")
    judge = JudgeSettings("local", model=str(tmp_path / "judge"), parallel=2)
    answer(dataclasses.replace(answer_job, judge=judge))
    records = [json.loads(line) for line in (answer_job.output / "answers.jsonl").read_text().splitlines()]
    assert [r["grade"] for r in records] == [5] * 5
    assert dict(grade({7: ("q", "a")}, judge, done={7})) == {}


def test_a_judge_needs_an_address() -> None:
    with pytest.raises(UserError, match="`model`"):
        grade({}, JudgeSettings("openai"))
    with pytest.raises(UserError, match="endpoint"):
        grade({}, JudgeSettings("openai", "host:8000", "m"))
