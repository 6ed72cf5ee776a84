"""Recorded runs: pages show what was recorded, and tables and figures come out of the recorded scores again."""

from pathlib import Path

import pytest
import yaml
from fixtures.checkout import ROOT
from lep.report.draw import draw_scores
from lep.report.record import FILES, MACHINE, filled

RECORDED = sorted(path for path in (ROOT / "data/recorded").glob("*") if path.is_dir())


def test_the_laptop_run_is_recorded() -> None:
    assert "laptop" in [path.name for path in RECORDED]


@pytest.mark.parametrize("folder", RECORDED, ids=lambda path: path.name)
def test_the_page_shows_what_was_recorded(folder: Path) -> None:
    page = (ROOT / "docs" / f"{folder.name}.md").read_text(encoding="utf-8")
    assert "<!-- tables/" in page
    assert filled(page, folder) == page
    assert {name for name in (*FILES, MACHINE) if not (folder / name).is_file()} == set()


@pytest.mark.parametrize("folder", RECORDED, ids=lambda path: path.name)
def test_tables_and_figures_are_made_from_the_recorded_scores(folder: Path, tmp_path: Path) -> None:
    settings = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    files = {name: folder / f"{name}.csv" for name in ("metrics", "language")} | {"samples": folder / "samples.jsonl"}
    draw_scores(folder / "scores.csv", settings, ROOT / "data/published_scores.csv", tmp_path, **files)
    for path in (folder / "tables").glob("table?.md"):
        kept, made = (
            [line for line in file.read_text(encoding="utf-8").splitlines() if "Run `" not in line]
            for file in (path, tmp_path / "tables" / path.name)
        )
        assert kept == made
    assert {path.stem for path in (tmp_path / "figures").glob("*.png")} >= {"figure1", "figure2", "figure3", "language"}
