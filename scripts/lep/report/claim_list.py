"""The paper's claims about the models of a run, with the differences of the paper.

Directions come from the paper's tables and text and were fixed before the first run. Families that are not in the paper
have no claims.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from lep.methods import CALIBRATED_METHOD, METHODS, PAPER_METHODS
from lep.names import MICRO, ORIGINAL, TITLES, UNCALIBRATED, VOCABULARIES, Family
from lep.report.markup import number
from lep.report.published import Published, find_published
from lep.report.scores import Scores
from lep.report.table import SYMBOLS

COPY_RU = "daru_copy_ru"
SMALL_METHODS = 0.016  # largest range of the Micro-Avg over the three LEP methods (paper, Table 3)
SMALL_SELF = 0.011  # largest change of MMLU or MERA by self-calibration (paper, Table 4)


@dataclass(frozen=True)
class Kind:
    """Claims on one question."""

    title: str
    parts: tuple[str, ...]  # first parts of the ids of its claims


KINDS = {
    "vocabulary": Kind("What a new vocabulary costs", ("pretraining", "propagation")),
    "methods": Kind("What the methods of propagation differ by", ("methods",)),
    "calibration": Kind("What calibration gains", ("self-calibration", "calibration", "controls")),
}


@dataclass(frozen=True)
class Comparison:
    """A difference of two models: score of `after` minus score of `before`."""

    before: str
    after: str
    name: str = MICRO  # task, group or micro_avg


@dataclass(frozen=True)
class Claim:
    """A statement about differences."""

    id: str
    statement: str
    comparisons: tuple[Comparison, ...]
    relation: str  # above, below, at least, at most (0), within (±margin)
    paper: float | None  # the paper's difference
    # What must satisfy `relation`: all = each difference; gap = the second difference minus the first;
    # exact = a difference without sampling error (symbols per token of two vocabularies).
    kind: str = "all"
    margin: float = 0.0  # of the relation `within`

    def models(self, exact: bool = False) -> list[str]:
        """Models whose item scores are needed; with `exact`, the vocabularies of an exact claim."""
        if exact != (self.kind == "exact"):
            return []
        return list(dict.fromkeys(name for c in self.comparisons for name in (c.before, c.after)))


def list_claims(
    families: list[Family], scores: Scores, published: list[Published], methods: Sequence[str] = PAPER_METHODS
) -> list[Claim]:
    """All claims, in the order of the paper's sections. Claims on LEP are about `methods`, those of the run."""
    known = [_PaperFamily(family, scores, published, methods) for family in families if family.published_family]
    parts = (_tokenization, _pretraining, _propagation, _methods, _self_calibration, _calibration, _controls)
    return [claim for part in parts for entry in known for claim in part(entry)]


@dataclass(frozen=True)
class _PaperFamily:
    """A family of the run together with its rows in published_scores.csv."""

    family: Family
    scores: Scores  # of the run, which decide the donor
    rows: list[Published]
    methods: Sequence[str]  # LEP methods of the run

    @property
    def vocabularies(self) -> list[str]:
        """Vocabularies of the family that are also in the paper."""
        return [v for v in self.family.vocabularies if find_published(self.rows, 2, self.family, v)]

    def paper(self, table: int, name: str, *keys: str) -> float:
        """The paper's value `name`; `keys` are vocabulary, LEP method and calibration, as far as the table has them."""
        return find_published(self.rows, table, self.family, *keys).values[name]

    def change(self, table: int, name: str, before: tuple[str, ...], after: tuple[str, ...]) -> float:
        """The paper's difference of two rows, with the three decimal places that it gives."""
        return round(self.paper(table, name, *after) - self.paper(table, name, *before), 3)

    def tuned(self, name: str, vocabulary: str, before: str, after: str) -> float:
        """The paper's change in Table 4 from one calibration to another."""
        lep = "" if vocabulary == ORIGINAL else CALIBRATED_METHOD
        return self.change(4, name, (vocabulary, lep, before), (vocabulary, lep, after))

    def calibrated(self) -> Iterator[tuple[str, list[str]]]:
        """Calibrated vocabularies with those of their calibrations that are also in the paper."""
        for row in self.family.calibrated:
            keys = [(row.vocabulary, CALIBRATED_METHOD, calibration) for calibration in row.calibrations]
            yield row.vocabulary, [key[2] for key in keys if find_published(self.rows, 4, self.family, *key)]


