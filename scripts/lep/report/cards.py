"""Model cards: the README.md of each adapted model's folder, in the hub's form (YAML front matter, then Markdown).

A card is written beside the manifest, not into it: scores come after the model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from lep.config import parse_job
from lep.corpus.languages import language_name
from lep.files import write_text
from lep.manifest import read_manifest
from lep.names import CALIBRATIONS, COLUMNS, METHODS, TITLES, VOCABULARIES, Family
from lep.report.scores import Score, Scores

PAPER = "Tikhomirov and Chernyshev (2024), https://arxiv.org/abs/2412.21140"
_HOW = {
    "swap": "the donor's rows as they are",
    "overlap": "the donor's rows through a linear map, fitted on the tokens that both vocabularies share",
    "conversion": "the donor's rows through a linear map, fitted on the averaged rows of base and instruct model",
}
_CALIBRATED = {
    "self": "answers of the unadapted instruct model, graded by a judge, and copy instructions",
    "saiga": "instructions of the Saiga data set",
    "saiga_copy": "instructions of the Saiga data set, and copy instructions",
}


@dataclass(frozen=True)
class Source:
    """A model that others are made from: where it comes from and the licence that its card states."""

    path: str
    revision: str
    licence: str

    def __str__(self) -> str:
        return f"`{self.path}` (revision {self.revision}; licence {self.licence})"


@dataclass(frozen=True)
class Origin:
    """Parents of one family's models, and what they were trained on."""

    base: Source
    instruct: Source
    corpus: list[str]
    instructions: str


def parse_origins(values: Mapping[str, Mapping]) -> dict[str, Origin]:
    """The origins of each family's models, from the configuration."""
    return {family: parse_job(Origin, value, f"origins of {family}") for family, value in values.items()}


def write_cards(
    models: Mapping[str, Path],
    families: list[Family],
    origins: Mapping[str, Origin],
    scores: Scores | None,
    languages: Sequence[str],
) -> None:
    """Write `README.md` into the folder of each model, by name (`family/vocabulary/donor` and so on).

    `scores` is None where no benchmark asks in the language that models are adapted to, the first of `languages`.
    """
    known = {family.name: family for family in families}
    for name, folder in models.items():
        family = name.split("/")[0]
        write_text(
            Path(folder) / "README.md", card(name, Path(folder), known[family], origins[family], scores, languages)
        )


def card(
    name: str, folder: Path, family: Family, origin: Origin, scores: Scores | None, languages: Sequence[str]
) -> str:
    """The card's text. Raises `UserError` where the folder has no manifest or the model no scores."""
    manifest = read_manifest(folder)
    _, vocabulary, *steps = name.split("/")
    facts, method, calibration = manifest["facts"], steps[0], steps[1] if len(steps) > 1 else None
    scored = f"{family.name}/{vocabulary}/{facts['checkpoint']}" if method == "donor" else name
    original = family.base if method == "donor" else family.instruct
    front = {
        "base_model": [source.path for source in _parents(method, vocabulary, origin)],
        "language": list(languages),
        "library_name": "peft" if calibration else "transformers",
        "license": _licence(_parents(method, vocabulary, origin)),
        "tags": ["learned-embedding-propagation"],
    }
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=True)}---",
        f"# {name}",
        _summary(family, vocabulary, method, calibration, languages),
        "## How it was made",
        _method(facts, manifest, vocabulary, method, calibration, origin),
        *_evaluation(scores, scored, original, family.shown("base" if method == "donor" else "instruct")),
        "## How to load it",
        _loading(folder, calibration),
        "## Licence",
        "The weights derive from these models, whose licences hold for them too:\n\n"
        + "\n".join(f"- {source}" for source in _parents(method, vocabulary, origin)),
        f"The method is that of {PAPER}.",
    ]
    return "\n\n".join(parts) + "\n"


def _parents(method: str, vocabulary: str, origin: Origin) -> list[Source]:
    if method == "donor":
        return [origin.base]
    return [origin.instruct] if vocabulary == "original" else [origin.base, origin.instruct]


