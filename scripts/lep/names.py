"""The register of names: vocabularies, LEP methods, calibrations, families, and the grammar of model names.

Schema, graph, plan, report, cards and checks all read these names here. The tasks and groups of the benchmark come from
`darumeru.specs`.
"""

import re
from collections.abc import Mapping, Sequence

from darumeru.specs import GROUPS, MICRO, SPECS
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from lep.config import UserError, parse_job
from lep.methods import CALIBRATED_METHOD, COMPARED
from lep.methods import CONTROLS as PROPAGATION_CONTROLS

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
ORIGINAL = "original"  # the vocabulary of the source models and the controls


@dataclass(frozen=True)
class Vocabulary:
    """A kind of vocabulary (paper section 2.1.1).

    A change here reruns only the report. If it changes a vocabulary, raise RECIPE_VERSION of `lep.vocabulary.build`.
    """

    title: str
    model_type: str = ""
    """SentencePiece model of the new tokens: bpe or unigram; empty = no new tokens"""
    size_key: str = ""
    """key of a family with the size of that model: replacement_size or extension_size"""
    keeps: str = "none"
    """old tokens that are kept: none, all, or some (the first `optimized_keep` of a family)"""

    @property
    def replaces(self) -> bool:
        """Whether all old tokens are replaced, except special ones."""
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
class Calibration:
    """A calibration (paper sections 2.4.2 and 2.4.3)."""

    title: str
    published: str
    """name in data/published_scores.csv"""
    recipe: str
    """key of `calibration.recipes`"""
    own_answers: bool
    """whether the data are graded answers of the original instruct model; else they are the instruction data set"""
    copies: bool
    """whether copy instructions are added (`calibration.copy_examples`)"""
    summary: str
    """description of the data in model cards"""


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
# Calibrations of the original instruct model: all but those on its own answers.
CONTROLS = tuple(name for name, entry in CALIBRATIONS.items() if not entry.own_answers)
UNCALIBRATED = "none"  # name of "no calibration", in tables and published rows
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
FURTHER = "@"  # between the name of a family and that of a further instruct model of its base
COMPARATOR = "comparator"  # family of the other models in data/published_scores.csv
STAND_IN = "stand-in"

_STEP = rf"init|donor|cpt-\d{{3}}|{'|'.join(COMPARED)}"
_CALIBRATION = "|".join(CALIBRATIONS)
_GRAMMAR = re.compile(
    rf"(?P<family>[\w.-]+(?:{FURTHER}[\w.-]+)?)/(?:(?P<role>{'|'.join(ROLES)})|{ORIGINAL}/instruct/(?P<control>{_CALIBRATION})"
    rf"|(?P<vocabulary>{'|'.join(NEW_VOCABULARIES)})/"
    rf"(?:(?P<step>{_STEP})|{CALIBRATED_METHOD}/(?P<calibration>{_CALIBRATION})))"
)


@dataclass(frozen=True)
class ModelName:
    """Name of a model, which tells how it was made.

    Such as `llama/base`, `llama/extended/cpt-050`, `llama/extended/conversion/saiga`, `llama/original/instruct/saiga`.
    """

    family: str
    """or, of a further instruct model, the pair, such as `llama@second`"""
    vocabulary: str
    """`original` for source models and controls"""
    step: str
    """base, instruct, init, donor, cpt-NNN, a LEP method or a control of them; of a calibrated model the parent's"""
    calibration: str = ""
    """name of the calibration; empty = not calibrated"""

    def __str__(self) -> str:
        if self.step in ROLES and not self.calibration:
            return f"{self.family}/{self.step}"
        return "/".join(part for part in (self.family, self.vocabulary, self.step, self.calibration) if part)

    @property
    def is_control(self) -> bool:
        """Whether this is a calibrated model with the original vocabulary."""
        return bool(self.calibration) and self.vocabulary == ORIGINAL


def parse_model_name(text: str) -> ModelName:
    """Parse the name of a model; `UserError` if it is not valid."""
    found = _GRAMMAR.fullmatch(text)
    if found is None:
        raise UserError(
            f"{text!r} is not a model name; use FAMILY/ROLE, FAMILY/VOCABULARY/STEP or "
            "FAMILY/VOCABULARY/PARENT/CALIBRATION, such as llama/base, llama/extended/conversion"
        )
    parts = found.groupdict()
    step = parts["role"] or parts["step"] or ("instruct" if parts["control"] else CALIBRATED_METHOD)
    calibration = parts["control"] or parts["calibration"] or ""
    return ModelName(parts["family"], parts["vocabulary"] or ORIGINAL, step, calibration)


_LENIENT = ConfigDict(extra="ignore", populate_by_name=True)  # the report needs only some keys of a family


@dataclass(frozen=True, config=_LENIENT)
class Reference:
    """Reference to a model."""

    path: str
    """hub id or folder"""


