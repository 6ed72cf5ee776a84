"""Names, titles and order of what the report shows, and the families as it needs them."""

from collections.abc import Sequence

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from lep.config import parse_job

MICRO = "micro_avg"
GROUPS = {
    "daru_mmlu": ("rummlu", "nlpcore_rummlu", "nlpcore_enmmlu"),
    "daru_mera": ("multiq", "parus", "rcb", "rwsd", "use", "ruopenbookqa", "ruworldtree", "rucola"),
    "daru_sum": ("treeway_abstractive", "treeway_extractive"),
    "daru_copy_en": ("cp_sent_en", "cp_para_en"),
    "daru_copy_ru": ("cp_sent_ru", "cp_para_ru"),
}
TASKS = tuple(task for tasks in GROUPS.values() for task in tasks)
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
VOCABULARIES = {
    "original": "Original",
    "bpe": "BPE",
    "unigram": "Unigram",
    "extended": "Extended",
    "optimized": "Optimized",
}
METHODS = {"swap": "Swap", "overlap": "Overlap", "conversion": "Conversion"}
CALIBRATIONS = {"none": "–", "self": "self-calibration", "saiga": "saiga", "saiga_copy": "saiga + copying"}
PUBLISHED_CALIBRATIONS = {"none": "none", "self": "self-calibration", "saiga": "saiga", "saiga_copy": "saiga+copy"}
PUBLISHED_TITLES = {
    "mistral-7b": ("Mistral-7B", "OpenChat-3.5 (Mistral-7B)"),
    "llama-3-8b": ("LLaMa-3-8B", "LLaMa-3-8B (Instruct)"),
}
# Base and instruct model of the paper's rows, by their ids on the hub (paper section 2.4).
PUBLISHED_MODELS = {
    "mistral-7b": ("mistralai/Mistral-7B-v0.1", "openchat/openchat-3.5-0106"),
    "llama-3-8b": ("meta-llama/Meta-Llama-3-8B", "meta-llama/Meta-Llama-3-8B-Instruct"),
}
COMPARATOR = "comparator"  # the family of other models in data/published_scores.csv
STAND_IN = "stand-in"
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
    controls: list[str] = ("saiga", "saiga_copy")

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

    def propagated(self, vocabulary: str, method: str = "conversion") -> str:
        """Name of the model that LEP made."""
        return f"{self.name}/{vocabulary}/{method}"

    def tuned(self, vocabulary: str, calibration: str) -> str:
        """Name of a calibrated model; `original` is a control, `none` the model before calibration."""
        parent = self.instruct if vocabulary == "original" else self.propagated(vocabulary)
        if calibration == "none":
            return parent
        return f"{self.name}/original/instruct/{calibration}" if vocabulary == "original" else f"{parent}/{calibration}"


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
