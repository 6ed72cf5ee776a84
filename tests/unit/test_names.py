"""The registers of names and the grammar of model names: round trips, refusals, and what each entry is used for."""

import contextlib
import csv
from pathlib import Path

import pytest
import yaml
from darumeru.specs import GROUPS, SPECS
from hypothesis import given
from hypothesis import strategies as st
from lep.config import UserError
from lep.methods import CALIBRATED_METHOD, METHODS, PAPER_METHODS, parse_methods
from lep.names import (
    CALIBRATION_TITLES,
    CALIBRATIONS,
    COLUMNS,
    CONTROLS,
    MICRO,
    NEW_VOCABULARIES,
    ORIGINAL,
    PUBLISHED_CALIBRATIONS,
    PUBLISHED_MODELS,
    PUBLISHED_TITLES,
    ROLES,
    TASKS,
    TITLES,
    UNCALIBRATED,
    VOCABULARIES,
    ModelName,
    family_of,
    micro_average,
    pairs_of,
    parse_families,
    parse_model_name,
    parse_pairs,
)
from lep.report.facts import COUNTS
from lep.report.figure_style import SERIES

ROOT = Path(__file__).parents[2]
FAMILY = {"name": "llama", "base_title": "B", "instruct_title": "I", "stand_in": False, "vocabularies": ["bpe"]}

family_names = st.from_regex(r"[A-Za-z0-9_.-]+(@[A-Za-z0-9_.-]+)?", fullmatch=True)
steps = st.sampled_from(["init", "donor", *METHODS]) | st.integers(0, 999).map(lambda share: f"cpt-{share:03d}")
new_vocabularies, calibrations = st.sampled_from(NEW_VOCABULARIES), st.sampled_from(list(CALIBRATIONS))
model_names = st.one_of(
    st.builds(ModelName, family_names, st.just(ORIGINAL), st.sampled_from(ROLES)),
    st.builds(ModelName, family_names, new_vocabularies, steps),
    st.builds(ModelName, family_names, new_vocabularies, st.just(CALIBRATED_METHOD), calibrations),
    st.builds(ModelName, family_names, st.just(ORIGINAL), st.just("instruct"), calibrations),
)
words = st.sampled_from(["llama", "instruct", "cpt-050", "cpt-5", "", *ROLES, *METHODS, *VOCABULARIES, *CALIBRATIONS])


def published_rows() -> list[dict[str, str]]:
    with open(ROOT / "data/published_scores.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# -- grammar


@given(model_names)
def test_every_kind_of_name_is_read_as_it_was_written(name: ModelName) -> None:
    assert parse_model_name(str(name)) == name
    assert name.is_control == str(name).startswith(f"{name.family}/original/")


@given(st.lists(words, min_size=1, max_size=5).map("/".join))
def test_what_is_read_is_written_the_same(text: str) -> None:
    with contextlib.suppress(UserError):
        assert str(parse_model_name(text)) == text


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("llama/base", ("llama", "original", "base", "")),
        ("llama-3.1_x/instruct", ("llama-3.1_x", "original", "instruct", "")),
        ("llama/bpe/init", ("llama", "bpe", "init", "")),
        ("llama/extended/cpt-050", ("llama", "extended", "cpt-050", "")),
        ("llama/extended/conversion", ("llama", "extended", "conversion", "")),
        ("llama/extended/conversion/saiga_copy", ("llama", "extended", "conversion", "saiga_copy")),
        ("llama/original/instruct/saiga", ("llama", "original", "instruct", "saiga")),
        ("llama@second/instruct", ("llama@second", "original", "instruct", "")),
        ("llama@second/extended/conversion", ("llama@second", "extended", "conversion", "")),
    ],
)
def test_parts_of_a_name(text: str, parts: tuple[str, ...]) -> None:
    name = parse_model_name(text)
    assert (name.family, name.vocabulary, name.step, name.calibration) == parts


