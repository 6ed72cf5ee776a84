"""Model cards: what they say is what manifest and scores say."""

import csv
from pathlib import Path

import pytest
import yaml
from fixtures.report import FAMILIES, make_files
from lep.config import UserError
from lep.manifest import publish, staging, verify
from lep.names import parse_families
from lep.report.cards import parse_origins, write_cards
from lep.report.scores import SCORE_COLUMNS, read_scores

FAMILY = parse_families(FAMILIES)[1]
FIT = {"residual": 0.4, "heldout_residual": 0.45, "identity_residual": 1.06, "rank": 128}
LLAMA = {
    "base": {"path": "org/base", "revision": "unpinned", "licence": "llama3"},
    "instruct": {"path": "org/instruct", "revision": "0" * 40, "licence": "apache-2.0"},
    "corpus": ["bible", "news"],
    "instructions": "org/data at " + "1" * 40,
}
FACTS = {
    "llama/extended/donor": {
        "checkpoint": "cpt-050",
        "step": 60,
        "score": 0.2345,
        "final_score": 0.2,
        "bits_per_character": 2.5,
    },
    "llama/extended/swap": {"method": "swap"},
    "llama/extended/conversion": {"method": "conversion", **{f"input_{name}": value for name, value in FIT.items()}},
    "llama/extended/conversion/saiga": {},
    "llama/original/instruct/saiga_copy": {},
}


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_files(tmp_path_factory.mktemp("scores")).scores


@pytest.fixture
def models(tmp_path: Path) -> dict[str, Path]:
    found = {name: tmp_path / name for name in FACTS}
    for name, folder in found.items():
        work = staging(folder)
        (work / "config.json").write_text("{}")
        publish(work, folder, recipe_version=1, seed=7, facts=FACTS[name])
    return found


def write(models: dict[str, Path], scores: Path) -> dict[str, str]:
    write_cards(models, [FAMILY], parse_origins({"llama": LLAMA}), read_scores(scores), ["ru", "en"])
    return {name: (folder / "README.md").read_text(encoding="utf-8") for name, folder in models.items()}


def front(card: str) -> dict:
    return yaml.safe_load(card.split("---\n")[1])


def test_every_card_has_scores_of_its_model_and_of_the_original(models: dict[str, Path], scores: Path) -> None:
    with open(scores, encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["level"] == "micro" and row["metric"] == "score"]
    micro = {
        row["model"]: f"{float(row['value']):.3f} [{float(row['low']):.3f}, {float(row['high']):.3f}]" for row in rows
    }
    cards = write(models, scores)
    for name, card in cards.items():
        mine, original = ("llama/extended/cpt-050", "base") if name.endswith("donor") else (name, "instruct")
        assert f"| Micro-Avg | {micro[mine]} | {micro[f'llama/{original}']} |" in card
        assert ("5-shot" if original == "base" else "0-shot") in card


def test_parents_and_licences(models: dict[str, Path], scores: Path) -> None:
    cards = write(models, scores)
    assert front(cards["llama/extended/donor"])["license"] == "llama3"
    assert front(cards["llama/extended/swap"]) == {
        "base_model": ["org/base", "org/instruct"],
        "language": ["ru", "en"],
        "library_name": "transformers",
        "license": "other",
        "tags": ["learned-embedding-propagation"],
    }
    assert f"- `org/instruct` (revision {'0' * 40}; licence apache-2.0)" in cards["llama/extended/swap"]
    control = cards["llama/original/instruct/saiga_copy"]
    assert front(control)["base_model"] == ["org/instruct"]
    assert "Embedding pre-training" not in control
    assert "1" * 40 in control


def test_a_published_donor_is_named_instead_of_a_training(models: dict[str, Path], scores: Path) -> None:
    donor = {"path": "org/donor", "subfolder": "checkpoint-30000", "revision": "2" * 40, "licence": "mit", "seen": True}
    origins = parse_origins({"llama": LLAMA | {"donors": {"extended": donor}}})
    write_cards(models, [FAMILY], origins, read_scores(scores), ["ru", "en"])
    named = f"those of `org/donor` (folder checkpoint-30000, revision {'2' * 40}; licence mit)."
    for name in ("llama/extended/donor", "llama/extended/conversion"):
        card = (models[name] / "README.md").read_text(encoding="utf-8")
        assert named in card
        assert "Embedding pre-training" not in card
    assert named not in (models["llama/original/instruct/saiga_copy"] / "README.md").read_text(encoding="utf-8")


def test_how_a_model_was_made(models: dict[str, Path], scores: Path) -> None:
    cards = write(models, scores)
    assert "`cpt-050` of step 60" in cards["llama/extended/donor"]
    assert "Micro-Avg 0.234; the last has 0.200" in cards["llama/extended/donor"]
    assert (
        "input matrix: residual 0.4, on held-out rows 0.45 (identity 1.06), rank 128"
        in cards["llama/extended/conversion"]
    )
    assert "residual" not in cards["llama/extended/swap"]
    assert "- Swap: the donor's rows as they are.\n" in cards["llama/extended/swap"]
    assert "vocabulary Extended, by LEP (Conversion), fine-tuned (saiga)." in cards["llama/extended/conversion/saiga"]
    control = cards["llama/original/instruct/saiga_copy"]
    assert "LLaMa-3-8B Instruct (stand-in), fine-tuned (saiga + copying)." in control
    assert "with LoRA on instructions of the Saiga data set, and copy instructions (org/data" in control
    assert "bible, news" in cards["llama/extended/swap"]
    assert f'from_pretrained("{models["llama/extended/swap"]}")' in cards["llama/extended/swap"]
    assert f"--merge {models['llama/extended/conversion/saiga']} " in cards["llama/extended/conversion/saiga"]


def test_a_language_without_benchmark(models: dict[str, Path], tmp_path: Path) -> None:
    """The card says so, and how well held-out text is modelled."""
    donor = tmp_path / "last"
    facts = {"checkpoint": "cpt-100", "step": 120, "bits_per_character": 2.5}
    publish(staging(donor), donor, recipe_version=1, facts=facts)
    named = models | {"llama/extended/donor": donor}
    write_cards(named, [FAMILY], parse_origins({"llama": LLAMA}), None, ["el", "en"])
    for name, folder in named.items():
        card = (folder / "README.md").read_text(encoding="utf-8")
        assert front(card)["language"] == ["el", "en"]
        assert "Not evaluated: Darumeru asks in Russian" in card, name
        assert "Micro-Avg" not in card
    card = (donor / "README.md").read_text(encoding="utf-8")
    assert "trained on Greek and English text" in card
    assert "`cpt-100` of step 120, the last of its run. Bits per character of held-out text: 2.500." in card


def test_a_card_changes_nothing_that_the_manifest_lists(models: dict[str, Path], scores: Path) -> None:
    write(models, scores)
    for folder in models.values():
        verify(folder)


def test_a_model_without_scores_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    empty = tmp_path / "scores.csv"
    empty.write_text(",".join(SCORE_COLUMNS) + "\n")
    with pytest.raises(UserError, match="no scores of"):
        write(models, empty)


def test_an_origin_without_licence_is_refused() -> None:
    with pytest.raises(UserError, match=r"base.licence"):
        parse_origins({"llama": {**LLAMA, "base": {"path": "p", "revision": "r"}}})
