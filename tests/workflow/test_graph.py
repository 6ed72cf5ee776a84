"""The graph: every overlay builds it without network or GPU; a bad configuration is refused with one clear message."""

import json
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from fixtures.checkout import ROOT
from fixtures.configuration import OVERLAYS, SCALES, configuration
from fixtures.workflow import batches, dry_run, no_network, pretended_slurm, snakemake
from lep.planning.schedule import Job, read_jobs


def planned(checkout: Path, folder: Path, *arguments: str) -> list[Job]:
    """The jobs of a dry run, as the logger plugin writes them."""
    listed = folder / "jobs.jsonl"
    result = dry_run(*arguments, "--logger", "jobs", "--logger-jobs-file", str(listed), cwd=checkout)
    assert result.returncode == 0, result.stdout + result.stderr
    return read_jobs(listed)


def refused(checkout: Path, tmp_path: Path, changes: dict) -> str:
    """The message for an overlay that must be refused."""
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(json.dumps(changes), encoding="utf-8")
    result = dry_run("--configfile", "configs/ci.yaml", str(overlay), cwd=checkout)
    assert result.returncode != 0
    return result.stdout + result.stderr


@pytest.mark.parametrize("scale", SCALES)
def test_overlay_builds_the_graph(scale: str, checkout: Path) -> None:
    arguments = ("--configfile", f"configs/{scale}.yaml") if scale in OVERLAYS else ()
    result = dry_run(*arguments, cwd=checkout)
    assert result.returncode == 0, result.stdout + result.stderr
    counts = dict(re.findall(r"^(\w+) +(\d+)$", result.stdout, re.MULTILINE))
    config = configuration(scale)
    russian = config["corpus"]["languages"][0]["language"] == "ru"  # else no benchmark asks in it
    assert counts.get("make_table") == ("4" if russian else None)
    assert ("evaluate" in counts or "evaluate_part" in counts) == russian
    assert counts["pretrain"] == str(sum(len(family["vocabularies"]) for family in config["families"]))


def test_the_drawn_graph_shows_the_rules(checkout: Path) -> None:
    """`make docs` draws it again."""
    run = set(re.findall(r"^(\w+) +\d+$", dry_run(cwd=checkout).stdout, re.MULTILINE)) - {"total"}
    drawn = re.findall(r"<text [^>]*>(\w+)</text>", (ROOT / "docs/rulegraph.svg").read_text(encoding="utf-8"))
    assert sorted(drawn) == sorted(run)


def test_tokenizers_need_no_model(checkout: Path) -> None:
    """The overlay of the true sizes stops after the vocabularies and takes the originals from packages."""
    result = dry_run("--configfile", "configs/tokenizers.yaml", "--", "tokenizers", cwd=checkout)
    assert result.returncode == 0, result.stdout + result.stderr
    counts = dict(re.findall(r"^(\w+) +(\d+)$", result.stdout, re.MULTILINE))
    assert (counts["import_tokenizer"], counts["train_sentencepiece"], counts["build_vocabulary"]) == ("2", "5", "7")
    assert not counts.keys() & {"fetch_model", "import_model", "make_operator", "pretrain"}
    overlays = map(configuration, ("tokenizers", "small"))
    assert len({json.dumps(overlay["corpus"]) for overlay in overlays}) == 1


def test_evaluation_is_spread_over_a_cluster(checkout: Path) -> None:
    """At paper scale one job scores one model on one group of tasks; small scales save the start-up."""
    for overlay, parts in (("ci", None), ("paper", 5 * (4 + 4 + 7 * (4 + 3) + 14))):
        result = dry_run("--configfile", f"configs/{overlay}.yaml", cwd=checkout)
        found = re.search(r"^evaluate_part +(\d+)$", result.stdout, re.MULTILINE)
        assert (int(found[1]) if found else None) == parts


