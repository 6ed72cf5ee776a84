"""Evaluation jobs: the files they publish, resuming, jobs by parts, refused jobs."""

import dataclasses
import gzip
import json
import re
import shutil
from pathlib import Path

import pytest
from darumeru.specs import GROUPS, SPECS
from fixtures.darumeru import TEMPLATE
from fixtures.evaluation import LENGTHS, files, make_job, table
from lep.config import UserError
from lep.evaluation import evaluate
from lep.evaluation.harness import EvaluateJob, engine
from lep.manifest import read_manifest, verify

ENGINE = engine("hf")


def test_rows_of_the_table(finished: EvaluateJob) -> None:
    rows = [row for row in table(finished) if row["metric"] == "score" and row["model"] == "llama/base"]
    assert [row["name"] for row in rows] == [*SPECS, *GROUPS, "micro_avg"]
    assert [row["level"] for row in rows] == ["task"] * 17 + ["group"] * 5 + ["micro"]
    score = {row["name"]: float(row["value"]) for row in rows}
    for group, tasks in GROUPS.items():
        assert score[group] == pytest.approx(sum(score[task] for task in tasks) / len(tasks), abs=2e-6)
    assert score["micro_avg"] == pytest.approx(sum(score[task] for task in SPECS) / 17, abs=2e-6)
    for row in rows:
        assert float(row["low"]) <= float(row["value"]) + 1e-6
        assert float(row["value"]) <= float(row["high"]) + 1e-6
    by_name = {row["name"]: row for row in rows}
    assert by_name["parus"]["n"] == "8"
    assert by_name["use"]["n"] == "52"
    assert by_name["rummlu"]["chance"] == "0.250000"
    assert (by_name["treeway_extractive"]["shots"], by_name["rcb"]["shots"]) == ("0", "2")
    assert {row["step"] for row in table(finished) if row["model"] == "llama/extended/cpt-050"} == {"50"}
    assert {row["step"] for row in rows} == {""}
    assert {row["engine"] for row in rows} == {ENGINE}
    assert re.fullmatch(r"transformers 5[\d.]+, torch 2[\d.]+, lm_eval 0[\d.]+", ENGINE)
    assert "symbols_per_token" in {row["metric"] for row in table(finished) if row["name"] == "cp_para_ru"}


def test_the_output_verifies_and_names_no_place(finished: EvaluateJob, places: dict[str, Path]) -> None:
    manifest = verify(finished.output)
    assert manifest["seed"] == 42
    for name, content in files(finished).items():
        text = gzip.decompress(content) if name.endswith(".gz") else content
        assert str(places["root"]).encode() not in text, name


def test_two_runs_give_the_same_bytes(places: dict[str, Path]) -> None:
    jobs = [make_job(places, run) for run in ("one", "two")]
    for job in jobs:
        evaluate.evaluate(job)
    assert files(jobs[0]) == files(jobs[1])
    assert not [row for row in table(jobs[0]) if row["level"] == "micro"]  # of some tasks there is no Micro-Avg
    assert [row["name"] for row in table(jobs[0]) if row["level"] == "group"] == ["daru_copy_en"] * 2


def part_jobs(places: dict[str, Path], run: str, **changes: object) -> list[EvaluateJob]:
    """One job for each model and group of tasks of a whole job."""
    whole = make_job(places, run, **changes)
    return [
        dataclasses.replace(
            whole,
            models=[model],
            tasks=[task for task in tasks if task in whole.tasks],
            work=f"{whole.work}/{number}/{group}",
            output=f"{whole.output}-parts/{number}/{group}",
        )
        for number, model in enumerate(whole.models)
        for group, tasks in GROUPS.items()
        if set(tasks) & set(whole.tasks)
    ]


def test_jobs_by_model_and_group_give_the_same_bytes(places: dict[str, Path]) -> None:
    whole, joined = make_job(places, "unsplit"), make_job(places, "split")
    evaluate.evaluate(whole)
    jobs = part_jobs(places, "split")
    assert len(jobs) == 6  # two models; tasks of three groups
    for job in jobs:
        evaluate.evaluate(job)
    parts = [Path(job.output) for job in jobs]
    evaluate.evaluate(joined, parts)
    assert files(joined) == files(whole)
    with pytest.raises(UserError, match=r"no part has the answers of llama/extended/cpt-050 to cp_sent_en, cp_para_en"):
        evaluate.evaluate(joined, parts[:-1])
    with pytest.raises(UserError, match="was evaluated with other settings"):
        evaluate.evaluate(dataclasses.replace(joined, shots=1), parts)