@pytest.mark.parametrize(
    "text",
    [
        "", "llama", "llama/", "/base", "llama/Base", "llama/base/", "llama/base\n", " llama/base", "my llama/base",
        "llama/conversion", "llama/wide/swap", "llama/bpe", "llama/bpe/swop", "llama/bpe/cpt-50", "llama/bpe/cpt-0500",
        "llama/bpe/base", "llama/bpe/instruct", "llama/original", "llama/original/swap", "llama/original/cpt-050",
        "llama/original/instruct", "llama/base/saiga", "llama/instruct/saiga", "llama/bpe/swap/saiga",
        "llama/bpe/instruct/saiga", "llama/original/conversion/saiga", "llama/bpe/conversion/none",
        "llama/bpe/conversion/saiga+copy", "llama/bpe/conversion/saiga/self",
        "@second/instruct", "llama@/instruct", "llama@a@b/instruct", "llama/instruct@second",
    ],
)  # fmt: skip
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(UserError) as refusal:
        parse_model_name(text)
    assert str(refusal.value) == (
        f"{text!r} is not a model name; use FAMILY/ROLE, FAMILY/VOCABULARY/STEP or "
        "FAMILY/VOCABULARY/PARENT/CALIBRATION, such as llama/base, llama/extended/conversion"
    )


def test_names_of_a_family_are_names() -> None:
    (family,) = parse_families([FAMILY])
    assert parse_model_name(family.base) == ModelName("llama", ORIGINAL, "base")
    assert parse_model_name(family.instruct) == ModelName("llama", ORIGINAL, "instruct")
    assert family.propagated("bpe") == "llama/bpe/conversion"
    assert [family.propagated("bpe", method) for method in METHODS] == [f"llama/bpe/{method}" for method in METHODS]
    assert family.tuned(ORIGINAL, UNCALIBRATED) == family.instruct
    assert family.tuned("bpe", UNCALIBRATED) == family.propagated("bpe")
    for calibration in CALIBRATIONS:
        control, tuned = (parse_model_name(family.tuned(vocabulary, calibration)) for vocabulary in (ORIGINAL, "bpe"))
        assert control == ModelName("llama", ORIGINAL, "instruct", calibration)
        assert tuned == ModelName("llama", "bpe", CALIBRATED_METHOD, calibration)
        assert control.is_control
        assert not tuned.is_control


def test_a_further_instruct_is_a_pair_of_the_same_base() -> None:
    """It has the family's vocabularies unless it names some; calibrations and what the paper has are not its own."""
    model = {"path": "./other", "revision": "shipped"}
    own = {"calibrated": [{"vocabulary": "bpe", "calibrations": ["saiga"]}], "controls": ["saiga"]}
    family = FAMILY | own | {"base": {"path": "./base"}, "published_family": "llama-3-8b", "tuned_instruct": True}
    family |= {"vocabularies": ["bpe", "extended"], "instructs": [{"name": "second", "title": "S", "model": model}]}
    first, second = pairs_of(family)
    assert first == {key: value for key, value in family.items() if key != "instructs"}
    assert (second["name"], second["instruct_title"], second["instruct"]) == ("llama@second", "S", model)
    assert (second["base"], second["vocabularies"]) == (family["base"], ["bpe", "extended"])
    assert (second["published_family"], second["tuned_instruct"]) == (None, False)
    assert (second["calibrated"], second["controls"]) == ([], [])
    chosen = {"vocabularies": ["bpe"], "methods": ["conversion"], "controls": ["saiga_copy"]}
    family["instructs"][0] |= chosen
    _, parsed = parse_pairs([family])
    assert (parsed.instruct, parsed.propagated("bpe")) == ("llama@second/instruct", "llama@second/bpe/conversion")
    assert (parsed.vocabularies, parsed.controls) == (["bpe"], ["saiga_copy"])
    assert parsed.scored(["swap", "conversion"]) == ["conversion"]
    assert [family_of(name) for name in (first["name"], parsed.name)] == ["llama", "llama"]


