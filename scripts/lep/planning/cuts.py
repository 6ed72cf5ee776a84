"""Cuts: overlays for a smaller run, with what each one loses."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lep.names import ORIGINAL
from lep.planning.schedule import Job
from lep.workflow.run import seeds_of


@dataclass(frozen=True)
class Cut:
    """One way to make a run smaller."""

    overlay: str  # YAML for a file of --configfile
    loses: str  # results that are missing then
    changed: Callable[[dict], dict]  # the configuration with the overlay
    keeps: Callable[[Job], bool] = lambda job: True  # whether a job remains


def _with(section: str, **values: object) -> Callable[[dict], dict]:
    return lambda config: config | {section: config[section] | values}


def _without(*rules: str) -> Callable[[Job], bool]:
    return lambda job: job.rule not in rules


def _evaluates(name: str) -> Callable[[Job], bool]:
    """Keeps all jobs except evaluations of checkpoints before the last one; `name` is the wildcard of the model."""
    return lambda job: job.rule != "evaluate_part" or not re.search(r"cpt-(?!100)", job.wildcards.get(name, ""))


def cuts(config: Mapping) -> list[Cut]:
    """All cuts, from the smallest loss to the largest."""
    tokens = config["plan"]["text"]["tokens"] * 40 // 96
    only = "extended"
    repeats = Cut(
        "seeds: 1",
        "the variance of training, which intervals then leave out",
        lambda config: config | {"seeds": 1},
        lambda job: not job.wildcards.get("seed"),
    )
    return [
        *([repeats] if len(seeds_of(config)) > 1 else []),
        Cut(
            "pretraining: {sweep: {runs: []}}",
            "the table of learning rates; the paper's rates are configured",
            _with("pretraining", sweep=config["pretraining"]["sweep"] | {"runs": []}),
            _without("pretrain_sweep", "make_sweep_table"),
        ),
        Cut(
            "pretraining: {fractions: [1.0]}",
            "all points of Figure 2 but the last, and the choice among checkpoints",
            _with("pretraining", fractions=[1.0]),
            _evaluates("key"),
        ),
        Cut(
            "evaluation: {limit: 1000}",
            "precision: intervals of MMLU, ruOpenBookQA and RuCoLA up to four times as wide",
            _with("evaluation", limit=1000),
        ),
        Cut(
            f"pretraining: {{token_budget: {tokens}}}",
            "more than half of the pre-training: 40 of 96 GB of text remain, the minimum according to the paper",
            _with("pretraining", token_budget=tokens),
        ),
        *_published(config),
        Cut(
            f"subset: {{vocabularies: [{only}]}}",
            f"the rows of all vocabularies but {only}",
            dict,
            lambda job: job.wildcards.get("vocabulary", only) in (only, ORIGINAL),
        ),
    ]


def _published(config: Mapping) -> list[Cut]:
    if config["donor"] == "published" or not all(family.get("published_donors") for family in config["families"]):
        return []
    trained = (
        "train_sentencepiece",
        "count_part",
        "pack_part",
        "pack_corpus",
        "pretrain",
        "pretrain_direct",
        "pretrain_sweep",
        "make_sweep_table",
    )
    kept = (_without(*trained), _evaluates("key"))
    return [
        Cut(
            "donor: published",
            "our own pre-training: the authors' models replace it (it is not known whether they can be fetched), and "
            "Figure 2 has one point per vocabulary",
            lambda config: config | {"donor": "published"},
            lambda job: all(keeps(job) for keeps in kept),
        )
    ]
