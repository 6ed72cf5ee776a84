"""The configuration as a whole: the chosen part of it, and what cannot work."""

from pathlib import Path

import pytest
import yaml
from fixtures.configuration import configuration
from fixtures.measured import write_model
from lep.config import UserError
from lep.workflow.settings import apply_subset, check_settings

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sweep": {"runs": ["llama/bqe"], "learning_rates": [0.1], "share": 0.2}}, "sweep.runs"),
        ({"sweep": {"runs": ["llama2/bpe"], "learning_rates": [0.1], "share": 0.2}}, "llama2/bpe is not trained here"),
        ({"batch_size": 15}, "pretraining.batch_size: 15 sequences cannot be shared by 2 GPUs"),
        ({"packing": "mask"}, "pretraining.packing: 'mask' is not known; use one of paper, masked"),
        ({"accumulation": 2}, "pretraining.accumulation: unknown key"),
    ],
)
def test_faults_of_the_pretraining_are_named(change: dict, message: str) -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    config["compute"]["gpus_per_job"] = 2
    check_settings(config, ROOT)
    config["pretraining"] |= change
    with pytest.raises(UserError, match=message):
        check_settings(config, ROOT)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"package": "smollm"}, r"families.smollm2.base.package: smollm is not in data/sources.csv, which lists sono"),
        (
            {"path": "model.bin"},
            "a model of a package is a file .gguf of it with `revision: packaged`, found model.bin",
        ),
        ({"revision": "unpinned"}, "with `revision: packaged`, found .* with unpinned"),
        ({"licence": "mit"}, "families.smollm2.instruct: with tuned_instruct .* repeat the values of `base`"),
    ],
)
def test_faults_of_a_packaged_model_are_named(change: dict, message: str) -> None:
    config = configuration("laptop")
    check_settings(config, ROOT)
    config["families"][0]["base"] |= change
    with pytest.raises(UserError, match=message):
        check_settings(config, ROOT)


def test_the_revision_packaged_needs_a_package() -> None:
    config = configuration("small")
    config["families"][0]["base"]["revision"] = "packaged"
    with pytest.raises(UserError, match="revision `packaged` needs the name of the package; write `package: NAME`"):
        check_settings(config, ROOT)


def test_a_subset_keeps_what_belongs_to_it() -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    assert apply_subset(config) == config
    config["pretraining"]["sweep"]["runs"] = ["mistral/bpe", "llama/extended"]
    config["subset"] = {"families": ["llama"], "vocabularies": ["extended", "unigram"]}
    check_settings(config, ROOT)
    found = apply_subset(config)
    assert [(family["name"], family["vocabularies"]) for family in found["families"]] == [
        ("llama", ["unigram", "extended"])
    ]
    assert [row["vocabulary"] for row in found["families"][0]["calibrated"]] == ["extended"]
    assert found["pretraining"]["sweep"]["runs"] == ["llama/extended"]
    assert found["families"][0]["control_vocabularies"] == ["extended"]
    for subset, message in (
        (
            {"families": ["lama"], "vocabularies": []},
            "subset.families: 'lama' is not known; use some of mistral, llama",
        ),
        ({"families": ["mistral"], "vocabularies": ["optimized"]}, "none of these families"),
        ({"families": [], "vocabularies": ["bpe"]}, "report.samples: no family has"),
    ):
        with pytest.raises(UserError, match=message):
            check_settings(config | {"subset": subset}, ROOT)


@pytest.mark.parametrize(
    ("controls", "vocabularies", "donor", "message"),
    [
        (
            ["directly"],
            ["extended"],
            "trained",
            r"propagation\.controls\.0: 'directly' is not known; use one of original",
        ),
        (["direct"], ["wordpiece"], "trained", "control_vocabularies"),
        (["direct"], ["unigram"], "trained", r"families\.llama\.control_vocabularies: unigram is not among"),
        (
            ["direct"],
            ["extended"],
            "published",
            r"propagation\.controls: direct trains as long .* has no budget; leave",
        ),
    ],
)
def test_faults_of_the_controls_are_named(controls: list, vocabularies: list, donor: str, message: str) -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    config |= {"donor": donor}
    for family in config["families"]:
        family["published_donors"] = dict.fromkeys(family["vocabularies"], family["base"])
    llama = config["families"][1]
    llama |= {"vocabularies": ["bpe", "extended"], "control_vocabularies": vocabularies}
    llama["calibrated"] = llama["calibrated"][:1]
    config["propagation"]["controls"] = controls
    with pytest.raises(UserError, match=message) as caught:
        check_settings(config, ROOT)
    assert len(str(caught.value).splitlines()) == 2
    config["propagation"]["controls"] = ["donor_body"]
    llama["control_vocabularies"] = ["extended"]
    check_settings(config, ROOT)


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        ({"backend": "openai"}, "calibration.judge.endpoint"),
        ({"backend": "openai", "endpoint": "http://host:8000/v1"}, "calibration.judge.model"),
        ({"backend": "openai", "endpoint": "http://host/v1?api_key=k"}, "into the environment variable LEP_JUDGE_KEY"),
        ({"backend": "local"}, "calibration.judge.model: backend local needs a model folder"),
        ({"backend": "gpt"}, "use one of stand_in, openai, local"),
    ],
)
def test_faults_of_the_judge_are_named(judge: dict, message: str) -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    config["calibration"]["judge"] |= {"backend": "local", "model": "data/stand_ins/llama/instruct"}
    check_settings(config, ROOT)
    config["calibration"]["judge"] |= {"model": ""} | judge
    with pytest.raises(UserError, match=message):
        check_settings(config, ROOT)


