"""Another language by configuration alone: the stand-ins adapted to Greek, from a committed fixture."""

import csv
import json
import re
import unicodedata
from pathlib import Path

import pytest
import yaml
from fixtures.workflow import Run, dry_run
from lep.corpus.documents import SPLITS, text_of
from lep.files import read_jsonl
from lep.manifest import read_manifest, verify
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = Path(__file__).parents[2]
ADAPTED = "models/llama/extended/conversion"


def overlay(folder: Path) -> str:
    """configs/greek.yaml at the size of ci: one family, one vocabulary, the text of the fixture."""
    greek = yaml.safe_load((ROOT / "configs/greek.yaml").read_text(encoding="utf-8"))
    family = next(family for family in greek["families"] if family["name"] == "llama")
    changes = {
        "scale": "greek_ci",
        "corpus": {
            "sources": [{"name": "fixture", "reader": "corpus", "path": "data/fixtures/greek.jsonl"}],
            "benchmark_fraction": 0.2,
            "validation_fraction": 0.1,
        },
        "families": [family | {"vocabularies": ["extended"], "extension_size": 500}],
        "pretraining": {"sweep": {"runs": []}},
    }
    path = folder / "overlay.yaml"
    path.write_text(json.dumps(changes), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def greek(run_checkout: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a run that ends with the models."""
    result = run("configs/greek.yaml", overlay(tmp_path_factory.mktemp("greek")), "--cores", "2")
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    return run_checkout / "results/greek_ci"


def test_the_examples_of_the_page_are_valid(run: Run, checkout: Path, tmp_path: Path) -> None:
    """docs/adapting.md: a family of one's own, more of the laptop scale, and the heart of configs/greek.yaml."""
    mine, more, heart = re.findall(
        r"```yaml\n(.*?)```", (ROOT / "docs/adapting.md").read_text(encoding="utf-8"), re.DOTALL
    )
    (tmp_path / "mine.yaml").write_text(mine, encoding="utf-8")
    sweep = json.dumps({"pretraining": {"sweep": {"runs": []}}})  # those of ci are of other families
    (tmp_path / "sweep.yaml").write_text(sweep, encoding="utf-8")
    planned = run(str(tmp_path / "mine.yaml"), str(tmp_path / "sweep.yaml"), "--dry-run", "--quiet", "host")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert "results/mine/calibrated/qwen05b/extended/conversion/saiga_copy" in planned.stdout
    (tmp_path / "more.yaml").write_text(more, encoding="utf-8")
    planned = dry_run("--configfile", "configs/laptop.yaml", str(tmp_path / "more.yaml"), cwd=checkout)
    assert "results/more/tables/language.md" in planned.stdout, planned.stdout + planned.stderr
    greek = yaml.safe_load((ROOT / "configs/greek.yaml").read_text(encoding="utf-8"))
    for section, values in yaml.safe_load(heart).items():
        assert greek[section] | values == greek[section]


def test_no_other_script_is_left(greek: Path) -> None:
    texts = [text_of(document) for split in SPLITS for document in read_jsonl(greek / f"corpus/{split}.jsonl")]
    letters = {unicodedata.name(letter).split()[0] for text in texts for letter in text if letter.isalpha()}
    assert {"GREEK", "LATIN"} <= letters <= {"GREEK", "LATIN", "FEMININE", "MASCULINE", "MICRO"}  # ª, º, µ


def test_greek_text_becomes_shorter(greek: Path) -> None:
    with open(greek / "tables/vocabularies.csv", encoding="utf-8", newline="") as file:
        original, extended = csv.DictReader(file)
    assert float(extended["symbols_per_token"]) > 1.5 * float(original["symbols_per_token"])


def test_the_adapted_model_opens_and_its_card_claims_no_score(greek: Path) -> None:
    folder = greek / ADAPTED
    verify(folder)
    model, tokenizer = (kind.from_pretrained(folder) for kind in (AutoModelForCausalLM, AutoTokenizer))
    assert model.get_input_embeddings().num_embeddings == read_manifest(folder)["facts"]["rows"] >= len(tokenizer)
    assert tokenizer.decode(tokenizer("Μια λέξη", add_special_tokens=False).input_ids) == "Μια λέξη"
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "Not evaluated" in card
    assert re.search(r"^- el$", card, re.MULTILINE)
    donor = read_manifest(greek / "models/llama/extended/donor")["facts"]
    assert (donor["checkpoint"], "score" in donor) == ("cpt-100", False)
    assert not (greek / "scores.csv").exists()