def test_two_of_the_three_methods_are_enough(checkout: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(json.dumps({"propagation": {"methods": ["swap", "conversion"]}}), encoding="utf-8")
    jobs = planned(checkout, tmp_path, "--configfile", "configs/ci.yaml", str(overlay))
    assert {job.rule for job in jobs} >= {"propagate_embeddings", "make_table", "compute_claims", "build_report", "all"}
    files = {file for job in jobs for file in (*job.inputs, *job.outputs)}
    assert "results/ci/models/llama/bpe/swap/manifest.json" in files
    assert not {file for file in files if "/models/" in file and "/overlap/" in file}
    text = refused(checkout, tmp_path, {"propagation": {"methods": ["swap", "overlap"]}})
    assert "families.llama.calibrated: calibration starts from conversion; add it to propagation.methods" in text


def test_further_seeds_add_jobs_and_change_none(checkout: Path, tmp_path: Path) -> None:
    """`make paper SEEDS=3`: what is random from pre-training on is done three times, all else once."""
    ci = ("--configfile", "configs/ci.yaml")
    one = planned(checkout, tmp_path, *ci)
    three = planned(checkout, tmp_path, *ci, "--config", "seeds=3")
    numbers = [Counter(job.rule for job in jobs) for jobs in (one, three)]
    repeated = {job.rule for job in three if any("/seed-" in file for file in job.outputs)}
    assert repeated >= {
        "pretrain", "select_donor", "propagate_embeddings", "answer_prompts", "grade_answers", "make_calibration_data",
        "calibrate", "evaluate",
    }  # fmt: skip
    for rule in {*numbers[1]} - {"write_job", "evaluate"}:
        assert numbers[1][rule] == (3 if rule in repeated else 1) * numbers[0][rule], rule
    # Source models, two of two families and a further instruct, which no seed changes, are scored once.
    assert numbers[1]["evaluate"] == 3 * (numbers[0]["evaluate"] - 5) + 5
    outputs = [{job.outputs for job in jobs} for jobs in (one, three)]
    assert outputs[0] <= outputs[1]
    added = [file for files in outputs[1] - outputs[0] for file in files]
    assert all(file.startswith(("results/ci/seed-43/", "results/ci/seed-44/")) for file in added)
    first = {job.outputs: job.inputs for job in one}
    for job in three:
        if job.outputs in first and not any("seed-" in file for file in job.inputs):
            assert job.inputs == first[job.outputs]


def test_a_further_instruct_adds_jobs_and_repeats_none(checkout: Path, tmp_path: Path) -> None:
    """Its import, propagation, scores and, where asked for, calibration; base, donor and operator are its family's."""
    families = configuration("ci")["families"]
    tuned = [{"vocabulary": "extended", "calibrations": ["saiga"]}]
    families[0]["instructs"][0] |= {"calibrated": tuned}
    runs = []
    for changes in ({"families": families}, {"propagation": {"instructs": "first"}}):
        overlay = tmp_path / "overlay.yaml"
        overlay.write_text(json.dumps(changes), encoding="utf-8")
        runs.append(planned(checkout, tmp_path, "--configfile", "configs/ci.yaml", str(overlay)))
    more, first = runs
    numbers = [Counter(job.rule for job in jobs) for jobs in runs]
    added = numbers[0] - numbers[1]
    assert dict(added) == {
        "import_model": 1, "propagate_embeddings": 1, "evaluate": 3, "make_calibration_data": 1, "calibrate": 1,
        "measure_language": 2, "write_job": 6,
    }  # fmt: skip
    assert not numbers[1] - numbers[0]
    by_output = {job.outputs: job for job in first}
    for job in more:
        if job.rule in ("pretrain", "select_donor", "make_operator", "initialise_embeddings", "evaluate"):
            known = by_output.get(job.outputs)
            assert known is None or known.inputs == job.inputs
    (propagation,) = (j for j in more if j.rule == "propagate_embeddings" and "@" in j.wildcards["family"])
    assert {file for file in propagation.inputs if "@" not in file} == {
        "results/ci/models/mistral/base/manifest.json",
        "results/ci/models/mistral/extended/donor/manifest.json",
        "results/ci/operators/mistral/extended/manifest.json",
    }
    table = [job for job in more if job.rule == "compare_methods"]
    assert "results/ci/tables/instructs.csv" in table[0].outputs


def test_nothing_of_mini_is_left_at_paper_scale() -> None:
    config = configuration("paper")
    assert not any(family["stand_in"] for family in config["families"])
    assert "stand_ins" not in json.dumps(config["families"])
    assert all("dataset" in source for source in config["corpus"]["sources"])
    assert (config["calibration"]["source"], config["evaluation"]["benchmark"]) == ("hub", "hub")
    assert config["calibration"]["judge"]["backend"] == "openai"


def test_hub_revisions_are_commits_or_unpinned() -> None:
    for scale in OVERLAYS:
        text = (ROOT / f"configs/{scale}.yaml").read_text(encoding="utf-8")
        for revision in re.findall(r"revision: (\w+)", text):
            assert re.fullmatch(r"[0-9a-f]{40}|unpinned|shipped|packaged", revision), f"{scale}: {revision}"


BAD = {
    "unknown key": ({"scales": 3}, r"  scales: unknown key; did you mean 'scale'"),
    "type": ({"pretraining": {"max_steps": "x"}}, r"pretraining\.max_steps: must be of type integer, found 'x'"),
    "method": ({"propagation": {"methods": ["magic"]}}, r"methods\.0: 'magic' is not known; use one of swap"),
    "device": ({"compute": {"device": "gpu"}}, r"compute\.device: 'gpu' is not known; use one of cpu, cuda, auto"),
    "fractions": ({"pretraining": {"fractions": [1.0, 0.5]}}, r"pretraining\.fractions: must rise and end with 1\.0"),
    "data_dir": (
        {"evaluation": {"benchmark": "local", "data_dir": "absent"}},
        r"evaluation\.data_dir: benchmark local needs a folder with .*, found 'absent'",
    ),
    "revision": (
        {"calibration": {"dataset": {"revision": "main"}}},
        r"calibration\.dataset\.revision: 'main' does not match",
    ),
    "samples": ({"report": {"samples": {"vocabulary": "unigram"}}}, r"report\.samples: no family has unigram"),
    "originals": (
        {"vocabulary": {"originals": [{"family": "gpt", "package": "llama-models"}]}},
        r"vocabulary\.originals: gpt must be named once and be one of the families mistral, llama",
    ),
    "vocabulary language": (
        {"vocabulary": {"language_weights": {"uk": 1}}},
        r"vocabulary\.language_weights: uk is not one of corpus\.languages \(ru, en\); name it there",
    ),
    "language weight": (
        {"pretraining": {"language_weights": {"eng": 0.1}}},
        r"pretraining\.language_weights: eng is not one of corpus\.languages \(ru, en\)",
    ),
    "script": (
        {"corpus": {"languages": [{"language": "ru", "script": "han"}, {"language": "en", "script": "latin"}]}},
        r"corpus\.languages\.0\.script: 'han' is not known; use one of latin, cyrillic, greek",
    ),
    "benchmark language": (
        {
            "corpus": {"languages": [{"language": "en", "script": "latin"}, {"language": "ru", "script": "cyrillic"}]},
        },
        r"(?s)pretraining\.fractions: Darumeru .* are Russian, corpus\.languages begins with en: nothing can choose"
        r".*families\.mistral\.calibrated: .*write \[\], or bring your own with calibration\.source: hub",
    ),
    "comparator": (
        {"comparators": [{"name": "llama", "title": "X", "published": "Saiga", "model": None}]},
        r"(?s)comparators: llama is named twice.*comparators\.llama\.published: 'Saiga' is not in the paper; use null",
    ),
    "name of a data set": (
        {
            "corpus": {
                "sources": [
                    {
                        "name": "instructions",
                        "reader": "documents",
                        "dataset": {"repository": "a/b", "revision": "unpinned"},
                    }
                ]
            }
        },
        r"corpus\.sources\.instructions: the fetched instruction data set has this name; give the source another",
    ),
    "source": (
        {"corpus": {"sources": [{"name": "mine", "reader": "documents", "path": "absent.jsonl"}]}},
        r"corpus\.sources\.mine\.path: absent\.jsonl does not exist",
    ),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD.keys())
def test_bad_configuration_is_refused(changes: dict, message: str, checkout: Path, tmp_path: Path) -> None:
    assert re.search(message, refused(checkout, tmp_path, changes))


def test_bad_family_is_refused(checkout: Path, tmp_path: Path) -> None:
    families = configuration("ci")["families"]
    families[0] |= {"vocabularies": ["unigram", "wordpiece"], "base": {"path": "data/fixtures", "revision": "shipped"}}
    families[1]["vocabularies"] = ["bpe"]
    text = refused(checkout, tmp_path, {"families": families})
    assert "'wordpiece' is not known; use one of bpe, unigram, extended, optimized" in text
    families[0]["vocabularies"] = ["unigram", "extended"]
    text = refused(checkout, tmp_path, {"families": families})
    assert "families.mistral.base.path: data/fixtures has no config.json" in text
    assert "families.llama.calibrated: optimized is not among this family's vocabularies" in text


def test_a_local_benchmark_is_read_without_a_hub(checkout: Path, tmp_path: Path) -> None:
    files = [tmp_path / "mine" / name for name in ("rcb/test.jsonl", "rwsd/test/0000.parquet", "README.md")]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(json.dumps({"evaluation": {"benchmark": "local", "data_dir": str(tmp_path / "mine")}}))
    target = "results/paper/sources/benchmark/manifest.json"
    result = dry_run("-p", "--configfile", "configs/paper.yaml", str(overlay), "--", target, cwd=checkout)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"lep.fetch benchmark --data-dir {tmp_path / 'mine'} --output" in result.stdout
    assert "--dataset" not in result.stdout


def test_unpinned_sources_are_locked_and_the_lock_is_used(checkout: Path) -> None:
    """What `lock_sources` looks up is what a later fetch finds in the lock."""
    paper = ("-p", "--configfile", "configs/paper.yaml", "--")
    result = dry_run(*paper, "lock_sources", cwd=checkout)
    assert result.returncode == 0, result.stdout + result.stderr
    (command,) = re.findall(r"lep\.fetch lock --lock data/sources\.lock (.+) >", result.stdout)
    references = command.split()
    assert "model:meta-llama/Meta-Llama-3-8B" in references
    assert "dataset:RefalMachine/darumeru@refs/convert/parquet" in references
    assert "model:Qwen/Qwen2-7B-Instruct" in references  # a comparator
    assert not [reference for reference in references if "saiga_scored" in reference]  # its commit is known
    lock = checkout / "data" / "sources.lock"
    lock.write_text(json.dumps({reference: f"{number:040x}" for number, reference in enumerate(references)}))
    targets = ["sources/benchmark", "sources/models/llama/base", "sources/datasets/darulm"]
    try:
        result = dry_run(*paper, *(f"results/paper/{target}/manifest.json" for target in targets), cwd=checkout)
    finally:
        lock.unlink()
    used = set(re.findall(r"(?:@|--revision )([0-9a-f]{40})", result.stdout))
    wanted = [n for n, r in enumerate(references) if not r.startswith("model:") or r.endswith("Meta-Llama-3-8B")]
    assert used == {f"{number:040x}" for number in wanted}
    assert "unpinned" not in result.stdout


def test_fetch_all_names_all_that_uses_the_network(checkout: Path) -> None:
    result = dry_run("--configfile", "configs/paper.yaml", "--", "fetch_all", cwd=checkout)
    assert result.returncode == 0, result.stdout + result.stderr
    counts = dict(re.findall(r"^(\w+) +(\d+)$", result.stdout, re.MULTILINE))
    assert counts == {"fetch_all": "1", "fetch_benchmark": "1", "fetch_dataset": "2", "fetch_model": "8", "total": "12"}
    whole = dry_run("--configfile", "configs/paper.yaml", cwd=checkout).stdout
    found = set(re.findall(r"^(fetch_\w+) +\d+$", whole, re.MULTILINE))
    assert found == set(counts) - {"fetch_all", "total"}


def test_a_run_starts_with_its_checks(checkout: Path, tmp_path: Path) -> None:
    """Where one fails no job starts; to fetch, only the network is needed. A run on this machine asks no SLURM."""
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(json.dumps({"preflight": True, "compute": {"gpus_per_job": 99}, **batches(99)}))
    command = [*no_network(), *snakemake(str(overlay), "--cores", "1", "--nolock", "--until")]
    environment = pretended_slurm(tmp_path)
    here, cluster = "a training job asks for 99, this machine has 0", "a training job asks for 99 GPUs, but nodes"
    for step, code, said in (("write_job", 1, here), ("preflight", 1, cluster), ("fetch_all", 0, "")):
        target = [step] if step == "write_job" else [step, "--", step]
        result = subprocess.run([*command, *target], cwd=checkout, env=environment, capture_output=True, text=True)
        assert result.returncode == code, result.stdout + result.stderr
        assert said in result.stdout + result.stderr
    assert not (checkout / "results" / "ci" / "jobs").exists()


def test_published_donors_replace_the_training(checkout: Path, tmp_path: Path) -> None:
    result = dry_run("--configfile", "configs/paper.yaml", "--config", "donor=published", cwd=checkout)
    assert result.returncode == 0, result.stdout + result.stderr
    counts = dict(re.findall(r"^(\w+) +(\d+)$", result.stdout, re.MULTILINE))
    assert (counts["fetch_donor"], counts["adopt_donor"], counts["propagate_embeddings"]) == ("7", "7", "7")
    assert not counts.keys() & {"pretrain", "pretrain_sweep", "pack_corpus", "train_sentencepiece", "build_vocabulary"}
    assert int(counts["evaluate_part"]) == 5 * (4 + 4 + 7 * (1 + 3) + 14)
    text = refused(checkout, tmp_path, {"donor": "published"})
    assert "families.mistral.published_donors: unigram has none; name one, or leave it out under subset" in text


def test_unpinned_donors_are_locked(checkout: Path) -> None:
    result = dry_run(
        "-p", "--configfile", "configs/paper.yaml", "--config", "donor=published", "--", "lock_sources", cwd=checkout
    )
    assert result.stdout.count(" model:RefalMachine/") == 7
