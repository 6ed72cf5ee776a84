"""Faults of the settings of the corpus: its sources and its languages."""

import re
from pathlib import Path

from lep.workflow.sources import INSTRUCTIONS
from lep.workflow.values import instructs_of


def source_faults(config: dict, root: Path) -> list[str]:
    """Faults of `corpus.sources`."""
    recorded = {line.split(",")[0] for line in (root / "data/sources.csv").read_text(encoding="utf-8").splitlines()[1:]}
    names = [source["name"] for source in config["corpus"]["sources"]]
    faults = [f"corpus.sources: two have the name {name}" for name in sorted(set(names)) if names.count(name) > 1]
    for source in config["corpus"]["sources"]:
        where = f"corpus.sources.{source['name']}"
        if "dataset" in source and source["name"] == INSTRUCTIONS:
            faults.append(f"{where}: the fetched instruction data set has this name; give the source another")
        if sum(place in source for place in ("package", "dataset", "debian", "path")) != 1:
            faults.append(f"{where}: give exactly one of package, dataset, debian, path")
        if "package" in source and source["package"] not in recorded:
            faults.append(f"{where}.package: {source['package']} is not in data/sources.csv")
        for name in sorted(set(source.get("debian", [])) - recorded):
            faults.append(f"{where}.debian: {name} is not in data/sources.csv; record its licence there first")
        if "domain_pattern" in source:
            faults += _pattern_faults(source, f"{where}.domain_pattern")
        if "path" in source and not (root / source["path"]).exists():
            faults.append(f"{where}.path: {source['path']} does not exist")
    return faults


def _pattern_faults(source: dict, where: str) -> list[str]:
    if source["reader"] != "documents":
        return [f"{where}: only the reader documents takes it; remove it"]
    try:
        pattern = re.compile(source["domain_pattern"])
    except re.error as error:
        return [f"{where}: {source['domain_pattern']!r} is no regular expression ({error})"]
    if "domain" in pattern.groupindex:
        return []
    return [f"{where}: {source['domain_pattern']!r} has no group `domain`; write (?P<domain>...) around that part"]


def language_faults(config: dict, root: Path) -> list[str]:
    """Faults of `corpus.languages` and of what names a language."""
    codes = [row["language"] for row in config["corpus"]["languages"]]
    known = ", ".join(codes)
    faults = [f"corpus.languages: {code} is named twice" for code in sorted(set(codes)) if codes.count(code) > 1]
    named = {f"corpus.sources.{s['name']}.language": [s.get("language", codes[0])] for s in config["corpus"]["sources"]}
    for section in ("vocabulary", "pretraining"):
        weights = config[section]["language_weights"]
        named[f"{section}.language_weights"] = [code for code, weight in weights.items() if weight]
    faults += [
        f"{key}: {code} is not one of corpus.languages ({known}); name it there or leave it out (a weight: set it to 0)"
        for key, found in named.items()
        for code in found
        if code not in codes
    ]
    if codes[0] == "ru":
        return faults
    why = f"Darumeru and the instructions made here are Russian, corpus.languages begins with {codes[0]}"
    if len(config["pretraining"]["fractions"]) > 1:
        faults.append(f"pretraining.fractions: {why}: nothing can choose among checkpoints; keep one, [1.0]")
    if config["calibration"]["source"] == "made":
        faults += [
            f"{where}.{key}: {why}; write [], or bring your own with calibration.source: hub"
            for family in config["families"]
            for where, settings in instructs_of(family)
            for key in ("calibrated", "controls")
            if settings.get(key)
        ]
    return faults
