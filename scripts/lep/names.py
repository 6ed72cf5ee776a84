"""The register of names: vocabularies, LEP methods, calibrations, families, and the grammar of model names.

Everything that lists or shows one of them reads it here: schema, graph, plan, report, cards and checks. The tasks and
groups of the benchmark are those of `darumeru.specs`.
"""

import re
from collections.abc import Sequence

from darumeru.specs import GROUPS, MICRO, SPECS
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from lep.config import UserError, parse_job

TASKS = tuple(SPECS)
COLUMNS = (MICRO, *GROUPS)
LEVELS = {"task": TASKS, "group": tuple(GROUPS), "micro": (MICRO,)}
TITLES = {
    MICRO: "Micro-Avg",
    "daru_mmlu": "MMLU",
    "daru_mera": "MERA",
    "daru_sum": "Sum",
    "daru_copy_en": "Copy EN",
    "daru_copy_ru": "Copy RU",
}
ORIGINAL = "original"  # the vocabulary of the source models, and of the controls


@dataclass(frozen=True)
class Vocabulary:
    """A kind of vocabulary (paper section 2.1.1).

    A change here repeats the report alone: raise RECIPE_VERSION of `lep.vocabulary.build` if a vocabulary changes.
    """

    title: str
    model_type: str = ""
    """SentencePiece model that the new tokens come from: bpe or unigram"""
    size_key: str = ""
    """key of a family with the pieces of that model: replacement_size or extension_size"""
    keeps: str = "none"
    """old tokens that stay: none, all, or the first `optimized_keep` of a family (some)"""

    @property
    def replaces(self) -> bool:
        """Whether no old token stays but the special ones."""
        return self.keeps == "none"


VOCABULARIES = {
    ORIGINAL: Vocabulary("Original", keeps="all"),
    "bpe": Vocabulary("BPE", "bpe", "replacement_size"),
    "unigram": Vocabulary("Unigram", "unigram", "replacement_size"),
    "extended": Vocabulary("Extended", "bpe", "extension_size", keeps="all"),
    "optimized": Vocabulary("Optimized", "bpe", "extension_size", keeps="some"),
}
NEW_VOCABULARIES = tuple(name for name in VOCABULARIES if name != ORIGINAL)


@dataclass(frozen=True)
class Method:
    """A method of Learned Embedding Propagation (paper section 2.2); `summary` is what a model card says of it."""

    title: str
    summary: str


METHODS = {
    "swap": Method("Swap", "the donor's rows as they are"),
    "overlap": Method(
        "Overlap", "the donor's rows through a linear map, fitted on the tokens that both vocabularies share"
    ),
    "conversion": Method(
        "Conversion", "the donor's rows through a linear map, fitted on the averaged rows of base and instruct model"
    ),
}
CALIBRATED_METHOD = "conversion"  # calibrations start from the models of this method (paper section 2.4.3)


@dataclass(frozen=True)
class Calibration:
    """A calibration (paper sections 2.4.2 and 2.4.3)."""

    title: str
    published: str
    """its name in data/published_scores.csv"""
    recipe: str
    """key of `calibration.recipes`"""
    own_answers: bool
    """whether the data are graded answers of the un-adapted instruct model, else the instruction data set"""
    copies: bool
    """whether copy instructions are added (`calibration.copy_examples`)"""
    summary: str
    """what a model card says of the data"""


CALIBRATIONS = {
    "self": Calibration(
        "self-calibration", "self-calibration", "self", own_answers=True, copies=True,
        summary="answers of the unadapted instruct model, graded by a judge, and copy instructions",
    ),
    "saiga": Calibration(
        "saiga", "saiga", "saiga", own_answers=False, copies=False, summary="instructions of the Saiga data set"
    ),
    "saiga_copy": Calibration(
        "saiga + copying", "saiga+copy", "saiga", own_answers=False, copies=True,
        summary="instructions of the Saiga data set, and copy instructions",
    ),
}  # fmt: skip
# What the unadapted instruct model can be tuned with as well: not with answers of its own.
CONTROLS = tuple(name for name, entry in CALIBRATIONS.items() if not entry.own_answers)
UNCALIBRATED = "none"  # a model before calibration, in tables and published rows
CALIBRATION_TITLES = {UNCALIBRATED: "–"} | {name: entry.title for name, entry in CALIBRATIONS.items()}
PUBLISHED_CALIBRATIONS = {UNCALIBRATED: UNCALIBRATED} | {name: c.published for name, c in CALIBRATIONS.items()}
PUBLISHED_TITLES = {
    "mistral-7b": ("Mistral-7B", "OpenChat-3.5 (Mistral-7B)"),
    "llama-3-8b": ("LLaMa-3-8B", "LLaMa-3-8B (Instruct)"),
}
# Base and instruct model of the paper's rows, by their ids on the hub (paper section 2.4).
PUBLISHED_MODELS = {
    "mistral-7b": ("mistralai/Mistral-7B-v0.1", "openchat/openchat-3.5-0106"),
    "llama-3-8b": ("meta-llama/Meta-Llama-3-8B", "meta-llama/Meta-Llama-3-8B-Instruct"),
}
ROLES = ("base", "instruct")
COMPARATOR = "comparator"  # the family of other models in data/published_scores.csv
STAND_IN = "stand-in"

_STEP = rf"init|donor|cpt-\d{{3}}|{'|'.join(METHODS)}"
_CALIBRATION = "|".join(CALIBRATIONS)
_GRAMMAR = re.compile(
    rf"(?P<family>[\w.-]+)/(?:(?P<role>{'|'.join(ROLES)})|{ORIGINAL}/instruct/(?P<control>{_CALIBRATION})"
    rf"|(?P<vocabulary>{'|'.join(NEW_VOCABULARIES)})/"
    rf"(?:(?P<step>{_STEP})|{CALIBRATED_METHOD}/(?P<calibration>{_CALIBRATION})))"
)


