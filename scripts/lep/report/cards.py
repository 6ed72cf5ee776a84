"""Model cards: README.md in the folder of each adapted model, in the form of the hub (YAML, then Markdown).

A card is not listed in the manifest of its folder: it has scores, which exist only after the model is published.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from lep.config import parse_job
from lep.corpus.languages import language_name
from lep.files import write_text
from lep.manifest import read_manifest
from lep.methods import METHODS
from lep.names import CALIBRATIONS, COLUMNS, TITLES, VOCABULARIES, Family, ModelName, parse_model_name
from lep.report.scores import Score, Scores

PAPER = "Tikhomirov and Chernyshev (2024), https://arxiv.org/abs/2412.21140"


@dataclass(frozen=True)
class Source:
    """A source model."""

    path: str  # folder or hub id
    revision: str
    licence: str  # as its own card states it
    subfolder: str = ""  # of the model in its repository
    package: str = ""  # that brings the model as the file `path`

    def __str__(self) -> str:
        if self.package:
            return f"`{self.path}` of the package {self.package} (de-quantised; licence {self.licence})"
        place = f"folder {self.subfolder}, " if self.subfolder else ""
        return f"`{self.path}` ({place}revision {self.revision}; licence {self.licence})"


@dataclass(frozen=True)
class Origin:
    """Source models and training data of one family."""

    base: Source
    instruct: Source
    corpus: list[str]  # text sources of the embedding pre-training
    instructions: str  # instruction data of the calibrations
    tuned_instruct: bool = False  # whether the instruct model was fine-tuned from the base in the same run
    donors: dict[str, Source] = field(
        default_factory=dict
    )  # published models that stand for trained ones, by vocabulary


def parse_origins(values: Mapping[str, Mapping]) -> dict[str, Origin]:
    """Origins by family, from the configuration."""
    return {family: parse_job(Origin, value, f"origins of {family}") for family, value in values.items()}


def write_cards(
    models: Mapping[str, Path],
    families: list[Family],
    origins: Mapping[str, Origin],
    scores: Scores | None,
    languages: Sequence[str],
) -> None:
    """Write `README.md` into the folder of each model.

    - `models`: folders by model name, such as `llama/bpe/donor`
    - `scores`: None if the benchmark is not in the language that models are adapted to
    - `languages`: of the corpus; models are adapted to the first
    """
    known = {family.name: family for family in families}
    for text, folder in models.items():
        name = parse_model_name(text)
        family, origin = known[name.family], origins[name.family]
        write_text(Path(folder) / "README.md", card(name, Path(folder), family, origin, scores, languages))


def card(
    name: ModelName, folder: Path, family: Family, origin: Origin, scores: Scores | None, languages: Sequence[str]
) -> str:
    """Text of one card. Raises `UserError` if the folder has no manifest or the model has no scores."""
    manifest = read_manifest(folder)
    is_donor = name.step == "donor"  # a donor has the scores of the checkpoint that it links to
    scored = replace(name, step=manifest["facts"]["checkpoint"]) if is_donor else name
    parents = _parents(name, origin)
    front = {
        "base_model": list(dict.fromkeys(source.path for source in parents)),
        "language": list(languages),
        "library_name": "peft" if name.calibration else "transformers",
        "license": _licence(parents),
        "tags": ["learned-embedding-propagation"],
    }
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=True)}---",
        f"# {name}",
        _summary(name, family, languages),
        "## How it was made",
        _method(name, manifest, origin),
        *_evaluation(scores, str(scored), family, "base" if is_donor else "instruct"),
        "## How to load it",
        _loading(folder, name),
        "## Licence",
        "The weights derive from these models, whose licences hold for them too:\n\n"
        + "\n".join(f"- {source}" for source in dict.fromkeys(parents)),
        f"The method is that of {PAPER}.",
    ]
    return "\n\n".join(parts) + "\n"


def _parents(name: ModelName, origin: Origin) -> list[Source]:
    if name.step == "donor":
        return [origin.base]
    return [origin.instruct] if name.is_control else [origin.base, origin.instruct]


def _licence(parents: list[Source]) -> str:
    licences = {source.licence for source in parents}
    return licences.pop() if len(licences) == 1 else "other"


def _summary(name: ModelName, family: Family, languages: Sequence[str]) -> str:
    vocabulary = VOCABULARIES[name.vocabulary].title
    if name.step == "donor":
        return (
            f"{family.shown('base')} with the vocabulary {vocabulary}, its input embeddings and head "
            f"trained on {' and '.join(map(language_name, languages))} text; the body is the base model's, unchanged."
        )
    text = family.shown("instruct")
    if not name.is_control:
        text += f" with the vocabulary {vocabulary}, by LEP ({METHODS[name.step].title})"
    if name.calibration:
        return f"{text}, fine-tuned ({CALIBRATIONS[name.calibration].title})."
    return f"{text}; the body is unchanged."


def _method(name: ModelName, manifest: Mapping, origin: Origin) -> str:
    facts, lines = manifest["facts"], []
    if origin.tuned_instruct and name.step != "donor":
        lines.append("The instruct model was fine-tuned from the base in the same run, on English instructions.")
    published = origin.donors.get(name.vocabulary)
    if published:
        lines.append(f"Embeddings and head after continued pre-training are those of {published}.")
    elif not name.is_control:
        lines.append(f"Embedding pre-training on {', '.join(origin.corpus)}.")
    if name.step == "donor":
        lines.append(f"{_choice(facts)} Bits per character of held-out text: {facts['bits_per_character']:.3f}.")
    elif not name.calibration:
        lines.append(f"{METHODS[name.step].title}: {METHODS[name.step].summary}.")
        lines += [
            f"Fit of the {which} matrix: residual {facts[f'{which}_residual']:.3g}, on held-out rows "
            f"{facts[f'{which}_heldout_residual']:.3g} (identity {facts[f'{which}_identity_residual']:.3g}), "
            f"rank {facts[f'{which}_rank']}."
            for which in ("input", "head")
            if facts.get(f"{which}_heldout_residual") is not None
        ]
    else:
        lines.append(f"Fine-tuned with LoRA on {CALIBRATIONS[name.calibration].summary} ({origin.instructions}).")
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


def _evaluation(scores: Scores | None, scored: str, family: Family, role: str) -> tuple[str, str]:
    if scores is None:
        return "## Scores", "Not evaluated: Darumeru asks in Russian. Bring a benchmark in the language of the model."
    original = scores.of(f"{family.name}/{role}")
    return "## Scores on Darumeru", _scores(scores.of(scored), original, family.shown(role))


def _scores(mine: Mapping[str, Score], original: Mapping[str, Score], title: str) -> str:
    """Table of headline scores with 95 % intervals, next to those of the original model."""
    shots = next(iter(mine.values())).shots
    rows = [f"| {shots}-shot, with 95 % interval | this model | {title} |", "|---|---|---|"]
    for name in COLUMNS:
        if name in mine:
            cells = (_cell(scores.get(name)) for scores in (mine, original))
            rows.append(f"| {TITLES[name]} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _cell(score: Score | None) -> str:
    return f"{score.value:.3f} [{score.low:.3f}, {score.high:.3f}]" if score else "–"


def _loading(folder: Path, name: ModelName) -> str:
    if name.calibration:
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