def test_a_sampled_run_can_be_repeated(places: dict[str, Path]) -> None:
    generation = {"do_sample": True, "temperature": 1.0, "top_k": 40, "top_p": 0.9, "max_new_tokens": LENGTHS}
    jobs = [make_job(places, run, tasks=["multiq"], generation=generation) for run in ("s1", "s2")]
    greedy = make_job(places, "s3", tasks=["multiq"])
    for job in [*jobs, greedy]:
        evaluate.evaluate(job)
    assert files(jobs[0]) == files(jobs[1])
    assert files(jobs[0])["samples.jsonl.gz"] != files(greedy)["samples.jsonl.gz"]


def test_a_killed_job_goes_on_with_the_next_model(places: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(places, "killed", tasks=["rwsd"])
    whole = make_job(places, "whole", tasks=["rwsd"])
    evaluate.evaluate(whole)
    run = evaluate._run
    asked = []

    def dying(settings: EvaluateJob, model: evaluate.Model) -> dict:
        asked.append(model.name)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return run(settings, model)

    monkeypatch.setattr(evaluate, "_run", dying)
    with pytest.raises(KeyboardInterrupt):
        evaluate.evaluate(job)
    assert not Path(job.output).exists()
    evaluate.evaluate(job)
    assert asked == ["llama/base", "llama/extended/cpt-050", "llama/extended/cpt-050"]
    assert files(job) == files(whole)
    evaluate.evaluate(dataclasses.replace(job, shots=1))  # another question: nothing that was kept is used
    assert asked[3:] == ["llama/base", "llama/extended/cpt-050"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": ["rcv"]}, "unknown tasks rcv"),
        ({"tasks": []}, "no task"),
        ({"tasks": ["rcb", "rcb"]}, "rcb twice"),
        ({"models": []}, "no model"),
        ({"models": [{"name": "x", "path": "nowhere"}]}, "nowhere has no config.json"),
        ({"bootstrap_draws": 0}, "1 or more"),
        ({"max_model_tokens": -1}, "max_model_tokens 0 or more"),
        ({"generation": {"max_new_tokens": {"rcv": 3}}}, r"max_new_tokens: unknown tasks rcv"),
        ({"data": "nowhere"}, "nowhere/rwsd/test.jsonl does not exist"),
        ({"surprise": 1}, "surprise"),
        ({"generation": {"beams": 2}}, "beams"),
    ],
)
def test_refused_jobs(places: dict[str, Path], changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        evaluate.evaluate(make_job(places, "refused", **changes))


def test_manifest_says_how_the_models_were_asked(finished: EvaluateJob, places: dict[str, Path]) -> None:
    manifest = read_manifest(finished.output)
    names = ("llama/base", "llama/extended/cpt-050")
    nothing = {name: {} for name in names}
    shots = {task: 0 if task == "treeway_extractive" else 2 for task in SPECS}
    assert manifest["facts"] == {
        "shots": dict.fromkeys(names, shots), "versions": dict.fromkeys(names, dict.fromkeys(SPECS, 2.0)),
        "dropped_shots": nothing, "cut_prompts": nothing, "template_hash": dict.fromkeys(names),
        "engine": dict.fromkeys(names, ENGINE),
    }  # fmt: skip
    config = manifest["config"]
    assert config["generation"] == {"do_sample": False, "max_new_tokens": LENGTHS}
    assert (config["backend"], config["dtype"], config["batch_size"], config["shots"]) == ("hf", "float32", 4, 2)
    run = json.loads((Path(finished.output) / "run.json").read_text())
    assert all(run["versions"][name] for name in ("torch", "transformers", "tokenizers", "lm_eval", "pymorphy3"))
    assert {(row["task_version"], len(row["prompt_hash"])) for row in table(finished) if row["level"] == "task"} == {
        ("2.0", 16)
    }


def test_the_chat_template_leaves_its_hash(places: dict[str, Path]) -> None:
    models = [{"name": "x", "path": str(places["a"])}]
    job = make_job(places, "chat", tasks=["rwsd"], chat=True, shots=0, models=models)
    evaluate.evaluate(job)
    other = places["root"] / "other_template"
    shutil.copytree(places["a"], other)
    (other / "chat_template.jinja").write_text(TEMPLATE.replace(" | trim", ""))
    again = make_job(places, "chat2", tasks=["rwsd"], chat=True, shots=0, models=[{"name": "x", "path": str(other)}])
    evaluate.evaluate(again)
    hashes = [read_manifest(j.output)["facts"]["template_hash"]["x"] for j in (job, again)]
    assert hashes[0] != hashes[1]
    assert all(len(value) == 16 for value in hashes)
