"""What a rule depends on: the modules of ours that a module imports, found without importing them."""

from pathlib import Path

import pytest
import yaml
from lep.config import UserError
from lep.settings import check_settings, library_files, narrowed

ROOT = Path(__file__).parents[2]


def write_library(root: Path, **modules: str) -> None:
    for name, source in modules.items():
        path = root / "scripts" / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")


def test_imports_are_followed_through_packages(tmp_path: Path) -> None:
    write_library(
        tmp_path,
        lep__top="import torch\nfrom lep import middle\nfrom lep.report import tables\n",
        lep__middle="def f():\n    from darumeru.metrics import score\n",
        lep__report__tables="from lep.report.names import A\n",
        lep__report__names="A = 1\n",
        lep__report__figures="B = 1\n",
        darumeru__metrics="def score(): ...\n",
        lep__unused="C = 1\n",
    )
    found = {name.removeprefix("scripts/") for name in library_files(tmp_path, "top")}
    assert found == {
        "lep/top.py", "lep/middle.py", "lep/report/tables.py", "lep/report/names.py", "darumeru/metrics.py",
    }  # fmt: skip


def test_logging_and_manifests_rerun_nothing(tmp_path: Path) -> None:
    write_library(
        tmp_path, lep__top="from lep.log import job\nfrom lep import manifest\n", lep__log="", lep__manifest=""
    )
    assert library_files(tmp_path, "top") == ["scripts/lep/top.py"]


@pytest.mark.parametrize(
    ("module", "needs", "spares"),
    [
        ("report.figures", "lep/report/style.py", "lep/report/figure3.py"),
        ("report.tables", "lep/report/markup.py", "lep/report/style.py"),
        ("report.claims", "darumeru/metrics.py", "lep/report/figures.py"),
        ("propagate", "lep/least_squares.py", "lep/pretrain.py"),
        ("benchmark", "lep/benchmark/exam.py", "lep/vocabulary.py"),
    ],
)
def test_modules_of_the_library(module: str, needs: str, spares: str) -> None:
    found = library_files(ROOT, module)
    assert f"scripts/{needs}" in found
    assert f"scripts/{spares}" not in found
    assert (ROOT / "scripts" / spares).is_file()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sweep": {"runs": ["llama/bqe"], "learning_rates": [0.1], "share": 0.2}}, "sweep.runs"),
        ({"sweep": {"runs": ["llama2/bpe"], "learning_rates": [0.1], "share": 0.2}}, "llama2/bpe is not trained here"),
        ({"batch_size": 15}, "15 sequences cannot be shared by 2 GPUs"),
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


def test_a_subset_keeps_what_belongs_to_it() -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    assert narrowed(config) == config
    config["pretraining"]["sweep"]["runs"] = ["mistral/bpe", "llama/extended"]
    config["subset"] = {"families": ["llama"], "vocabularies": ["extended", "unigram"]}
    check_settings(config, ROOT)
    found = narrowed(config)
    assert [(family["name"], family["vocabularies"]) for family in found["families"]] == [
        ("llama", ["unigram", "extended"])
    ]
    assert [row["vocabulary"] for row in found["families"][0]["calibrated"]] == ["extended"]
    assert found["pretraining"]["sweep"]["runs"] == ["llama/extended"]
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