@dataclass(frozen=True, config=_LENIENT)
class Comparator:
    """Another model of Table 1."""

    name: str
    title: str
    """name in the table"""
    published: str | None = None
    """name in data/published_scores.csv; None = not in the paper"""
    model: Reference | None = None
    """None = not run, only the paper's values are shown"""

    @property
    def instruct(self) -> str:
        return f"{self.name}/instruct"


@dataclass(frozen=True, config=_LENIENT)
class Calibrated:
    """Calibrations of the model converted to one vocabulary."""

    vocabulary: str
    calibrations: list[str]


@dataclass(frozen=True, config=_LENIENT)
class Family:
    """A base model and its instruct model."""

    name: str
    base_title: str
    instruct_title: str
    stand_in: bool
    """whether these are small models instead of the paper's"""
    vocabularies: list[str]
    """new vocabularies"""
    published_family: str | None = None
    """family in data/published_scores.csv; None = not in the paper"""
    base_source: Reference | None = Field(None, alias="base")
    instruct_source: Reference | None = Field(None, alias="instruct")
    calibrated: list[Calibrated] = ()
    controls: list[str] = CONTROLS
    """calibrations of the original instruct model"""
    control_vocabularies: list[str] = ()
    """vocabularies that the controls of the propagation are made for"""
    methods: list[str] | None = None
    """LEP methods that are scored; None = all of the run"""

    @property
    def base(self) -> str:
        return f"{self.name}/base"

    @property
    def instruct(self) -> str:
        return f"{self.name}/instruct"

    def shown(self, role: str) -> str:
        """Title of `base` or `instruct`; that of a stand-in always says so."""
        title = self.base_title if role == "base" else self.instruct_title
        return f"{title} ({STAND_IN})" if self.stand_in and STAND_IN not in title else title

    @property
    def is_published(self) -> bool:
        """Whether these are the models of the paper, by their hub ids; a local folder may hold any model."""
        ids = tuple(source and source.path for source in (self.base_source, self.instruct_source))
        return not self.stand_in and ids == PUBLISHED_MODELS.get(self.published_family)

    def propagated(self, vocabulary: str, method: str = CALIBRATED_METHOD) -> str:
        """Name of a LEP model, or of a control of them."""
        made = method not in PROPAGATION_CONTROLS or PROPAGATION_CONTROLS[method].is_made
        return f"{self.name}/{vocabulary}/{method}" if made else self.instruct

    def scored(self, methods: Sequence[str]) -> list[str]:
        """Those LEP methods of a run whose models are scored."""
        return [method for method in methods if self.methods is None or method in self.methods]

    def tuned(self, vocabulary: str, calibration: str) -> str:
        """Name of a calibrated model; a control for vocabulary `original`, its parent for calibration `none`."""
        step = "instruct" if vocabulary == ORIGINAL else CALIBRATED_METHOD
        return str(ModelName(self.name, vocabulary, step, "" if calibration == UNCALIBRATED else calibration))


def family_of(pair: str) -> str:
    """The family of a pair of models, such as `llama` of `llama@second`: base, vocabularies and donors are its own."""
    return pair.partition(FURTHER)[0]


def pairs_of(family: Mapping) -> list[Mapping]:
    """The pairs of base and instruct model of a family of the configuration, each in the form of a family.

    The family itself, then one pair for each of its further `instructs`, with its base and donors; what the paper has,
    and the controls of the propagation, are of the first alone.
    """
    pairs = [{key: value for key, value in family.items() if key != "instructs"}]
    none = {key: [] for key in ("calibrated", "controls", "control_vocabularies")}
    for further in family.get("instructs", ()):
        own = {key: value for key, value in further.items() if key not in ("title", "model")}
        own |= {"name": family["name"] + FURTHER + further["name"], "published_family": None, "tuned_instruct": False}
        pairs.append(pairs[0] | none | own | {"instruct_title": further["title"], "instruct": further["model"]})
    return pairs


def parse_pairs(values: Sequence[Mapping | Family]) -> list[Family]:
    """The families of the configuration and, as families too, the further instruct models of each."""
    return parse_families([p for value in values for p in ([value] if isinstance(value, Family) else pairs_of(value))])


def parse_families(values: Sequence[dict | Family]) -> list[Family]:
    """Families of the configuration; keys that the report does not need are ignored."""
    return [
        value if isinstance(value, Family) else parse_job(Family, value, f"families[{number}]")
        for number, value in enumerate(values)
    ]


def parse_comparators(values: Sequence[dict | Comparator]) -> list[Comparator]:
    """Comparators of the configuration, the other models of Table 1."""
    return [
        value if isinstance(value, Comparator) else parse_job(Comparator, value, f"comparators[{number}]")
        for number, value in enumerate(values)
    ]


def micro_average(groups: dict[str, float]) -> float:
    """Micro-Avg from the scores of the five groups: (3 MMLU + 8 MERA + 2 Sum + 2 Copy-EN + 2 Copy-RU) / 17."""
    return sum(groups[name] * len(tasks) for name, tasks in GROUPS.items()) / len(TASKS)