@pytest.mark.parametrize(("key", "name"), [("items_per_task", "nlpcore_rummlu"), ("max_new_tokens", "nlpcore_mmlu")])
def test_items_are_of_records_and_answers_of_tasks(key: str, name: str) -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    config["evaluation"][key][name] = 8
    with pytest.raises(UserError, match=rf"evaluation\.{key}: there is no task {name}; use .*rummlu"):
        check_settings(config, ROOT)


def test_a_miniature_needs_text_that_is_held_back() -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    config["corpus"]["benchmark_fraction"] = 0
    with pytest.raises(UserError, match=r"corpus\.benchmark_fraction: the miniature is made from text"):
        check_settings(config, ROOT)
    config["corpus"]["sources"][1]["split"] = "benchmark"
    check_settings(config, ROOT)


def test_ready_sentencepiece_models_are_looked_into(tmp_path: Path) -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    texts = [f"▁{number}" for number in range(2048 - 259)]
    good, small = write_model(tmp_path / "good", texts), write_model(tmp_path / "small", texts[:9])
    text = tmp_path / "text.model"
    text.write_text("no model", encoding="utf-8")
    config["vocabulary"]["models"] = {"bpe-2048": str(good / "spm.model")}
    check_settings(config, ROOT)
    for name, path, message in (
        ("bpe-2048", tmp_path / "absent.model", r"vocabulary\.models\.bpe-2048: .*absent\.model does not exist"),
        ("bpe-2048", small / "spm.model", r"small/spm\.model is bpe with 268 pieces, not bpe with 2048"),
        ("unigram-2048", good / "spm.model", r"is bpe with 2048 pieces, not unigram with 2048"),
        ("bpe-2048", text, r"text\.model is not a SentencePiece model"),
        (
            "bpe-9",
            good / "spm.model",
            r"no vocabulary is made from bpe-9; these are: bpe-1536, bpe-2048, bpe-3072, unigram",
        ),
        ("word-9", good / "spm.model", r"vocabulary\.models"),
    ):
        config["vocabulary"]["models"] = {name: str(path)}
        with pytest.raises(UserError, match=message):
            check_settings(config, ROOT)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pretraining": {"domain_weights": {"wiki": float("nan")}}}, "domain_weights.wiki: must be a finite number"),
        ({"pretraining": {"domain_weights": {"wiki": float("inf")}}}, "domain_weights.wiki: must be a finite number"),
        ({"pretraining": {"domain_weights": {"wiki": -1}}}, "domain_weights.wiki: -1 is less than the minimum"),
        ({"pretraining": {"language_weights": {"ru": float("nan")}}}, "language_weights.ru: must be a finite number"),
        ({"corpus": {"validation_fraction": float("nan")}}, "corpus.validation_fraction: must be a finite number"),
        ({"corpus": {"maximum_broken_share": 2}}, "corpus.maximum_broken_share: 2 is greater"),
    ],
)
def test_weights_and_shares_are_numbers(change: dict, message: str) -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    for section, values in change.items():
        config[section] |= values
    with pytest.raises(UserError, match=message):
        check_settings(config, ROOT)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"domain_pattern": "_(.+)_"}, r"domain_pattern: '_\(\.\+\)_' has no group `domain`; write \(\?P<domain>"),
        ({"domain_pattern": "(?P<domain>"}, "is no regular expression"),
        ({"domain_pattern": "(?P<domain>.+)", "reader": "corpus"}, "only the reader documents takes it"),
    ],
)
def test_a_pattern_without_domain_is_refused(source: dict, message: str) -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    given = {"name": "mine", "reader": "documents", "path": "data/fixtures/corpus"}
    config["corpus"]["sources"] = [given | {"domain_pattern": "(?P<domain>.+)"}]
    check_settings(config, ROOT)
    config["corpus"]["sources"] = [given | source]
    with pytest.raises(UserError, match=f"corpus.sources.mine.*{message}"):
        check_settings(config, ROOT)


@pytest.mark.parametrize(
    ("device", "gpus", "given", "expected"),
    [
        ("cpu", 0, "auto", "float32"),
        ("cuda", 0, "auto", "bfloat16"),
        ("auto", 0, "auto", "float32"),
        ("auto", 1, "auto", "bfloat16"),
        ("cuda", 8, "float16", "float16"),
        ("cpu", 0, "bfloat16", "bfloat16"),
    ],
)
def test_the_number_type_follows_the_configuration_alone(device: str, gpus: int, given: str, expected: str) -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    config["compute"] |= {"device": device, "gpus_per_job": gpus, "dtype": given}
    assert apply_subset(config)["compute"]["dtype"] == expected


@pytest.mark.parametrize("recipe", ["self", "saiga"])
def test_conversations_that_the_gpus_cannot_share_are_refused(recipe: str) -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    config["compute"]["gpus_per_job"] = 4
    check_settings(config, ROOT)
    config["calibration"]["recipes"][recipe]["batch_size"] = 18
    with pytest.raises(UserError, match=rf"recipes.{recipe}.batch_size: 18 sequences cannot be shared by 4 GPUs"):
        check_settings(config, ROOT)
