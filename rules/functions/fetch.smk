"""What the fetching rules are told: references to the hub, pinned where a commit is known."""

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


def debian_packages(name):
    """The Debian packages of a corpus source."""
    return next(
        source["debian"]
        for source in config["corpus"]["sources"]
        if source["name"] == name
    )


def dataset_reference(name):
    reference = hub_datasets()[name]
    return reference | {"revision": pinned("dataset", **reference)}


def model_reference(family, role):
    reference = model_source(family, role)
    return reference | {
        "revision": pinned("model", reference["path"], reference["revision"])
    }


def unpinned_references():
    """What `lock_sources` looks up: all that this configuration takes from the hub without naming a commit."""
    models = [
        family[role] for family in FAMILIES.values() for role in ("base", "instruct")
    ]
    models += [other["model"] for other in COMPARATORS.values()]
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
