"""The pages for people: their links lead somewhere, the commands they show exist."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("data/*.md"), *ROOT.glob("results/*.md")])
TARGETS = set(re.findall(r"^([.\w/-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
page = pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


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


def test_rules_of_the_readme_exist() -> None:
    rules = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "rules").glob("*.smk")))
    for name in re.findall(r"--forcerun (\w+)", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert re.search(rf"^rule {name}:", rules, re.MULTILINE), f"README names the rule {name}, which does not exist"