def _licence(parents: list[Source]) -> str:
    licences = {source.licence for source in parents}
    return licences.pop() if len(licences) == 1 else "other"


def _summary(family: Family, vocabulary: str, method: str, calibration: str | None, languages: Sequence[str]) -> str:
    if method == "donor":
        return (
            f"{family.shown('base')} with the vocabulary {VOCABULARIES[vocabulary]}, its input embeddings and head "
            f"trained on {' and '.join(map(language_name, languages))} text; the body is the base model's, unchanged."
        )
    text = family.shown("instruct")
    if vocabulary != "original":
        text += f" with the vocabulary {VOCABULARIES[vocabulary]}, by LEP ({METHODS[method]})"
    return f"{text}, fine-tuned ({CALIBRATIONS[calibration]})." if calibration else f"{text}; the body is unchanged."


def _method(
    facts: Mapping, manifest: Mapping, vocabulary: str, method: str, calibration: str | None, origin: Origin
) -> str:
    lines = []
    if vocabulary != "original":
        lines.append(f"Embedding pre-training on {', '.join(origin.corpus)}.")
    if method == "donor":
        lines.append(f"{_choice(facts)} Bits per character of held-out text: {facts['bits_per_character']:.3f}.")
    elif calibration is None:
        lines.append(f"{METHODS[method]}: {_HOW[method]}.")
        lines += [
            f"Fit of the {which} matrix: residual {facts[f'{which}_residual']:.3g}, on held-out rows "
            f"{facts[f'{which}_heldout_residual']:.3g} (identity {facts[f'{which}_identity_residual']:.3g}), "
            f"rank {facts[f'{which}_rank']}."
            for which in ("input", "head")
            if facts.get(f"{which}_heldout_residual") is not None
        ]
    if calibration:
        lines.append(f"Fine-tuned with LoRA on {_CALIBRATED[calibration]} ({origin.instructions}).")
    seed = "" if manifest["seed"] is None else f"Seed {manifest['seed']}. "
    lines.append(f"{seed}`manifest.json` holds the hashes of all files and parents.")
    return "\n".join(f"- {line}" for line in lines)


def _choice(facts: Mapping) -> str:
    chosen = f"The checkpoint `{facts['checkpoint']}` of step {facts['step']}"
    if "score" not in facts:
        return f"{chosen}, the last of its run."
    return (
        f"{chosen}: the best of its run on the benchmark itself, as the paper chooses "
        f"(Micro-Avg {facts['score']:.3f}; the last has {facts['final_score']:.3f})."
    )


def _evaluation(scores: Scores | None, scored: str, original: str, title: str) -> tuple[str, str]:
    if scores is None:
        return "## Scores", "Not evaluated: Darumeru asks in Russian. Bring a benchmark in the language of the model."
    return "## Scores on Darumeru", _scores(scores.of(scored), scores.of(original), title)


def _scores(mine: Mapping[str, Score], original: Mapping[str, Score], title: str) -> str:
    """Headline scores with 95 % intervals beside those of the model it was made from."""
    shots = next(iter(mine.values())).shots
    rows = [f"| {shots}-shot, with 95 % interval | this model | {title} |", "|---|---|---|"]
    for name in COLUMNS:
        if name in mine:
            cells = (_cell(scores.get(name)) for scores in (mine, original))
            rows.append(f"| {TITLES[name]} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _cell(score: Score | None) -> str:
    return f"{score.value:.3f} [{score.low:.3f}, {score.high:.3f}]" if score else "–"


def _loading(folder: Path, calibration: str | None) -> str:
    if calibration:
        merge = f".venv/bin/python -m lep.models.adapter --merge {folder} --out DIR"
        return (
            "The folder holds an adapter and the matrices that were trained in full. "
            f"An ordinary model folder is made by\n\n```\n{merge}\n```"
        )
    return (
        "```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        f'model = AutoModelForCausalLM.from_pretrained("{folder}")\n'
        f'tokenizer = AutoTokenizer.from_pretrained("{folder}")\n```'
    )
