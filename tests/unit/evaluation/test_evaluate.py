"""Evaluation jobs: the files they publish, resuming, refused jobs; comparison of two models."""

import csv
import dataclasses
import gzip
import json
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from darumeru.specs import GROUPS, PREFIX, SPECS
from fixtures.darumeru import TEMPLATE, write_benchmark, write_model
from lep import compare
from lep.config import UserError, parse_job
from lep.evaluation import evaluate, harness
from lep.files import write_json
from lep.manifest import read_manifest, verify

LENGTHS = {"default": 6}
LINE = ("model", "task", "item", "value", "question", "prompt", "target", "output")
SMALL = ["rwsd", "parus", "multiq", "treeway_extractive", "cp_sent_en", "cp_para_en"]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("evaluate")
    return {
        "root": root,
        "a": write_model(root / "a", 0),
        "b": write_model(root / "b", 1),
        "data": write_benchmark(root / "benchmark"),
    }


def make_job(places: dict[str, Path], run: str, **changes: object) -> evaluate.EvaluateJob:
    values = {
        "models": [
            {"name": "llama/base", "path": str(places["a"])},
            {"name": "llama/extended/cpt-050", "path": str(places["b"]), "step": 50},
        ],
        "tasks": SMALL, "shots": 2, "chat": False, "data": str(places["data"]), "limit": 4, "batch_size": 4,
        "dtype": "float32", "device": "cpu", "threads": 1, "seed": 42, "bootstrap_draws": 200,
        "recipe_version": evaluate.RECIPE_VERSION,
        "generation": {"do_sample": False, "max_new_tokens": LENGTHS},
        "work": str(places["root"] / run / "work"), "output": str(places["root"] / run / "out"),
    }  # fmt: skip
    return parse_job(evaluate.EvaluateJob, values | changes, "test")


