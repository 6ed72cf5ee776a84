"""One run of the workflow: its configuration, and where its artefacts are.

Paths are POSIX strings relative to the folder of the Snakefile. Names may be wildcards of Snakemake (`{family}`). The
manifest of an artefact stands for its folder.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from lep.corpus.documents import measured_split
from lep.methods import split_own
from lep.names import ORIGINAL, ROLES, pairs_of

SEED_FOLDER = "seed-"  # and the seed: place of what a further seed makes, below the results


@dataclass(frozen=True)
class Run:
    """A run, from the resolved configuration; `root` is the folder of the Snakefile.

    What training makes has a place for each seed. That of the first one is the folder of the results itself, so that a
    further seed only adds files. `at` gives the same run with another seed.
    """

    config: Mapping
    root: Path = Path()
    place_of_seed: str = ""
    """folder of a further seed below the results, such as `seed-43/`; empty = the first seed"""

    @cached_property
    def seeds(self) -> dict[str, int]:
        """The seeds of the trainings by their folders."""
        first, *others = seeds_of(self.config)
        return {"": first} | {f"{SEED_FOLDER}{seed}/": seed for seed in others}

    @property
    def seed(self) -> int:
        """The seed of the trainings of this run."""
        return self.seeds[self.place_of_seed]

    def at(self, place_of_seed: str) -> "Run":
        """This run with the seed of a folder."""
        return replace(self, place_of_seed=place_of_seed)

    @property
    def repeats(self) -> list["Run"]:
        """This run with each of its seeds."""
        return [self.at(place) for place in self.seeds]

    def place(self, wildcards: Mapping[str, str]) -> tuple["Run", str, str, str]:
        """Run, family, vocabulary and stage of an evaluation, from the wildcards of its job."""
        return self.at(wildcards["seed"]), wildcards["family"], wildcards["vocabulary"], wildcards["stage"]

    @cached_property
    def results(self) -> str:
        """The folder of all results of this scale."""
        return f"results/{self.config['scale']}"

    @cached_property
    def families(self) -> dict[str, Mapping]:
        """Settings of the families by name."""
        return {family["name"]: family for family in self.config["families"]}

    @cached_property
    def pairs(self) -> dict[str, Mapping]:
        """Settings of the pairs of base and instruct model by name: the families, and further instructs of theirs."""
        return {pair["name"]: pair for family in self.config["families"] for pair in pairs_of(family)}

    @property
    def further(self) -> list[str]:
        """Those pairs that are no family: they share base, vocabularies and donors with theirs."""
        return [pair for pair in self.pairs if pair not in self.families]

    @cached_property
    def comparators(self) -> dict[str, Mapping]:
        """Other models of Table 1 that this run evaluates, by name."""
        return {other["name"]: other for other in self.config["comparators"] if other["model"]}

    @cached_property
    def languages(self) -> dict[str, str]:
        """Scripts by language; the first language is the one that models are adapted to."""
        return {row["language"]: row["script"] for row in self.config["corpus"]["languages"]}

    def tunes_instruct(self, family: str) -> bool:
        """Whether the instruct model of a family is fine-tuned here, from its base."""
        return family in self.families and self.families[family].get("tuned_instruct", False)

    @property
    def is_benchmarked(self) -> bool:
        """Whether the benchmark can score the models: Darumeru asks in Russian."""
        return next(iter(self.languages)) == "ru"

    @property
    def adopts_donors(self) -> bool:
        """Whether published models take the place of trained donors."""
        return self.config["donor"] == "published"

    @property
    def methods(self) -> list[str]:
        """The LEP methods of this run."""
        return self.config["propagation"]["methods"]

    def methods_of(self, pair: str) -> list[str]:
        """Those of them whose models are scored; of a further instruct model perhaps not all."""
        chosen = self.pairs[pair].get("methods", self.methods)
        return [method for method in self.methods if method in chosen]

    @property
    def own_map(self) -> list[str]:
        """The file of the user's own map, if the method `own` is among the methods."""
        return [split_own(self.config["propagation"]["own"])[0]] if "own" in self.methods else []

    @cached_property
    def checkpoints(self) -> list[str]:
        """The kept checkpoints of a pre-training run by name: cpt- and the per cent of the run."""
        return [f"cpt-{round(100 * fraction):03d}" for fraction in self.config["pretraining"]["fractions"]]

    # -- folders and files

    def manifest(self, *parts: str) -> str:
        """The manifest of an artefact by its place below the results."""
        return "/".join([self.results, *parts, "manifest.json"])

    def documents(self, split: str) -> str:
        """The documents of one split of the corpus."""
        return f"{self.results}/corpus/{split}.jsonl"

    @property
    def heldout(self) -> str:
        """The held-out documents that vocabularies are measured on."""
        return self.documents(measured_split(self.config["corpus"]["benchmark_fraction"]))

    @property
    def trained(self) -> str:
        """The folder of what this seed decides."""
        return f"{self.results}/{self.place_of_seed}".rstrip("/")

    def of_seed(self, *parts: str) -> str:
        """The manifest of an artefact that depends on the seed of the trainings."""
        return "/".join([self.trained, *parts, "manifest.json"])

    def model(self, family: str, *history: str) -> str:
        """The manifest of a model in the store, by its name. Source and initial models are the same for all seeds."""
        untrained = history[0] in ROLES or history[-1] == "init"
        return (self.manifest if untrained else self.of_seed)("models", family, *history)

    def calibrated(self, family: str, vocabulary: str, parent: str, calibration: str) -> str:
        """The manifest of a calibrated model."""
        return self.of_seed("calibrated", family, vocabulary, parent, calibration)

    def merged(self, family: str, vocabulary: str, parent: str, calibration: str) -> str:
        """The ordinary model folder of a calibrated model; it exists while jobs need it."""
        return "/".join([self.trained, "merged", family, vocabulary, parent, calibration])

    def vocabulary(self, family: str, name: str) -> str:
        """The manifest of a tokenizer folder; the original vocabulary comes from a package or with the base model."""
        if name != ORIGINAL:
            return self.manifest("vocabularies", family, name)
        if family in self.original_packages:
            return self.manifest("vocabularies", "originals", family)
        return self.model(family, "base")

    def evaluation(self, family: str, vocabulary: str, stage: str, name: str = "manifest.json") -> str:
        """A file of an evaluation."""
        return f"{self.trained}/evaluation/{family}/{vocabulary}/{stage}/{name}"

    def work(self, *parts: str) -> str:
        """The folder in which a job keeps its progress. No rule declares it, so Snakemake never empties it."""
        return "/".join([self.trained, "work", *parts])

    @cached_property
    def original_packages(self) -> dict[str, str]:
        """Packages that bring the original tokenizer of a family."""
        return {entry["family"]: entry["package"] for entry in self.config["vocabulary"]["originals"]}

    @property
    def benchmark(self) -> str:
        """The manifest of the benchmark's records: the miniature, or those of the hub or a local folder."""
        miniature = self.config["evaluation"]["benchmark"] == "miniature"
        return self.manifest("benchmark") if miniature else self.manifest("sources", "benchmark")

    @property
    def instructions(self) -> str:
        """The manifest of the instruction data set: made from the corpus, or fetched from the hub."""
        made = self.config["calibration"]["source"] == "made"
        return self.manifest("instructions") if made else self.manifest("sources", "datasets", "instructions")


