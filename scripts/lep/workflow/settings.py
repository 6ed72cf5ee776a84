"""Checks of the workflow's configuration, done before any rule is planned; imports nothing heavy."""

import csv
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from darumeru.specs import SPECS

from lep.config import UserError
from lep.fetch.endpoint import address_fault
from lep.fetch.sources import read_sources
from lep.methods import CALIBRATED_METHOD, own_map_faults
from lep.workflow.corpus_checks import language_faults, source_faults
from lep.workflow.run import is_local, is_packaged, local_folder, without_vocabularies
from lep.workflow.schema import explain, validator
from lep.workflow.values import instructs_of, path_faults, plain_faults, range_faults, title_faults
from lep.workflow.vocabulary_checks import model_faults, original_faults


def check_settings(config: dict, root: Path) -> None:
    """Refuse a configuration that cannot work; every fault is named with its key in one message.

    Raises `UserError`. `root` is the folder of the Snakefile.
    """
    messages = list(plain_faults(config))
    if not messages:
        faults = sorted(validator(root).iter_errors(config), key=lambda fault: list(map(str, fault.path)))
        messages = [line for fault in faults for line in explain(fault)]
    messages = messages or _subset_faults(config) + original_faults(config)
    if not messages:
        config = apply_subset(config)
        checks = (
            path_faults,
            title_faults,
            range_faults,
            _family_faults,
            _control_faults,
            source_faults,
            language_faults,
            _schedule_faults,
            _benchmark_faults,
            _judge_faults,
            _comparator_faults,
            _report_faults,
            model_faults,
        )
        messages = [message for check in checks for message in check(config, root)]
    if messages:
        raise UserError("the configuration is not valid:\n" + "\n".join(f"  {message}" for message in messages))


def write_resolved_config(config: dict) -> None:
    """Write the resolved configuration to the file that LEP_CONFIG_TO names, if it does (`make plan`)."""
    if target := os.environ.get("LEP_CONFIG_TO"):
        Path(target).write_text(json.dumps(config), encoding="utf-8")


def resolve_dtype(compute: Mapping) -> str:
    """The number type that `auto` stands for. It follows the configuration, never the machine that plans the graph."""
    if compute["dtype"] != "auto":
        return compute["dtype"]
    return "bfloat16" if compute["device"] == "cuda" or compute["gpus_per_job"] else "float32"


def apply_subset(config: dict) -> dict:
    """The configuration with the families and vocabularies of `subset` alone; an empty list keeps all.

    Without further instruct models, if `propagation.instructs` is `first`.
    A number type `auto` is resolved, so that plan, jobs, manifests and run id name the one in use.
    """
    wanted, kept = config["subset"]["families"], config["subset"]["vocabularies"]
    families, left_out = [], set()
    for family in config["families"]:
        dropped = {v for v in family["vocabularies"] if kept and v not in kept}
        vocabularies = [v for v in family["vocabularies"] if v not in dropped]
        if (wanted and family["name"] not in wanted) or not vocabularies:
            dropped = set(family["vocabularies"])
        else:
            family = without_vocabularies(family, dropped)
            if config["propagation"]["instructs"] == "first":
                family.pop("instructs", None)
            families.append(family)
        left_out |= {f"{family['name']}/{v}" for v in dropped}
    sweep = config["pretraining"]["sweep"]
    sweep = sweep | {"runs": [run for run in sweep["runs"] if run not in left_out]}
    pretraining = config["pretraining"] | {"sweep": sweep}
    if config["donor"] == "published":  # one checkpoint of each, and nothing to search
        pretraining |= {"sweep": sweep | {"runs": []}, "fractions": [1.0]}
    compute = config["compute"] | {"dtype": resolve_dtype(config["compute"])}
    return config | {"families": families, "pretraining": pretraining, "compute": compute}


def _subset_faults(config: dict) -> list[str]:
    known = {
        "families": [family["name"] for family in config["families"]],
        "vocabularies": sorted({v for family in config["families"] for v in family["vocabularies"]}),
    }
    faults = [
        f"subset.{kind}: {name!r} is not known; use some of {', '.join(names)}"
        for kind, names in known.items()
        for name in config["subset"][kind]
        if name not in names
    ]
    if not faults and not apply_subset(config)["families"]:
        faults.append("subset: none of these families has one of these vocabularies")
    return faults


