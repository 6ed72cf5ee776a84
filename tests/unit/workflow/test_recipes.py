"""Parameters of the light rules: no more of the configuration than each takes, all of it plain values."""

import json

import pytest
from fixtures.configuration import SCALES, configured
from lep.names import CALIBRATIONS, NEW_VOCABULARIES
from lep.workflow import recipes
from lep.workflow.models import adapted
from lep.workflow.run import Run


def all_recipes(run: Run) -> dict[str, object]:
    found = {
        name: getattr(recipes, name)(run)
        for name in (
            "cleaning", "splits", "packing", "copy_texts", "vocabulary_text", "vocabulary_report", "families", "rows",
            "report",
            "card_origins",
        )
    }  # fmt: skip
    found |= {f"calibration_data {name}": recipes.calibration_data(run, name) for name in CALIBRATIONS}
    return found | {f"union {name}": recipes.union(run, name) for name in NEW_VOCABULARIES}


@pytest.mark.parametrize("scale", SCALES)
def test_parameters_are_plain_values(scale: str) -> None:
    """A parameter of another type with the same content would count as changed."""
    found = all_recipes(configured(scale))
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("changes", "touched"),
    [
        ({"families": [configured().config["families"][0] | {"learning_rate": 0.5}]}, set()),
        ({"corpus": {"quality": {"minimum_words": 3}}}, {"cleaning"}),
        ({"corpus": {"validation_fraction": 0.5}}, {"splits"}),
        ({"vocabulary": {"extended": {"letter_merges": "last"}}}, {"union extended", "union optimized", "report"}),
        ({"vocabulary": {"language_weights": {"ru": 0.5}}}, {"vocabulary_text", "report"}),
        ({"pretraining": {"block_size": 8}}, {"packing", "report"}),
        ({"calibration": {"minimum_score": 1}}, {f"calibration_data {name}" for name in CALIBRATIONS}),
        ({"calibration": {"copy_examples": {"self": 1}}}, {"calibration_data self"}),
        ({"propagation": {"methods": ["swap", "conversion"]}}, {"rows"}),
        ({"compute": {"memory_mb": 1, "runtime_minutes": 1}}, set()),
    ],
)
def test_a_key_reaches_the_rules_that_take_it(changes: dict, touched: set[str]) -> None:
    one_family = {"families": configured().config["families"][:1]}
    before, after = (all_recipes(configured(**values)) for values in (one_family, one_family | changes))
    assert {name for name in before if before[name] != after[name]} == touched


def test_new_tokens_come_from_the_model_of_their_kind() -> None:
    run = configured("ci")
    places = {
        f"{family}/{vocabulary}": recipes.vocabulary_model(run, family, vocabulary)
        for family, vocabulary in adapted(run)
    }
    assert places == {
        "mistral/unigram": "results/ci/vocabularies/sentencepiece/unigram-512/manifest.json",
        "mistral/extended": "results/ci/vocabularies/sentencepiece/bpe-512/manifest.json",
        "llama/bpe": "results/ci/vocabularies/sentencepiece/bpe-512/manifest.json",
        "llama/optimized": "results/ci/vocabularies/sentencepiece/bpe-512/manifest.json",
    }
    assert [recipes.kept_tokens(run, *place) for place in adapted(run)] == [None, None, None, 1024]


def test_a_ready_model_takes_the_place_of_a_trained_one() -> None:
    run = configured(vocabulary={"models": {"bpe-2048": "mine.model"}})
    assert recipes.vocabulary_models(run)["mistral/bpe"] == "results/mini/vocabularies/given/bpe-2048/manifest.json"
    trained = "results/mini/vocabularies/sentencepiece/unigram-2048/manifest.json"
    assert recipes.vocabulary_models(run)["mistral/unigram"] == trained


def test_text_of_vocabularies_is_mixed_by_weight_or_as_the_corpus_is() -> None:
    text = recipes.vocabulary_text(configured())
    assert (text["languages"], text["weights"]) == (["ru", "en"], {"ru": 0.82, "en": 0.18})
    text = recipes.vocabulary_text(configured("paper"))
    assert (text["languages"], text["weights"]) == (["ru", "en"], None)
    assert recipes.vocabulary_text(configured("greek"))["weights"] == {"el": 0.82, "en": 0.18}


def test_vocabularies_that_replace_the_old_tokens_are_not_united_with_them() -> None:
    run = configured()
    united = {name for name in NEW_VOCABULARIES if recipes.union(run, name)}
    assert united == {"extended", "optimized"}


def test_weights_of_languages_are_those_of_the_corpus() -> None:
    assert recipes.packing(configured())["language_weights"] == {"ru": 0.9, "en": 0.1}
    assert recipes.packing(configured("greek"))["language_weights"] == {"el": 0.9, "en": 0.1}
    assert recipes.packing(configured("paper"))["language_weights"] is None  # every document
    assert recipes.packing(configured())["domain_weights"] is None


@pytest.mark.parametrize(("calibration", "copies"), [("self", 400), ("saiga", 0), ("saiga_copy", 400)])
def test_only_calibrations_with_a_copy_task_copy(calibration: str, copies: int) -> None:
    recipe = recipes.calibration_data(configured(), calibration)
    assert (recipe["kind"], recipe["copy_examples"]) == (calibration, copies)


def test_cards_name_where_models_and_instructions_are_from() -> None:
    mine = recipes.card_origins(configured())["llama"]
    assert (mine["base"]["licence"], mine["corpus"]) == ("apache-2.0", ["bible", "home_assistant"])
    assert mine["instructions"] == "stand-in instructions made from the corpus"
    true = recipes.card_origins(configured("tokenizers"))["llama"]
    assert true["base"]["licence"] == "unknown"
    hub = recipes.card_origins(configured("paper"))["llama"]["instructions"]
    assert hub == "IlyaGusev/saiga_scored at af1d972da1d5496143054dd92067f99b47c1cd9a"
