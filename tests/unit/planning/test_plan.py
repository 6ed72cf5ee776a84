"""The plan of a run: costs by formula, the schedule, cuts, and that nothing heavy is needed for it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from lep.config import UserError
from lep.plan import render
from lep.planning.cost import Cost, CostModel
from lep.planning.cuts import cuts
from lep.planning.disk import disk_parts
from lep.planning.schedule import Job, read_jobs, schedule, shorten
from lep.workflow.settings import apply_subset
from snakemake.utils import update_config

ROOT = Path(__file__).parents[3]
BODY = 32 * (2 * 4096 * 128 * (32 + 8) + 3 * 4096 * 14336 + 2 * 4096) + 4096  # of Mistral-7B and Llama-3-8B


def configuration(overlay: str | None = None, **changes: object) -> dict:
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    if overlay:
        update_config(config, yaml.safe_load((ROOT / f"configs/{overlay}.yaml").read_text(encoding="utf-8")))
    update_config(config, changes)
    return config


def work(rule: str, inputs: str = "", outputs: str = "", **wildcards: str) -> Job:
    return Job(rule, wildcards, tuple(inputs.split()), tuple(outputs.split()), "not made yet", 0)


PAPER = configuration("paper")
RESOLVED = apply_subset(PAPER)  # as the rules read it: without further instruct models


# -- schedule


def test_jobs_share_devices() -> None:
    jobs = [work("a"), work("b"), work("c")]
    costs = {"a": Cost(10, 1), "b": Cost(20, 1), "c": Cost(30, 2)}
    one, two, three, many = (schedule(jobs, lambda j: costs[j.rule], gpus, 1).wall_seconds for gpus in (1, 2, 3, 9))
    # A job that asks for more devices than there are takes all of them, for longer.
    assert (one, two, three, many) == (90, 50, 30, 30)
    assert schedule(jobs, lambda j: costs[j.rule], 1, 1).device_seconds == 90


def test_a_chain_takes_its_length_and_goes_first() -> None:
    jobs = [
        work("long", outputs="x"),
        work("next", "x", "y"),
        work("last", "y"),
        *[work(f"short{i}") for i in range(3)],
    ]
    wall = schedule(jobs, lambda job: Cost(10, 1), gpus=2, processes=1).wall_seconds
    assert wall == 30  # the three short ones run beside the chain


def test_jobs_without_device_share_processes() -> None:
    jobs = [work(name) for name in "abcd"]
    assert [schedule(jobs, lambda job: Cost(5), 0, places).wall_seconds for places in (1, 2, 4)] == [20, 10, 5]


def test_inputs_that_no_job_makes_are_there() -> None:
    assert schedule([work("a", inputs="made/before")], lambda job: Cost(5), 0, 1).wall_seconds == 5
    assert schedule([], lambda job: Cost(5), 0, 1).wall_seconds == 0


# -- costs


def test_pretraining_costs_its_operations() -> None:
    load = CostModel(PAPER, ROOT)
    tokens = 11_500_000_000 // (256 * 1024) * 256 * 1024
    assert load.pretraining_tokens() == tokens
    seconds = tokens * (4 * BODY + 6 * 32000 * 4096) / (985e12 * 0.4) / 8
    found = load.cost("pretrain", {"family": "mistral", "vocabulary": "bpe"})
    assert found.seconds == pytest.approx(seconds + PAPER["plan"]["start_seconds"])
    assert found.gpus == 8
    assert load.cost("pretrain_direct", {"family": "mistral", "vocabulary": "bpe"}) == found
    sweep = load.cost("pretrain_sweep", {"family": "mistral", "vocabulary": "bpe", "rate": "0.0001"})
    assert sweep.seconds == pytest.approx(0.2 * seconds + PAPER["plan"]["start_seconds"])


def test_steps_budget_and_checkpointing_count() -> None:
    def hours(**changes: object) -> float:
        load = CostModel(configuration("paper", pretraining=changes), ROOT)
        return load.cost("pretrain", {"family": "llama", "vocabulary": "extended"}).seconds

    whole = hours()
    assert hours(token_budget=5_750_000_000) == pytest.approx(whole / 2, rel=0.01)
    assert hours(max_steps=1000) < 0.03 * whole
    assert 1.3 < hours(activation_checkpointing=True) / whole < 1.5


def test_memory_of_pretraining_is_that_of_the_trainer_s_own_estimate() -> None:
    load = CostModel(PAPER, ROOT)
    found = load.cost("pretrain", {"family": "llama", "vocabulary": "extended"}).device_bytes
    rows = load.rows("llama", "extended")
    weights = 2 * BODY + 2 * (2 * rows * 4096) * (1 + 2 + 2)  # body; matrices, gradients and exchange, both moments
    assert weights < found < weights + 40e9
    smaller = configuration("paper", pretraining={"micro_batch_size": 1})
    assert CostModel(smaller, ROOT).cost("pretrain", {"family": "llama", "vocabulary": "extended"}).device_bytes < found


@pytest.mark.parametrize(("vocabulary", "published"), [("extended", 174_817), ("optimized", 114_505), ("bpe", 128_256)])
def test_rows_are_near_the_published_ones(vocabulary: str, published: int) -> None:
    assert CostModel(PAPER, ROOT).rows("llama", vocabulary) == pytest.approx(published, rel=0.03)


def test_more_shots_and_items_cost_more() -> None:
    part = {"family": "llama", "vocabulary": "bpe", "key": "k", "group": "daru_mmlu"}

    def seconds(stage: str, **changes: object) -> float:
        return (
            CostModel(configuration("paper", evaluation=changes), ROOT)
            .cost("evaluate_part", part | {"stage": stage})
            .seconds
        )

    assert seconds("pretraining") > 4 * seconds("propagation", batch_size=8) - 5 * 60
    assert seconds("pretraining", limit=100) < 0.1 * seconds("pretraining")


def test_an_unknown_shape_is_asked_for() -> None:
    config = configuration("paper")
    del config["plan"]["models"]["meta-llama/Meta-Llama-3-8B"]
    with pytest.raises(UserError, match=r"plan\.models has no shape of meta-llama/Meta-Llama-3-8B"):
        CostModel(config, ROOT)


def test_disk_of_the_paper() -> None:
    parts = disk_parts(CostModel(RESOLVED, ROOT))
    matrices = 2 * 2 * 4096 * (32000 + 32000 + 56000 + 128000 + 128000 + 176256 + 112000)
    sources = 2 * 2 * (2 * BODY + 2 * 4096 * (32000 + 128256))
    nemo = 2 * (40 * (2 * 5120 * 128 * (32 + 8) + 3 * 5120 * 14336 + 2 * 5120) + 5120 + 2 * 131072 * 5120)
    comparators = nemo + 3 * 2 * (BODY + 2 * 4096 * 128256)
    assert parts["models"] == sources + comparators + (1 + 4 + 3) * matrices
    assert parts["fetched models"] == sources + comparators
    alone = disk_parts(CostModel(RESOLVED | {"comparators": []}, ROOT))
    assert sum(parts.values()) - sum(alone.values()) == 2 * comparators
    assert parts["text"] == 2 * 96e9


def test_a_further_instruct_costs_itself_and_what_is_propagated_to_it() -> None:
    """Saiga at paper scale: another 8B model, three pairs of matrices, and their scores; no base and no training."""
    config = apply_subset(configuration("paper", propagation={"instructs": "all"}))
    load, parts, first = CostModel(config, ROOT), *(disk_parts(CostModel(c, ROOT)) for c in (config, RESOLVED))
    saiga, matrices = 2 * (BODY + 2 * 4096 * 128256), 2 * 2 * 4096 * 176256
    assert parts["models"] - first["models"] == saiga + 3 * matrices
    assert parts["fetched models"] - first["fetched models"] == saiga
    assert {name for name in parts if parts[name] != first[name]} == {"models", "fetched models"}
    for rule, wildcards in {
        "propagate_embeddings": {"vocabulary": "extended"},
        "evaluate_part": {"vocabulary": "extended", "stage": "propagation", "key": "x", "group": "daru_mera"},
    }.items():
        costs = [load.cost(rule, {"family": name, **wildcards}) for name in ("llama", "llama@saiga")]
        assert costs[0] == costs[1]


def test_published_donors_cost_downloads_and_no_training() -> None:
    published = configuration("paper", donor="published")
    parts = disk_parts(CostModel(published, ROOT))
    donors = 7 * 2 * BODY
    assert parts["fetched models"] > disk_parts(CostModel(PAPER, ROOT))["fetched models"] + donors
    assert (parts["packed corpora"], parts["restart points"]) == (0, 0)
    adopted = CostModel(published, ROOT).cost("adopt_donor", {"family": "llama", "vocabulary": "extended"})
    assert adopted.seconds < 3600
    text = render(jobs_of_a_run(PAPER), published, ROOT, 8, 50)
    assert "donor: published" not in text
    assert text.count("Not seen on the hub when the configuration was written (seen: false): model RefalMachine/") == 4


# -- the text


def test_reasons_are_short() -> None:
    assert shorten("Missing output files: a, b; Input files updated by another job: c") == "not made yet"
    assert (
        shorten("Params have changed since last execution: Union of ...: before: 1 now: 2")
        == "changed settings or code"
    )
    assert shorten("Something new: x") == "something new"


def jobs_of_a_run(config: dict) -> list[Job]:
    """The expensive jobs of a configuration, as a dry run would list them."""
    jobs = [work("pretrain_sweep", outputs="s", family="llama", vocabulary="extended", rate="0.1")]
    jobs += [work("make_sweep_table", "s")]
    for family in config["families"]:
        for vocabulary in family["vocabularies"]:
            places = {"family": family["name"], "vocabulary": vocabulary}
            jobs.append(work("pretrain", outputs=f"{family['name']}/{vocabulary}", **places))
    return jobs


def test_plan_names_total_disk_and_cuts() -> None:
    searching = configuration("paper", pretraining={"sweep": {"runs": ["llama/extended"]}})
    text = render(jobs_of_a_run(searching), searching, ROOT, gpus=8, processes=50)
    assert "10 jobs" not in text  # 7 runs, a search, its table
    assert text.startswith("9 jobs at scale paper\n")
    assert "days on 8 GPUs" in text
    assert "Disk: 9" in text
    shown = text[text.index("Cheapest cuts") :]
    assert [line.strip() for line in shown.splitlines() if line.startswith("  ") and not line.startswith("   ")] == [
        "pretraining: {sweep: {runs: []}}",
        "pretraining: {token_budget: 4791666666}",
        "donor: published",
    ]
    assert shown.count("loses ") == 3
    assert render([], PAPER, ROOT, 8, 50) == "Nothing to do: all results exist.\n"


def test_a_further_seed_is_planned_and_can_be_cut() -> None:
    config = PAPER | {"seeds": 3}
    one, three = (disk_parts(CostModel(each, ROOT)) for each in (PAPER, config))
    assert three["calibrated models"] == 3 * one["calibrated models"]
    assert three["fetched models"] == one["fetched models"]
    costs = CostModel(config, ROOT)
    first, further = (
        costs.cost("pretrain", {"seed": seed, "family": "llama", "vocabulary": "bpe"}) for seed in ("", "seed-43/")
    )
    assert first == further
    (cut,) = [cut for cut in cuts(config) if cut.overlay == "seeds: 1"]
    assert [cut.keeps(work("pretrain", seed=seed)) for seed in ("", "seed-43/")] == [True, False]
    assert not [cut for cut in cuts(PAPER) if cut.overlay == "seeds: 1"]


def test_every_cut_is_an_overlay_that_says_what_the_plan_computed() -> None:
    for cut in cuts(PAPER):
        written = yaml.safe_load(cut.overlay)
        config = configuration("paper")
        update_config(config, written)
        if "subset" not in written:  # the graph of a subset has other jobs, not other costs
            assert cut.changed(PAPER) == config


def test_too_little_memory_is_said() -> None:
    config = configuration("paper", plan={"device": {"memory_gb": 24}})
    assert "needs about" in render(jobs_of_a_run(config), config, ROOT, 8, 50)
    assert "Warning" not in render(jobs_of_a_run(PAPER), PAPER, ROOT, 8, 50)


def test_plan_runs_without_torch(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(PAPER), encoding="utf-8")
    line = {
        "rule": "pretrain", "wildcards": {"family": "llama", "vocabulary": "bpe"}, "input": [], "output": ["x"],
        "reason": "Missing output files: x", "threads": 8, "resources": {"mem_mb": 200000, "gpu": 8},
    }  # fmt: skip
    (tmp_path / "jobs.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    assert read_jobs(tmp_path / "jobs.jsonl")[0].memory_mb == 200000
    code = (
        "import sys; sys.modules |= dict.fromkeys(('torch', 'transformers', 'tokenizers', 'numpy', 'snakemake'));"
        "from lep.plan import main; main()"
    )
    options = ["--jobs", tmp_path / "jobs.jsonl", "--config", tmp_path / "config.json", "--gpus", "4"]
    result = subprocess.run([sys.executable, "-c", code, *map(str, options)], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "on 4 GPUs" in result.stdout
    missing = subprocess.run(
        [sys.executable, "-m", "lep.plan", "--jobs", "x", "--config", "absent.json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert missing.returncode == 1
    assert "absent.json is not the configuration as JSON" in missing.stderr


def test_vocabularies_cost_what_their_text_costs() -> None:
    """At the measured speed of each type, after two passes over the sample that they are trained on."""
    changes = {"vocabulary": {"characters": 120_000_000}, "plan": {"sentencepiece": {"bpe": 6, "unigram": 0.5}}}
    model = CostModel(configuration("paper", **changes), ROOT)
    seconds = {
        kind: model.cost("train_sentencepiece", {"model_type": kind, "size": "32000"}).seconds
        for kind in ("bpe", "unigram")
    }
    assert seconds["unigram"] - seconds["bpe"] == pytest.approx(120 / 0.5 - 120 / 6)
    reading = 2 * 0.01 * 96_000 / PAPER["plan"]["disk_megabytes_per_second"]
    assert seconds["bpe"] == pytest.approx(reading + 120 / 6, abs=1)