def _family_faults(config: dict, root: Path) -> list[str]:
    faults = own_map_faults(config["propagation"], root)
    names = [family["name"] for family in config["families"]]
    if len(set(names)) < len(names):
        faults.append(f"families: names must differ, found {', '.join(names)}")
    for family in config["families"]:
        where = f"families.{family['name']}"
        if "optimized" in family["vocabularies"] and not family["optimized_keep"]:
            faults.append(f"{where}.optimized_keep: vocabulary optimized needs the number of original tokens to keep")
        for row in family["calibrated"]:
            if row["vocabulary"] not in family["vocabularies"]:
                faults.append(f"{where}.calibrated: {row['vocabulary']} is not among this family's vocabularies")
        faults += [
            f"{where}.control_vocabularies: {vocabulary} is not among this family's vocabularies"
            for vocabulary in family.get("control_vocabularies", ())
            if vocabulary not in family["vocabularies"]
        ]
        faults += _instruct_faults(config, family, where, root)
        if CALIBRATED_METHOD not in config["propagation"]["methods"]:
            faults += [
                f"{key}.calibrated: calibration starts from {CALIBRATED_METHOD}; add it to propagation.methods"
                for key, settings in instructs_of(family)
                if settings.get("calibrated")
            ]
        faults += _donor_faults(config, family, where, root)
        if family.get("tuned_instruct") and family["instruct"] != family["base"]:
            faults.append(
                f"{where}.instruct: with tuned_instruct it is fine-tuned from the base; repeat the values of `base`"
            )
        for role in ("base", "instruct"):
            faults += _model_faults(family[role], f"{where}.{role}.path", root, family, config)
    return faults


def _instruct_faults(config: dict, family: dict, where: str, root: Path) -> Iterator[str]:
    """Faults of the further instruct models of a family."""
    methods = config["propagation"]["methods"]
    names = [further["name"] for further in family.get("instructs", ())]
    if len(set(names)) < len(names):
        yield f"{where}.instructs: names must differ, found {', '.join(names)}"
    for further in family.get("instructs", ()):
        place, carried = f"{where}.instructs.{further['name']}", further.get("vocabularies", family["vocabularies"])
        for vocabulary in carried:
            if vocabulary not in family["vocabularies"]:
                known = ", ".join(family["vocabularies"])
                yield f"{place}.vocabularies: {vocabulary} is not a vocabulary of this family; use some of {known}"
        for method in further.get("methods", ()):
            if method not in methods:
                yield f"{place}.methods: {method} is not among propagation.methods; use some of {', '.join(methods)}"
        for row in further.get("calibrated", ()):
            if row["vocabulary"] not in carried:
                yield f"{place}.calibrated: {row['vocabulary']} is not among its vocabularies, {', '.join(carried)}"
        yield from _model_faults(further["model"], f"{place}.model.path", root, family, config)


def _control_faults(config: dict, root: Path) -> list[str]:
    trains = any(family.get("control_vocabularies") for family in config["families"])
    if "direct" in config["propagation"]["controls"] and config["donor"] == "published" and trains:
        return [
            "propagation.controls: direct trains as long as the donors of this run, but with `donor: published` none "
            "is trained: it has no budget; leave direct out"
        ]
    return []


def _donor_faults(config: dict, family: dict, where: str, root: Path) -> list[str]:
    if config["donor"] != "published":
        return []
    donors, faults = family.get("published_donors", {}), []
    for vocabulary in family["vocabularies"]:
        if vocabulary not in donors:
            faults.append(f"{where}.published_donors: {vocabulary} has none; name one, or leave it out under subset")
        else:
            key = f"{where}.published_donors.{vocabulary}.path"
            faults += _model_faults(donors[vocabulary], key, root, family, config)
    return faults


def _model_faults(reference: dict, key: str, root: Path, family: dict, config: dict) -> list[str]:
    if is_packaged(reference) and reference["package"] not in (known := read_sources(root / "data/sources.csv")):
        where = key.removesuffix(".path")
        return [f"{where}.package: {reference['package']} is not in data/sources.csv, which lists {', '.join(known)}"]
    path = local_folder(reference)
    if not is_local(reference) or (family["stand_in"] and config["stand_ins"] == "trained"):
        return []
    for name in ("config.json", "tokenizer.json"):
        if not (root / path / name).is_file():
            return [f"{key}: {path} has no {name}; name a model folder (save_pretrained of model and tokenizer)"]
    return []


