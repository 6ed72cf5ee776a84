"""What the fetching rules are told: references to the hub, pinned where a commit is known."""

import subprocess
import tempfile

from darumeru.places import BRANCH as BENCHMARK_BRANCH
from lep.fetch import UNPINNED, read_lock
from snakemake.exceptions import WorkflowError

FETCHING = {
    "lock_sources",
    "fetch_all",
    "fetch_package",
    "fetch_dataset",
    "fetch_model",
    "fetch_donor",
    "fetch_benchmark",
}
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
    models += [FAMILIES[family]["published_donors"][v] for family, v in hub_donors()]
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


def hub_sources():
    """All that this configuration takes from the hub: kind, repository, revision, and the manifest it is fetched to."""
    found = [
        {
            "kind": "model",
            "repository": model_reference(family, role)["path"],
            "revision": model_reference(family, role)["revision"],
            "manifest": f"{RESULTS}/sources/models/{family}/{role}/manifest.json",
        }
        for family, settings in FAMILIES.items()
        for role in ("base", "instruct")
        if not is_local(settings[role])
    ]
    found += [
        {
            "kind": "model",
            "repository": other["model"]["path"],
            "revision": pinned(
                "model", other["model"]["path"], other["model"]["revision"]
            ),
            "manifest": f"{RESULTS}/sources/models/{name}/instruct/manifest.json",
        }
        for name, other in COMPARATORS.items()
        if not is_local(other["model"])
    ]
    found += [
        {
            "kind": "model",
            "repository": donor_reference(family, v)["path"],
            "revision": donor_reference(family, v)["revision"],
            "manifest": f"{RESULTS}/sources/donors/{family}/{v}/manifest.json",
        }
        for family, v in hub_donors()
    ]
    found += [
        {
            "kind": "dataset",
            "manifest": f"{RESULTS}/sources/datasets/{name}/manifest.json",
        }
        | dataset_reference(name)
        for name in hub_datasets()
        if name != "instructions" or config["calibration"]["source"] == "hub"
    ]
    if config["evaluation"]["benchmark"] == "hub":
        for dataset in config["evaluation"]["datasets"].values():
            revision = pinned("dataset", **dataset, branch=BENCHMARK_BRANCH)
            found.append(
                {
                    "kind": "dataset",
                    "repository": dataset["repository"],
                    # The commits that are named are those of the hub's Parquet copy.
                    "revision": (
                        BENCHMARK_BRANCH if revision == UNPINNED else revision
                    ),
                    "manifest": f"{RESULTS}/sources/benchmark/manifest.json",
                }
            )
    return found


def fetched():
    """Everything that comes over the network."""
    packages = [
        source_path(source)
        for source in config["corpus"]["sources"]
        if "package" in source or "debian" in source
    ]
    return packages + list(
        dict.fromkeys(source["manifest"] for source in hub_sources())
    )


def check_before_start():
    """Check machine, access and disk in a process of its own, which may use the network; raise where something is amiss."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump({"config": config, "sources": hub_sources()}, file)
        file.flush()
        command = [sys.executable, "-m", "lep.planning.preflight", "--settings", file.name]
        if subprocess.run(command, env=os.environ | {"HF_HUB_OFFLINE": "0"}).returncode:
            raise WorkflowError(
                "the run was not started: see above (preflight: false in the configuration starts it all the same)"
            )
