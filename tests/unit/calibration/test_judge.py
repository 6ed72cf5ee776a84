"""Judges: grades in any wording; troubles of an endpoint are survived, its misbehaviour is refused; a folder."""

import dataclasses
import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from fixtures.judge import BREAK, CUT, HTML, SECRET, SILENT, JudgeStub, reply, serving, settings
from lep.calibration.endpoint_judge import grades_by_endpoint, probe
from lep.calibration.grades import GradeJob, give_grades
from lep.calibration.grading import JudgeSettings, grade_by_rules, parse_grade
from lep.calibration.judge import grade
from lep.config import UserError
from lep.fetch.endpoint import KEY_VARIABLE, ChatEndpoint
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


@pytest.fixture
def stub() -> Iterator[JudgeStub]:
    with serving() as found:
        yield found


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, SECRET)


def asked(stub: JudgeStub, attempts: int, **values) -> tuple[int | str, list[float]]:
    """The grade, or the reason why there is none, and the pauses before further attempts."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    patient = settings(stub, attempts, first_pause_seconds=1, **values)
    endpoint = ChatEndpoint(patient.endpoint, patient.model, patient.timeout_seconds)
    ((_, found),) = grades_by_endpoint({0: ("вопрос?", "ответ")}, endpoint, patient, pause)
    return found, pauses


def test_a_judge_with_troubles(stub: JudgeStub) -> None:
    """Rate limit, error, time-out, broken connection, body cut off, no JSON, no grade: then a grade."""
    troubles = [(429, ""), (503, ""), (SILENT, ""), (BREAK, ""), (CUT, "{"), (200, "no json"), (200, "[]")]
    stub.script += [*troubles, reply("не знаю"), reply("Оценка: 4")]
    assert asked(stub, 9) == (4, [1, 2, 4, 8, 16, 32, 64, 120])
    assert stub.asked[0]["model"] == "judge-70b"
    assert stub.asked[0]["temperature"] == 0
    assert "вопрос?" in stub.asked[0]["messages"][0]["content"]
    assert set(stub.keys) == {f"Bearer {SECRET}"}


def test_a_rate_limit_says_how_long_to_wait(stub: JudgeStub) -> None:
    date = ("Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT")
    stub.script += [(429, "", ("Retry-After", "7")), (429, "", date), (429, "", ("Retry-After", "nan")), reply("5")]
    assert asked(stub, 4) == (5, [7, 2, 4])


def test_few_failures_are_left_out(stub: JudgeStub) -> None:
    """Of 20 answers one may fail at 5 %, not two."""
    pairs = dict.fromkeys(range(20), ("q", "a"))
    stub.script[:] = [reply("хм"), reply("5")]
    found = dict(grade(pairs, settings(stub, parallel=1, maximum_failed_share=0.05)))
    assert found == dict.fromkeys(range(1, 20), 5)
    stub.script[:] = [reply("хм"), reply("хм"), reply("5")]
    with pytest.raises(
        UserError, match=r"no grade to 2 of 20 answers \(a reply without a grade: 2\), more than .*0\.05"
    ):
        list(grade(pairs, settings(stub, parallel=1, maximum_failed_share=0.05)))


def test_grades_are_kept_and_failures_are_not(grade_job: GradeJob, stub: JudgeStub) -> None:
    judged = dataclasses.replace(grade_job, judge=settings(stub, parallel=1))
    stub.script[:] = [reply("5"), reply("5"), reply("4"), (500, "")]  # the first is the probe
    with pytest.raises(UserError, match="HTTP 500"):
        give_grades(judged)
    assert len(stub.asked) == 4  # after the failure nothing more is asked
    assert not judged.output.exists()
    # An answer without a grade is published as such if few are; after mending, it alone is asked again.
    stub.script[:] = [reply("3"), reply("хм"), reply("3")]
    lenient = dataclasses.replace(judged, judge=settings(stub, parallel=1, maximum_failed_share=0.2))
    give_grades(lenient)
    assert sorted(map(str, graded(judged))) == ["3", "3", "4", "5", "None"]
    stub.asked.clear()
    stub.script[:] = [reply("2")]
    give_grades(judged)
    assert len(stub.asked) == 2
    assert sorted(graded(judged)) == [2, 3, 3, 4, 5]
    stub.asked.clear()
    give_grades(dataclasses.replace(judged, judge=dataclasses.replace(judged.judge, endpoint="http://moved:1/v1")))
    assert not stub.asked  # all is graded: the judge need not be there


def graded(job: GradeJob) -> list[int | None]:
    lines = (job.output / "grades.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["grade"] for line in lines]


def test_the_stand_in_gives_the_same_grades_as_its_rules(grade_job: GradeJob) -> None:
    """One line per answer, in their order: what the calibration data are made of."""
    give_grades(grade_job)
    answers = [json.loads(line) for line in (grade_job.answers / "answers.jsonl").read_text().splitlines()]
    lines = [json.loads(line) for line in (grade_job.output / "grades.jsonl").read_text().splitlines()]
    assert lines == [a | {"grade": grade_by_rules(a["messages"][-1]["content"], a["answer"])} for a in answers]
    assert len(set(map(json.dumps, lines))) == 5
    shutil.rmtree(grade_job.work)
    give_grades(dataclasses.replace(grade_job, judge=JudgeSettings("stand_in", parallel=1, endpoint="http://a/v1")))
    assert [json.loads(line) for line in (grade_job.output / "grades.jsonl").read_text().splitlines()] == lines


def test_several_questions_at_a_time(stub: JudgeStub) -> None:
    stub.script[:] = [reply("2"), (429, "", ("Retry-After", "0")), reply("2")]
    pairs = {index: (f"вопрос {index} {{}}", "ответ \ud800") for index in range(20)}
    patient = settings(stub, 2, parallel=4)
    assert dict(grade(pairs, patient, done={3, 5})) == {index: 2 for index in pairs if index not in (3, 5)}
    assert len(stub.asked) == 18 + 1


def test_a_reader_that_stops_leaves_nothing_open(stub: JudgeStub) -> None:
    stub.script[:] = [reply("2"), (SILENT, "")]
    found = grade(dict.fromkeys(range(9), ("q", "a")), settings(stub, parallel=3, timeout_seconds=9))
    assert next(found)[1] == 2
    found.close()
    assert len(stub.asked) <= 4


def test_the_probe_asks_once(stub: JudgeStub) -> None:
    stub.script[:] = [reply("Оценка: 5")]
    assert probe(settings(stub)) == 5
    assert len(stub.asked) == 1
    stub.script[:] = [HTML]
    with pytest.raises(UserError, match=f"judge-70b at {stub.address} gives no grade: a web page"):
        probe(settings(stub))
    assert probe(JudgeSettings("stand_in")) is None
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(UserError, match="no connection"):
        probe(JudgeSettings("openai", address, "m", attempts=1))


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


def test_a_judge_in_a_folder(grade_job: GradeJob, chat_folder: Path, tmp_path: Path) -> None:
    write_judge(chat_folder / "model", tmp_path / "judge")
    local = JudgeSettings("local", model=str(tmp_path / "judge"), parallel=2)
    give_grades(dataclasses.replace(grade_job, judge=local))
    assert graded(grade_job) == [5] * 5
    assert dict(grade({7: ("q", "a")}, local, done={7})) == {}
    silly = JudgeSettings("local", model=str(chat_folder / "model"), parallel=2)
    with pytest.raises(UserError, match=r"no grade to 1 of 5 answers \(a reply without a grade: 1\)"):
        give_grades(dataclasses.replace(grade_job, judge=silly))


def test_a_judge_needs_a_model() -> None:
    with pytest.raises(UserError, match="`model`"):
        grade({}, JudgeSettings("openai"))