@dataclass(frozen=True)
class ModelName:
    """A model's name is its history: `llama/base`, `llama/extended/cpt-050`, `llama/extended/conversion/saiga`.

    `step` is base or instruct of a source model, else init, donor, a checkpoint or a LEP method; of a calibrated model
    it is the parent: the calibrated LEP method, or instruct of a control, whose vocabulary is `original`.
    """

    family: str
    vocabulary: str
    step: str
    calibration: str = ""

    def __str__(self) -> str:
        if self.step in ROLES and not self.calibration:
            return f"{self.family}/{self.step}"
        return "/".join(part for part in (self.family, self.vocabulary, self.step, self.calibration) if part)

    @property
    def is_control(self) -> bool:
        """Whether this is a calibrated model with the original vocabulary."""
        return bool(self.calibration) and self.vocabulary == ORIGINAL


def parse_model_name(text: str) -> ModelName:
    """Read a model's name; `UserError` where it is none."""
    found = _GRAMMAR.fullmatch(text)
    if found is None:
        raise UserError(
            f"{text!r} is no name of a model; use FAMILY/ROLE, FAMILY/VOCABULARY/STEP or "
            "FAMILY/VOCABULARY/PARENT/CALIBRATION, such as llama/base, llama/extended/conversion"
        )
    parts = found.groupdict()
    step = parts["role"] or parts["step"] or ("instruct" if parts["control"] else CALIBRATED_METHOD)
    calibration = parts["control"] or parts["calibration"] or ""
    return ModelName(parts["family"], parts["vocabulary"] or ORIGINAL, step, calibration)


_LENIENT = ConfigDict(extra="ignore", populate_by_name=True)  # the report uses a few of a family's keys


@dataclass(frozen=True, config=_LENIENT)
class Reference:
    """A model by its hub id or its folder."""

    path: str


@dataclass(frozen=True, config=_LENIENT)
class Comparator:
    """Another model of Table 1. `published` is its name in the paper's rows; `model` None: the paper's values alone."""

    name: str
    title: str
    published: str | None = None
    model: Reference | None = None

    @property
    def instruct(self) -> str:
        return f"{self.name}/instruct"


@dataclass(frozen=True, config=_LENIENT)
class Calibrated:
    """Calibrations that follow the conversion to one vocabulary."""

    vocabulary: str
    calibrations: list[str]


@dataclass(frozen=True, config=_LENIENT)
class Family:
    """A base model and its instruct model. `published_family` names its rows in the paper, None: there are none."""

    name: str
    base_title: str
    instruct_title: str
    stand_in: bool
    vocabularies: list[str]
    published_family: str | None = None
    base_source: Reference | None = Field(None, alias="base")
    instruct_source: Reference | None = Field(None, alias="instruct")
    calibrated: list[Calibrated] = ()
    controls: list[str] = CONTROLS

    @property
    def base(self) -> str:
        return f"{self.name}/base"

    @property
    def instruct(self) -> str:
        return f"{self.name}/instruct"

    def shown(self, role: str) -> str:
        """Title of `base` or `instruct`; a stand-in is always called so."""
        title = self.base_title if role == "base" else self.instruct_title
        return f"{title} ({STAND_IN})" if self.stand_in and STAND_IN not in title else title

    @property
    def is_published(self) -> bool:
        """Whether these are the paper's own models, by their hub ids; a local folder proves nothing."""
        ids = tuple(source and source.path for source in (self.base_source, self.instruct_source))
        return not self.stand_in and ids == PUBLISHED_MODELS.get(self.published_family)

    def propagated(self, vocabulary: str, method: str = CALIBRATED_METHOD) -> str:
        """Name of the model that LEP made."""
        return f"{self.name}/{vocabulary}/{method}"

    def tuned(self, vocabulary: str, calibration: str) -> str:
        """Name of a calibrated model; `original` is a control, `none` the model before calibration."""
        step = "instruct" if vocabulary == ORIGINAL else CALIBRATED_METHOD
        return str(ModelName(self.name, vocabulary, step, "" if calibration == UNCALIBRATED else calibration))


def parse_methods(values: Sequence[str]) -> tuple[str, ...]:
    """The LEP methods of a run, in the order of the register; `UserError` for one that is unknown."""
    if unknown := [value for value in values if value not in METHODS]:
        raise UserError(f"unknown LEP method {', '.join(unknown)}; use {', '.join(METHODS)}")
    return tuple(method for method in METHODS if method in values)


def parse_families(values: Sequence[dict | Family]) -> list[Family]:
    """The families of the configuration; keys that the report does not use are ignored."""
    return [
        value if isinstance(value, Family) else parse_job(Family, value, f"families[{number}]")
        for number, value in enumerate(values)
    ]


def parse_comparators(values: Sequence[dict | Comparator]) -> list[Comparator]:
    """The other models of Table 1."""
    return [
        value if isinstance(value, Comparator) else parse_job(Comparator, value, f"comparators[{number}]")
        for number, value in enumerate(values)
    ]


def micro_average(groups: dict[str, float]) -> float:
    """Micro-Avg from the five groups' scores: (3 MMLU + 8 MERA + 2 Sum + 2 Copy-EN + 2 Copy-RU) / 17."""
    return sum(groups[name] * len(tasks) for name, tasks in GROUPS.items()) / len(TASKS)