def _tokenization(entry: _PaperFamily) -> Iterator[Claim]:
    family = entry.family
    for vocabulary in entry.vocabularies:
        yield Claim(
            f"tokens/{family.name}/{vocabulary}",
            f"{family.shown('base')}: {VOCABULARIES[vocabulary].title} takes fewer tokens for Russian text than the "
            "original vocabulary.",
            (Comparison(f"{family.name}/{ORIGINAL}", f"{family.name}/{vocabulary}", SYMBOLS),),
            "above", entry.change(2, SYMBOLS, (ORIGINAL,), (vocabulary,)), "exact",
        )  # fmt: skip


def _pretraining(entry: _PaperFamily) -> Iterator[Claim]:
    family = entry.family
    for vocabulary in entry.vocabularies:
        paper = entry.change(2, MICRO, (ORIGINAL,), (vocabulary,))
        relation = "above" if paper > 0 else "below"
        yield Claim(
            f"pretraining/{family.name}/{vocabulary}",
            f"{family.shown('base')}: {VOCABULARIES[vocabulary].title} after embedding pre-training scores {relation} "
            "the original (5-shot).",
            (Comparison(family.base, entry.scores.donor(family.name, vocabulary)),),
            relation, paper,
        )  # fmt: skip


def _propagation(entry: _PaperFamily) -> Iterator[Claim]:
    """Claims on the converted models, from which calibrations start."""
    if CALIBRATED_METHOD not in entry.methods:
        return
    family = entry.family
    title, lep = family.shown("instruct"), f"LEP ({METHODS[CALIBRATED_METHOD].title})"
    original = entry.paper(4, MICRO, ORIGINAL, "", UNCALIBRATED)
    values = {v: entry.paper(3, MICRO, v, CALIBRATED_METHOD) for v in entry.vocabularies}
    for vocabulary in entry.vocabularies:
        paper = round(values[vocabulary] - original, 3)
        relation, words = ("at least", "at least like") if paper >= 0 else ("below", "below")
        yield Claim(
            f"propagation/{family.name}/{vocabulary}",
            f"{title}: {lep} to {VOCABULARIES[vocabulary].title} scores {words} the original.",
            (Comparison(family.instruct, family.propagated(vocabulary)),), relation, paper,
        )  # fmt: skip
    worst = min(values, key=values.get)
    if len(values) > 1:
        yield Claim(
            f"propagation/{family.name}/{worst}-lowest",
            f"{title}: {VOCABULARIES[worst].title} scores lowest of the vocabularies after {lep}.",
            tuple(Comparison(family.propagated(v), family.propagated(worst)) for v in values if v != worst),
            "below", round(values[worst] - sorted(values.values())[1], 3),
        )  # fmt: skip
    if "unigram" in values:
        before = entry.paper(4, COPY_RU, ORIGINAL, "", UNCALIBRATED)
        after = entry.paper(3, COPY_RU, "unigram", CALIBRATED_METHOD)
        yield Claim(
            f"propagation/{family.name}/unigram-copy",
            f"{title}: {lep} to {VOCABULARIES['unigram'].title} harms Russian copying.",
            (Comparison(family.instruct, family.propagated("unigram"), COPY_RU),), "below",
            round(after - before, 3),
        )  # fmt: skip


def _methods(entry: _PaperFamily) -> Iterator[Claim]:
    """Claims on differences between LEP methods, if the run has two or more."""
    if len(entry.methods) < 2:
        return
    family = entry.family
    *first, last = (METHODS[method].title for method in entry.methods)
    for vocabulary in entry.vocabularies:
        models = [family.propagated(vocabulary, method) for method in entry.methods]
        values = [entry.paper(3, MICRO, vocabulary, method) for method in entry.methods]
        yield Claim(
            f"methods/{family.name}/{vocabulary}",
            f"{family.shown('instruct')}: {', '.join(first)} and {last} to {VOCABULARIES[vocabulary].title} differ by "
            f"at most {number(SMALL_METHODS)}.",
            tuple(Comparison(*pair) for pair in combinations(models, 2)), "within",
            round(max(values) - min(values), 3), margin=SMALL_METHODS,
        )  # fmt: skip


