"""The pages for people: their links lead somewhere, the commands they show exist."""

import re
from pathlib import Path

import pytest
import yaml
from fixtures.rules import RULES

ROOT = Path(__file__).parents[2]
FOLDERS = (".", "docs", "data", "results", "benchmarks", "scripts/darumeru")
PAGES = sorted(path for folder in FOLDERS for path in ROOT.glob(f"{folder}/*.md"))
TARGETS = set(re.findall(r"^([.\w/-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def pages(*left_out: str) -> pytest.MarkDecorator:
    paths = [path for path in PAGES if path.name not in left_out]
    return pytest.mark.parametrize("path", paths, ids=lambda path: str(path.relative_to(ROOT)))


page = pages()
present = pages("CHANGELOG.md")  # which may name what was renamed


@page
def test_links(path: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text(encoding="utf-8"))
    inside = [link for link in links if not link.startswith("http")]
    assert [link for link in inside if not (path.parent / link).exists()] == []


@page
def test_make_targets(path: Path) -> None:
    named = set(re.findall(r"(?:^|`)make ([.a-z][\w./-]*)", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= TARGETS


def test_every_scale_of_the_readme_exists() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for scale in set(re.findall(r"SCALE=(\w+)", readme)) | {"paper"}:
        overlay = yaml.safe_load((ROOT / "configs" / f"{scale}.yaml").read_text(encoding="utf-8"))
        assert overlay["scale"] == scale


@present
def test_rules_of_commands_exist(path: Path) -> None:
    named = set(re.findall(r"--(?:forcerun|until) (\w+)", path.read_text(encoding="utf-8")))
    assert named <= RULES.keys()


@present
def test_modules_exist(path: Path) -> None:
    """A dotted name is a module or a package, or a name in one."""
    for name in re.findall(r"(?<![\w/])lep(?:\.\w+)+", path.read_text(encoding="utf-8")):
        place = (ROOT / "scripts").joinpath(*name.split("."))
        owner = place.parent.with_suffix(".py")
        inside = owner.is_file() and re.search(rf"\b{place.name}\b", owner.read_text(encoding="utf-8"))
        assert place.is_dir() or place.with_suffix(".py").is_file() or inside, name


@present
def test_files_of_the_repository_exist(path: Path) -> None:
    """A word in capitals stands for any name."""
    named = r"`((?:configs|docs|envs|profiles|rules|scripts|slurm|tests)/[\w./*-]+)"
    for name in re.findall(named, path.read_text(encoding="utf-8")):
        assert list(ROOT.glob(re.sub(r"\b[A-Z]+\b", "*", name.rstrip("/")))), name