def _schedule_faults(config: dict, root: Path) -> list[str]:
    settings = config["pretraining"]
    faults, fractions = [], settings["fractions"]
    if fractions != sorted(set(fractions)) or fractions[-1] != 1:
        faults.append(f"pretraining.fractions: must rise and end with 1.0, found {fractions}")
    runs = [f"{family['name']}/{v}" for family in config["families"] for v in family["vocabularies"]]
    faults += [
        f"pretraining.sweep.runs: {run} is not trained here; use some of {', '.join(runs)}"
        for run in settings["sweep"]["runs"]
        if run not in runs
    ]
    processes = max(1, config["compute"]["gpus_per_job"])
    recipes = {f"calibration.recipes.{name}": recipe for name, recipe in config["calibration"]["recipes"].items()}
    faults += [
        f"{where}.batch_size: {values['batch_size']} sequences cannot be shared by {processes} GPUs "
        f"(compute.gpus_per_job); use a multiple of {processes}"
        for where, values in ({"pretraining": settings} | recipes).items()
        if values["batch_size"] % processes
    ]
    return faults


def _benchmark_faults(config: dict, root: Path) -> list[str]:
    settings, corpus = config["evaluation"], config["corpus"]
    subsets = {spec.subset: None for spec in SPECS.values()}  # records, which two tasks may share
    for key, known in (("items_per_task", subsets), ("max_new_tokens", {**SPECS, "default": None})):
        if unknown := sorted({*settings[key]} - {*known}):
            return [f"evaluation.{key}: there is no task {', '.join(unknown)}; use {', '.join(known)}"]
    kept = corpus["benchmark_fraction"] or any(source.get("split") == "benchmark" for source in corpus["sources"])
    if settings["benchmark"] == "miniature" and not kept:
        return [
            "corpus.benchmark_fraction: the miniature is made from text that it holds back; "
            "use 0.08, or another evaluation.benchmark"
        ]
    if settings["benchmark"] == "local" and not (settings["data_dir"] and (root / settings["data_dir"]).is_dir()):
        return [
            f"evaluation.data_dir: benchmark local needs a folder with {{subset}}/{{split}}.jsonl or .parquet, "
            f"found {settings['data_dir']!r}"
        ]
    return []


def _judge_faults(config: dict, root: Path) -> list[str]:
    judge = config["calibration"]["judge"]
    key = "calibration.judge"
    if judge["backend"] == "openai" and (fault := address_fault(judge["endpoint"])):
        return [f"{key}.endpoint: {fault}"]
    if judge["backend"] == "openai" and not judge["model"]:
        return [f"{key}.model: backend openai needs the judge's name at the endpoint"]
    folder = root / judge["model"]
    if judge["backend"] == "local" and not ((folder / "config.json").is_file() and judge["model"]):
        return [
            f"{key}.model: backend local needs a model folder (save_pretrained of model and tokenizer), "
            f"found {judge['model']!r}"
        ]
    return []


def _comparator_faults(config: dict, root: Path) -> list[str]:
    names = [entry["name"] for entry in (*config["families"], *config["comparators"])]
    faults = [
        f"comparators: {name} is named twice, here or in families"
        for name in sorted(set(names))
        if names.count(name) > 1
    ]
    with open(root / "data/published_scores.csv", encoding="utf-8", newline="") as file:
        known = [row["model"] for row in csv.DictReader(file) if row["family"] == "comparator"]
    for other in config["comparators"]:
        where = f"comparators.{other['name']}"
        if other["published"] is not None and other["published"] not in known:
            faults.append(
                f"{where}.published: {other['published']!r} is not in the paper; use null or one of {', '.join(known)}"
            )
        if other["published"] is None and other["model"] is None:
            faults.append(f"{where}: has neither published values nor a model; name one of them")
        if other["model"]:
            faults += _model_faults(other["model"], f"{where}.model.path", root, {"stand_in": False}, config)
    return faults


def _report_faults(config: dict, root: Path) -> list[str]:
    if config["corpus"]["languages"][0]["language"] != "ru":
        return []  # there is no report
    wanted = config["report"]["samples"]
    for family in config["families"]:
        for row in family["calibrated"]:
            if row["vocabulary"] == wanted["vocabulary"] and wanted["calibration"] in row["calibrations"]:
                return []
    return [
        f"report.samples: no family has {wanted['vocabulary']} with {wanted['calibration']} under `calibrated`; "
        "name a combination that is calibrated"
    ]
