"""What a step depends on: the modules of ours that it imports, found without importing them, and what they do."""

from pathlib import Path

import pytest
from lep.workflow.code_version import code_version, library_files, without_comments

ROOT = Path(__file__).parents[3]


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
    found = {name.removeprefix("scripts/") for name in library_files(tmp_path, "lep.top")}
    assert found == {
        "lep/top.py", "lep/middle.py", "lep/report/tables.py", "lep/report/names.py", "darumeru/metrics.py",
    }  # fmt: skip


def test_logging_and_manifests_rerun_nothing(tmp_path: Path) -> None:
    top = "from lep.log import logged\nfrom lep import manifest\nfrom lep.fetch.hub import fetch_hub\n"
    others = dict.fromkeys(("lep__log", "lep__manifest", "lep__fetch__hub"), "A = 1\n")
    write_library(tmp_path, lep__top=top, **others)
    assert library_files(tmp_path, "lep.top") == ["scripts/lep/top.py"]


def test_the_register_of_names_counts_in_the_report_alone(tmp_path: Path) -> None:
    """A new title repeats tables and figures, and no training."""
    write_library(
        tmp_path,
        lep__names="A = 1\n",
        lep__vocabulary__build="from lep.names import A\n",
        lep__report__tables="from lep.names import A\n",
    )
    assert "scripts/lep/names.py" not in library_files(tmp_path, "lep.vocabulary.build")
    assert "scripts/lep/names.py" in library_files(tmp_path, "lep.report.tables")


@pytest.mark.parametrize(
    ("module", "needs", "spares"),
    [
        ("lep.report.figure_1_2", "lep/report/figure_style.py", "lep/report/figure_3.py"),
        ("lep.report.tables", "lep/report/markup.py", "lep/report/figure_style.py"),
        ("lep.report.claims", "darumeru/metrics.py", "lep/report/figure_1_2.py"),
        ("lep.propagation.propagate", "lep/propagation/least_squares.py", "lep/pretraining/pretrain.py"),
        ("lep.stand_ins.benchmark.miniature", "lep/stand_ins/benchmark/exam.py", "lep/vocabulary/build.py"),
    ],
)
def test_modules_of_the_library(module: str, needs: str, spares: str) -> None:
    found = library_files(ROOT, module)
    assert f"scripts/{needs}" in found
    assert f"scripts/{spares}" not in found
    assert (ROOT / "scripts" / spares).is_file()


def versions(root: Path, **modules: str) -> str:
    write_library(root, **modules)
    return code_version(root, root / "scripts" / "entry.py")


def test_version_of_a_script_is_that_of_its_statements(tmp_path: Path) -> None:
    plain = {"entry": "from lep.top import f\n\nf(1)\n", "lep__top": "def f(x):\n    return x + 1\n"}
    first = versions(tmp_path / "a", **plain)
    said = {
        "entry": '"""Runs."""\n\n# first\nfrom lep.top import f  # ours\n\nf(1)\n',
        "lep__top": 'def f(x):\n    """Adds."""\n\n    # why\n    return x + 1\n',
    }
    assert versions(tmp_path / "b", **said) == first
    assert versions(tmp_path / "c", **plain | {"entry": "from lep.top import f\n\nf(2)\n"}) != first
    assert versions(tmp_path / "d", **plain | {"lep__top": "def f(x):\n    return x + 2\n"}) != first
    assert versions(tmp_path / "e", **plain, lep__unused="A = 1\n") == first


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    first = versions(tmp_path, entry="from lep.top import f\n", lep__top="A = 1\n")
    assert versions(tmp_path, lep__top="A = 2\n") != first


def test_comments_and_docstrings_do_not_count() -> None:
    plain = 'def f(x):\n    return "# no comment" + x\n'
    assert without_comments('"""Words."""\n# why\n' + plain.replace(":\n", ':  # what\n    """Does."""\n\n')) == (
        without_comments(plain)
    )
    assert without_comments(plain) != without_comments(plain.replace("+", "-"))


def test_what_is_said_of_a_field_does_not_count() -> None:
    plain = "@dataclass\nclass Job:\n    steps: int\n    name: str = 'a'\n"
    said = plain.replace("int\n", 'int\n    """of training; 0: one epoch"""\n')
    assert without_comments(said) == without_comments(plain)


TEXTS = ["'#'", r'"a\"#b"', "'''#\n#'''", r'r"\\#"', 'f"{x}#"', '"""a "#" b"""', "\"it's\" '#'"]


@pytest.mark.parametrize("text", TEXTS, ids=repr)
def test_a_sharp_in_a_string_is_no_comment(text: str) -> None:
    assert without_comments(f"a = {text}  # gone\nb = 1\n") == f"a = {text}\nb = 1"