def _self_calibration(entry: _PaperFamily) -> Iterator[Claim]:
    family = entry.family
    for vocabulary, calibrations in entry.calibrated():
        if "self" not in calibrations:
            continue
        models = family.tuned(vocabulary, UNCALIBRATED), family.tuned(vocabulary, "self")
        title = f"{family.shown('instruct')}, {VOCABULARIES[vocabulary].title}"
        yield Claim(
            f"self-calibration/{family.name}/{vocabulary}/copy",
            f"{title}: self-calibration raises Russian copying.",
            (Comparison(*models, COPY_RU),), "above", entry.tuned(COPY_RU, vocabulary, UNCALIBRATED, "self"),
        )  # fmt: skip
        for name in ("daru_mmlu", "daru_mera"):
            yield Claim(
                f"self-calibration/{family.name}/{vocabulary}/{TITLES[name].lower()}",
                f"{title}: self-calibration changes {TITLES[name]} by at most {number(SMALL_SELF)}.",
                (Comparison(*models, name),), "within", entry.tuned(name, vocabulary, UNCALIBRATED, "self"),
                margin=SMALL_SELF,
            )  # fmt: skip


def _calibration(entry: _PaperFamily) -> Iterator[Claim]:
    family = entry.family
    for vocabulary, calibrations in entry.calibrated():
        if "saiga_copy" not in calibrations:
            continue
        title = f"{family.shown('instruct')}, {VOCABULARIES[vocabulary].title}"
        best = family.tuned(vocabulary, "saiga_copy")
        yield Claim(
            f"calibration/{family.name}/{vocabulary}/copy",
            f"{title}: Saiga tuning with copying repairs Russian copying.",
            (Comparison(family.tuned(vocabulary, UNCALIBRATED), best, COPY_RU),), "above",
            entry.tuned(COPY_RU, vocabulary, UNCALIBRATED, "saiga_copy"),
        )  # fmt: skip
        if "saiga" in calibrations:
            yield Claim(
                f"calibration/{family.name}/{vocabulary}/added-copying",
                f"{title}: copying added to Saiga tuning does not lower Russian copying.",
                (Comparison(family.tuned(vocabulary, "saiga"), best, COPY_RU),), "at least",
                entry.tuned(COPY_RU, vocabulary, "saiga", "saiga_copy"),
            )  # fmt: skip
        for kind, key, words in (
            (UNCALIBRATED, "original", "the original model"),
            ("saiga_copy", "control", "the original model tuned alike"),
        ):
            if kind not in (UNCALIBRATED, *family.controls):
                continue
            paper = entry.change(4, MICRO, (ORIGINAL, "", kind), (vocabulary, CALIBRATED_METHOD, "saiga_copy"))
            yield Claim(
                f"calibration/{family.name}/{vocabulary}/above-{key}",
                f"{title}: tuned with Saiga and copying, it scores above {words}.",
                (Comparison(family.tuned(ORIGINAL, kind), best),), "above", paper,
            )  # fmt: skip


def _controls(entry: _PaperFamily) -> Iterator[Claim]:
    family = entry.family
    for vocabulary, calibrations in entry.calibrated():
        if "saiga_copy" not in {*calibrations} & {*family.controls}:
            continue
        both, kinds = (ORIGINAL, vocabulary), (UNCALIBRATED, "saiga_copy")
        pairs = [Comparison(*(family.tuned(v, kind) for kind in kinds)) for v in both]
        changes = [entry.tuned(MICRO, v, *kinds) for v in both]
        yield Claim(
            f"controls/{family.name}/{vocabulary}",
            f"{family.shown('instruct')}, {VOCABULARIES[vocabulary].title}: it gains more from Saiga tuning with "
            "copying than the original model.",
            tuple(pairs), "above", round(changes[1] - changes[0], 3), "gap",
        )  # fmt: skip