def test_methods_are_in_the_order_of_the_register() -> None:
    assert parse_methods(["conversion", "swap"]) == ("swap", "conversion")
    assert parse_methods(METHODS) == tuple(METHODS)
    with pytest.raises(UserError, match="unknown LEP method copy, swop; use swap, overlap, conversion"):
        parse_methods(["copy", "swap", "swop"])


# -- registers


@pytest.mark.parametrize("register", [VOCABULARIES, METHODS, CALIBRATIONS], ids=["vocabulary", "method", "calibration"])
def test_names_are_parts_of_paths_and_titles_are_distinct(register: dict) -> None:
    assert all(name.isascii() and name.isidentifier() and name == name.lower() for name in register)
    titles = [entry.title for entry in register.values()]
    assert all(titles)
    assert len(set(titles)) == len(register)


def test_a_part_of_a_name_means_one_thing() -> None:
    parts = [*VOCABULARIES, *METHODS, *CALIBRATIONS, *ROLES, "init", "donor", UNCALIBRATED]
    assert len(set(parts)) == len(parts)


@pytest.mark.parametrize("name", VOCABULARIES)
def test_a_vocabulary_can_be_built_and_drawn(name: str) -> None:
    vocabulary = VOCABULARIES[name]
    assert SERIES[name].keys() == {"color", "marker", "linestyle"}
    assert vocabulary.keeps in ("none", "some", "all")
    assert vocabulary.replaces == (vocabulary.keeps == "none")
    if name == ORIGINAL:
        assert (vocabulary.model_type, vocabulary.size_key, vocabulary.keeps) == ("", "", "all")
        return
    assert vocabulary.model_type in ("bpe", "unigram")
    assert vocabulary.size_key == ("replacement_size" if vocabulary.replaces else "extension_size")
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    assert all(vocabulary.size_key in family for family in config["families"])


def test_colours_are_of_vocabularies() -> None:
    assert list(SERIES) == list(VOCABULARIES)


def test_the_report_can_count_and_describe_the_methods() -> None:
    assert CALIBRATED_METHOD in METHODS
    assert len(PAPER_METHODS) < len(COUNTS)
    assert all(method.summary for method in METHODS.values())


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_a_calibration_has_data_and_a_recipe(name: str) -> None:
    calibration, config = CALIBRATIONS[name], yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    assert calibration.summary
    assert calibration.recipe in config["calibration"]["recipes"]
    assert calibration.copies == (name in config["calibration"]["copy_examples"])
    assert (name in CONTROLS) != calibration.own_answers


def test_uncalibrated_models_have_a_title_too() -> None:
    assert {UNCALIBRATED: "–"} | {name: entry.title for name, entry in CALIBRATIONS.items()} == CALIBRATION_TITLES


def test_the_papers_rows_use_the_registered_names() -> None:
    rows = published_rows()
    assert {row["vocabulary"] for row in rows} - {""} == set(VOCABULARIES)
    assert {row["lep"] for row in rows} - {""} == set(PAPER_METHODS)
    assert {row["calibration"] for row in rows} - {""} == set(PUBLISHED_CALIBRATIONS.values())
    assert {row["lep"] for row in rows if row["calibration"] and row["vocabulary"] != ORIGINAL} == {CALIBRATED_METHOD}
    families = {row["family"] for row in rows} - {"comparator"}
    assert families == set(PUBLISHED_TITLES) == set(PUBLISHED_MODELS)


def test_tasks_and_groups_are_those_of_the_benchmark() -> None:
    assert tuple(SPECS) == TASKS == tuple(task for tasks in GROUPS.values() for task in tasks)
    assert (MICRO, *GROUPS) == COLUMNS == tuple(TITLES)
    assert all(spec.published_items > 0 and spec.question_tokens > 0 for spec in SPECS.values())
    groups = dict(zip(GROUPS, (0.1, 0.2, 0.4, 0.8, 1.6), strict=True))
    assert micro_average(groups) == pytest.approx((3 * 0.1 + 8 * 0.2 + 2 * (0.4 + 0.8 + 1.6)) / 17)