def seeds_of(config: Mapping) -> list[int]:
    """The seeds of the trainings; a number of them is counted up from `seed`."""
    seeds, first = config["seeds"], config["seed"]
    return list(range(first, first + seeds)) if isinstance(seeds, int) else seeds


def folder_of(manifest: str) -> str:
    """The folder of an artefact, from its manifest."""
    return Path(manifest).parent.as_posix()


def local_folder(reference: Mapping) -> str:
    """The folder of a local model."""
    return "/".join(filter(None, [reference["path"], reference.get("subfolder")]))


def is_packaged(reference: Mapping) -> bool:
    """Whether a reference to a model names a file of a package."""
    return "package" in reference


def is_local(reference: Mapping) -> bool:
    """Whether a reference to a model names a folder, else an id of the hub or a file of a package."""
    return not is_packaged(reference) and (
        Path(reference["path"]).is_absolute() or reference["path"].startswith((".", "data/"))
    )


def without_vocabularies(settings: Mapping, dropped: Collection[str]) -> dict:
    """Settings of a family or of a further instruct model without some vocabularies."""
    lists = ("vocabularies", "control_vocabularies")
    kept = {key: [name for name in settings[key] if name not in dropped] for key in lists if key in settings}
    if "calibrated" in settings:
        kept["calibrated"] = [row for row in settings["calibrated"] if row["vocabulary"] not in dropped]
    if "instructs" in settings:
        further = [without_vocabularies(one, dropped) for one in settings["instructs"]]
        kept["instructs"] = [one for one in further if one.get("vocabularies", True)]
    return settings | kept
