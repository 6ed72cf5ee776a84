"""Checks of single values of the configuration: numbers, texts, paths and titles, which a schema cannot judge."""

import csv
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

from lep.names import COMPARATOR, STAND_IN
from lep.workflow.run import is_local, is_packaged, seeds_of

# Values that are shown or written as a text of several lines.
_LINES = ("calibration.copy_instruction", "plan.source")
_NO_NAME = re.compile(r"[{}<>]|^[-~]")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_REVISION = re.compile(r"[A-Za-z0-9][\w./-]*")
# Letters and signs that the fonts of figures and PDF draw: Latin, Greek, Cyrillic, punctuation.
_DRAWN = re.compile("[ -~\xa0-\xac\xae-\u017f\u0391-\u03a1\u03a3-\u03c9\u0400-\u045f\u2013\u2014\u2018-\u201e\u2026]+")


def plain_faults(value: object, key: str = "") -> Iterator[str]:
    """Faults of any key: names that are no text, numbers that are not finite, texts with control characters."""
    if isinstance(value, Mapping):
        for name, below in value.items():
            if isinstance(name, str):
                yield from plain_faults(below, f"{key}.{name}" if key else name)
            else:
                yield f"{key or 'top level'}: the key {name!r} is no text; put it into quotes, as YAML reads {_HINT}"
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from plain_faults(below, f"{key}.{number}")
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{key}: must be a finite number, found {value}"
    elif isinstance(value, str) and key not in _LINES:
        found = [c for c in value if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
        for character in found[:1]:
            yield f"{key}: {value!r} has the control character {character!r}; write it as one line"


def instructs_of(family: Mapping) -> list[tuple[str, Mapping]]:
    """(key, settings) of the instruct models of a family: of the first in the family itself, then of further ones."""
    where = f"families.{family['name']}"
    return [(where, family), *((f"{where}.instructs.{one['name']}", one) for one in family.get("instructs", ()))]


_HINT = "no, yes, on and off as booleans, and digits as numbers"


def type_hint(found: object) -> str:
    """What YAML has made of a value of the wrong type."""
    if isinstance(found, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", found):
        return f"; YAML reads {found} as text, write {float(found):.10f}".rstrip("0")
    if isinstance(found, bool):
        return f"; YAML reads {_HINT}: put a text into quotes"
    if isinstance(found, float) and found.is_integer():
        return f"; write {found:.0f}"
    return ""


def path_faults(config: Mapping, root: Path) -> list[str]:
    """Paths and hub ids that the workflow, a shell or the hub cannot take."""
    faults = []
    for key, place in _paths(config):
        if found := _NO_NAME.search(place):
            faults.append(
                f"{key}: {place!r} has {found[0]!r}, which Snakemake or a command reads as its own; use another name"
            )
        elif place != place.strip():
            faults.append(f"{key}: {place!r} begins or ends with a space; leave it out")
    for key, reference in _references(config):
        name, revision = reference.get("path", reference.get("repository")), reference["revision"]
        if is_packaged(reference):
            if revision != "packaged" or not name.endswith(".gguf"):
                faults.append(
                    f"{key}: a model of a package is a file .gguf of it with `revision: packaged`, found {name} with "
                    f"{revision}"
                )
            continue
        local = "path" in reference and is_local(reference)
        if not local and not _REPOSITORY.fullmatch(name):
            faults.append(f"{key}: {name!r} is no id of the hub; write owner/name, or ./{name} for a folder of yours")
        if not local and revision == "shipped":
            faults.append(
                f"{key}: {name} is not a folder, so its revision cannot be `shipped`; write a commit or unpinned"
            )
        if revision == "packaged":
            faults.append(f"{key}: revision `packaged` needs the name of the package; write `package: NAME`")
        if not _REVISION.fullmatch(revision):
            faults.append(f"{key}: the revision {revision!r} cannot be one; write a commit or unpinned")
    return faults


def _paths(config: Mapping) -> Iterator[tuple[str, str]]:
    yield "data.local_dir", config["data"]["local_dir"]
    yield "evaluation.data_dir", config["evaluation"]["data_dir"]
    yield "calibration.judge.model", config["calibration"]["judge"]["model"]
    for name, model in config["vocabulary"]["models"].items():
        yield f"vocabulary.models.{name}", model
    yield "propagation.own", config["propagation"]["own"] or ""
    for source in config["corpus"]["sources"]:
        if "path" in source:
            yield f"corpus.sources.{source['name']}.path", source["path"]
    for key, reference in _references(config):
        if "path" in reference:
            yield f"{key}.path", reference["path"]


def _references(config: Mapping) -> Iterator[tuple[str, Mapping]]:
    """(key, reference) of every model and data set, a folder or of the hub."""
    for family in config["families"]:
        for role in ("base", "instruct"):
            yield f"families.{family['name']}.{role}", family[role]
        for key, further in instructs_of(family)[1:]:
            yield f"{key}.model", further["model"]
        for vocabulary, donor in family.get("published_donors", {}).items():
            yield f"families.{family['name']}.published_donors.{vocabulary}", donor
    for other in config["comparators"]:
        if other["model"]:
            yield f"comparators.{other['name']}.model", other["model"]
    for source in config["corpus"]["sources"]:
        if "dataset" in source:
            yield f"corpus.sources.{source['name']}.dataset", source["dataset"]
    yield "calibration.dataset", config["calibration"]["dataset"]
    for name, dataset in config["evaluation"]["datasets"].items():
        yield f"evaluation.datasets.{name}", dataset


def title_faults(config: Mapping, root: Path) -> list[str]:
    """Titles that cannot be drawn, hide a stand-in, or name a family that the paper has not."""
    models = [(*entry, family["stand_in"]) for family in config["families"] for entry in _titles(family)]
    titles = [(key, title) for key, title, _ in models]
    titles += [(f"comparators.{other['name']}.title", other["title"]) for other in config["comparators"]]
    faults = []
    for key, title in titles:
        if not title.strip():
            faults.append(f"{key}: is empty; write the name that tables and figures show")
        elif undrawn := sorted({c for c in title if not _DRAWN.fullmatch(c)}):
            faults.append(
                f"{key}: {title!r} has {', '.join(map(repr, undrawn))}, which the fonts of figures and PDF lack; "
                "use Latin, Greek or Cyrillic letters"
            )
    with open(root / "data/published_scores.csv", encoding="utf-8", newline="") as file:
        known = dict.fromkeys(row["family"] for row in csv.DictReader(file) if row["family"] != COMPARATOR)
    for key, title, stand_in in models:
        if (STAND_IN in title) != stand_in:
            which = f"must say ({STAND_IN})" if stand_in else f"must not say {STAND_IN}"
            faults.append(f"{key}: stand_in is {stand_in}, so it {which}, found {title!r}")
    for family in config["families"]:
        where = f"families.{family['name']}"
        if family["published_family"] not in (None, *known):
            faults.append(
                f"{where}.published_family: {family['published_family']!r} is not in data/published_scores.csv; "
                f"use null or one of {', '.join(known)}"
            )
    return faults


def _titles(family: Mapping) -> list[tuple[str, str]]:
    """(key, title) of each model of a family."""
    (where, first), *others = instructs_of(family)
    found = [(f"{where}.{key}", first[key]) for key in ("base_title", "instruct_title")]
    return found + [(f"{key}.title", further["title"]) for key, further in others]


def range_faults(config: Mapping, root: Path) -> list[str]:
    """Pairs and lists of numbers that no run could use."""
    faults = []
    for key, (low, high) in (
        ("corpus.quality.mean_word_length", config["corpus"]["quality"]["mean_word_length"]),
        ("calibration.copy_characters", config["calibration"]["copy_characters"]),
    ):
        if low > high:
            faults.append(f"{key}: the lowest value comes first, found [{low}, {high}]")
    faults += _split_faults(config["corpus"])
    per_cent = [round(100 * fraction) for fraction in config["pretraining"]["fractions"]]
    if 0 in per_cent or len(set(per_cent)) < len(per_cent):
        faults.append(
            f"pretraining.fractions: checkpoints are named by whole per cents, these are "
            f"{', '.join(map(str, per_cent))}; let each give another, 1 or more"
        )
    rates = [f"{rate:g}" for rate in config["pretraining"]["sweep"]["learning_rates"]]
    if len(set(rates)) < len(rates):
        faults.append(f"pretraining.sweep.learning_rates: two are equal to six digits: {', '.join(rates)}")
    seeds = seeds_of(config)
    if seeds[0] != config["seed"] or max(seeds) > _LARGEST_SEED:
        faults.append(
            f"seeds: the list must begin with `seed`, {config['seed']}, and have no seed above {_LARGEST_SEED}, found "
            f"{seeds}"
        )
    if len(seeds) > 1 and config["corpus"]["languages"][0]["language"] != "ru":
        faults.append("seeds: nothing scores these models (Darumeru asks in Russian), so nothing varies; write 1")
    if 0 < (longest := config["evaluation"]["max_model_tokens"]) < _SHORTEST:
        faults.append(
            f"evaluation.max_model_tokens: {longest} is too short for any prompt; use 0 or {_SHORTEST} or more"
        )
    return faults


_SHORTEST = 16
_LARGEST_SEED = 2**32 - 1


def _split_faults(corpus: Mapping) -> Iterator[str]:
    shares = {name: corpus[f"{name}_fraction"] for name in ("validation", "benchmark")}
    shares["train"] = 1 - sum(shares.values())
    if shares["train"] <= 0:
        yield (
            "corpus.validation_fraction and corpus.benchmark_fraction: nothing is left for training, their sum is "
            f"{1 - shares['train']:g}; it must be below 1"
        )
        return
    whole = {source.get("split") for source in corpus["sources"]}
    for name in ("train", "validation"):
        share = shares[name]
        if name not in whole and (None not in whole or not share):
            yield (
                f"corpus.{name}_fraction: no text would be in the split {name}; raise the fraction, "
                f"or give a source `split: {name}`"
                if name != "train"
                else "corpus.sources: no text would be in the split train; leave out `split` of a source"
            )