def table(job: evaluate.EvaluateJob) -> list[dict]:
    with open(Path(job.output) / "scores.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def files(job: evaluate.EvaluateJob) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in Path(job.output).iterdir() if p.name != "run.json"}


@pytest.fixture(scope="module")
def finished(places: dict[str, Path]) -> evaluate.EvaluateJob:
    """A job of all tasks in the product's own process, as a rule runs it."""
    job = make_job(places, "first", tasks=list(SPECS), limit=None)
    write_json(places["root"] / "job.json", dataclasses.asdict(job))
    command = [sys.executable, "-m", "lep.evaluation.evaluate", "--config", str(places["root"] / "job.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return job


def test_rows_of_the_table(finished: evaluate.EvaluateJob) -> None:
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
    assert "symbols_per_token" in {row["metric"] for row in table(finished) if row["name"] == "cp_para_ru"}


def test_samples_hold_what_the_scores_are_made_of(finished: evaluate.EvaluateJob) -> None:
    samples = compare.load_samples(Path(finished.output) / "samples.jsonl.gz")
    assert list(samples) == ["llama/base", "llama/extended/cpt-050"]
    assert list(samples["llama/base"]) == list(SPECS)
    with gzip.open(Path(finished.output) / "samples.jsonl.gz", "rt", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    assert all(set(line) == set(LINE) for line in lines)
    ranked = next(line for line in lines if line["task"] == "treeway_extractive")
    assert ranked["output"].startswith("Предложение")
    first = next(line for line in lines if line["task"] == "rwsd")
    assert first["question"] == "Кот 0 спал. Он ел. «Он» - «Кот»?"
    assert first["prompt"].endswith("Кот 0 спал. Он ел. «Он» - «Кот»?\nОтвет:")
    assert first["output"] in ("Да", "Нет")


def test_the_output_verifies_and_names_no_place(finished: evaluate.EvaluateJob, places: dict[str, Path]) -> None:
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


def part_jobs(places: dict[str, Path], run: str, **changes: object) -> list[evaluate.EvaluateJob]:
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
    with pytest.raises(
        UserError, match=r"no part holds the answers of llama/extended/cpt-050 to cp_sent_en, cp_para_en"
    ):
        evaluate.evaluate(joined, parts[:-1])
    with pytest.raises(UserError, match="was asked with other settings"):
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

    def dying(settings: evaluate.EvaluateJob, model: evaluate.Model) -> dict:
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


def test_a_calibrated_model_is_merged_first(places: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from lep.models import adapter

    folder = places["root"] / "calibrated"
    (folder / "adapter").mkdir(parents=True)
    (folder / "adapter" / "adapter_config.json").write_text("{}")
    monkeypatch.setattr(
        adapter, "merge", lambda source, target: shutil.copytree(places["b"], target, dirs_exist_ok=True)
    )
    models = [{"name": "plain", "path": str(places["b"])}, {"name": "merged", "path": str(folder)}]
    job = make_job(places, "merged", tasks=["rwsd", "multiq"], models=models)
    evaluate.evaluate(job)
    samples = compare.load_samples(Path(job.output) / "samples.jsonl.gz")
    assert samples["plain"] == samples["merged"]
    assert not list(Path(job.work).glob("merged-*"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": ["rcv"]}, "unknown tasks rcv"),
        ({"tasks": []}, "no task"),
        ({"tasks": ["rcb", "rcb"]}, "named twice"),
        ({"models": []}, "no model"),
        ({"models": [{"name": "x", "path": "nowhere"}]}, "nowhere holds no model"),
        ({"bootstrap_draws": 0}, "1 or more"),
        ({"max_model_tokens": -1}, "max_model_tokens 0 or more"),
        ({"generation": {"max_new_tokens": {"rcv": 3}}}, r"max_new_tokens names rcv"),
        ({"data": "nowhere"}, "nowhere/rwsd/test.jsonl does not exist"),
        ({"surprise": 1}, "surprise"),
        ({"generation": {"beams": 2}}, "beams"),
    ],
)
def test_refused_jobs(places: dict[str, Path], changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        evaluate.evaluate(make_job(places, "refused", **changes))


@pytest.mark.parametrize(("given", "context"), [(0, 1024), (512, 512)])
def test_the_model_sets_its_own_limit_unless_told(places: dict[str, Path], given: int, context: int) -> None:
    job = make_job(places, "limits", max_model_tokens=given, max_prompt_tokens=100)
    one = harness.load_tasks(places["a"], job)["tasks"][PREFIX + "cp_para_en"]
    assert harness.load_lm(places["a"], job).max_length == one.context == context
    assert one.max_prompt_tokens == 100


def test_chat_needs_a_template(places: dict[str, Path]) -> None:
    bare = places["root"] / "bare"
    shutil.copytree(places["a"], bare)
    (bare / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match=r"no chat template; add chat_template\.jinja"):
        evaluate.evaluate(make_job(places, "bare", chat=True, models=[{"name": "x", "path": str(bare)}]))


def task_values(*right: int) -> list[dict]:
    return [{"item": str(i), "gold": 1, "pred": r} for i, r in enumerate(right)]


def test_paired_difference_by_hand() -> None:
    a, b = {"rwsd": task_values(*[0] * 100)}, {"rwsd": task_values(*[1] * 30, *[0] * 70)}
    difference, low, high = compare.paired_difference(a, b, "rwsd", 2000, 1)
    assert difference == pytest.approx(0.3)
    assert low == pytest.approx(0.3 - 1.96 * 0.0458, abs=0.015)
    assert high == pytest.approx(0.3 + 1.96 * 0.0458, abs=0.015)
    assert compare.paired_difference(b, a, "rwsd", 2000, 1) == pytest.approx((-difference, -high, -low))


def test_pairing_takes_the_items_out_of_the_difference() -> None:
    """Two models that fail on the same items differ by nothing, however hard the items are."""
    rows = {"rwsd": task_values(*[0, 1] * 20)}
    assert compare.paired_difference(rows, rows, "rwsd", 200, 1) == (0.0, 0.0, 0.0)


def test_group_difference_is_the_mean_of_its_tasks(finished: evaluate.EvaluateJob) -> None:
    a, b = compare.load_samples(Path(finished.output) / "samples.jsonl.gz").values()
    scores = {row["model"]: {} for row in table(finished)}
    for row in table(finished):
        if row["metric"] == "score":
            scores[row["model"]][row["name"]] = float(row["value"])
    first, second = scores.values()
    for name in ("micro_avg", "daru_mera", "cp_sent_en"):
        difference, low, high = compare.paired_difference(a, b, name, 200, 42)
        assert difference == pytest.approx(second[name] - first[name], abs=3e-6)
        assert low <= difference <= high


def test_refused_comparisons(tmp_path: Path) -> None:
    a = {"rwsd": task_values(1, 0)}
    with pytest.raises(UserError, match="unknown metric 'rwds'; use one of micro_avg, daru_mmlu"):
        compare.paired_difference(a, a, "rwds")
    with pytest.raises(UserError, match="different items"):
        compare.paired_difference(a, {"rwsd": task_values(1, 0, 1)}, "rwsd")
    with pytest.raises(UserError, match="not evaluated for both"):
        compare.paired_difference(a, {}, "rwsd")
    with pytest.raises(UserError, match="does not exist"):
        compare.load_samples(tmp_path / "none.gz")
    (tmp_path / "text").write_text("text")
    with pytest.raises(UserError, match=r"no samples\.jsonl\.gz"):
        compare.load_samples(tmp_path / "text")


def compared(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "lep.compare", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_command_line_of_compare(finished: evaluate.EvaluateJob) -> None:
    """Folder or file, the model by its name or the last part of it; every score that both have, or those asked for."""
    done = compared(f"{finished.output}:llama/base", f"{finished.output}/samples.jsonl.gz:cpt-050")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["A = llama/base", "B = llama/extended/cpt-050"]
    assert [line.split()[0] for line in lines[3:]] == ["micro_avg", *GROUPS, *SPECS]
    row = {row["model"]: row["value"] for row in table(finished) if (row["name"], row["metric"]) == ("rwsd", "score")}
    a, b = (float(value) for value in row.values())
    line = next(line for line in lines if line.startswith("rwsd"))
    assert line.split()[1:4] == [f"{a:.4f}", f"{b:.4f}", f"{b - a:+.4f}"]
    one = compared(f"{finished.output}:base", f"{finished.output}:cpt-050", "--metric", "rwsd")
    assert one.stdout.splitlines()[3:] == [line]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (("{}", "{}:cpt-050"), "more than one model; write .*:MODEL with one of llama/base, llama/extended/cpt-050"),
        (("{}:base", "{}:nobody"), "no one model 'nobody'"),
        (("{}:base", "nowhere"), "nowhere does not exist"),
        (("{}:base", "{}:cpt-050", "--metric", "rwds"), "unknown metric 'rwds'"),
    ],
)
def test_refused_command_lines(finished: evaluate.EvaluateJob, where: tuple[str, ...], message: str) -> None:
    done = compared(*(place.format(finished.output) for place in where))
    assert done.returncode == 1
    assert re.search(message, done.stderr)
    assert "Traceback" not in done.stderr


def test_comparing_needs_no_torch() -> None:
    code = "import sys, lep.compare; sys.exit('torch' in sys.modules or 'lm_eval' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_manifest_says_how_the_models_were_asked(finished: evaluate.EvaluateJob, places: dict[str, Path]) -> None:
    manifest = read_manifest(finished.output)
    names = ("llama/base", "llama/extended/cpt-050")
    nothing = {name: {} for name in names}
    shots = {task: 0 if task == "treeway_extractive" else 2 for task in SPECS}
    assert manifest["facts"] == {
        "shots": dict.fromkeys(names, shots), "versions": dict.fromkeys(names, dict.fromkeys(SPECS, 2.0)),
        "dropped_shots": nothing, "cut_prompts": nothing, "template_hash": dict.fromkeys(names),
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


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
def test_the_other_backend_names_what_it_needs(places: dict[str, Path]) -> None:
    with pytest.raises(UserError, match=r"backend vllm needs the packages of envs/vllm\.yaml"):
        evaluate.evaluate(make_job(places, "vllm", tasks=["rwsd"], backend="vllm"))
