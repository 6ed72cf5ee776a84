"""Recording a finished run: its small files are kept, its page is filled, and an unfinished run leaves nothing."""

import json
from pathlib import Path

import pytest
from lep.config import UserError
from lep.report.record import FILES, filled, record

PAGE = """# A run

<!-- tables/language.md -->
old
<!-- end -->

<!-- tables/times.csv -->
<!-- end -->

![What it learns](images/language.png)
"""


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    for name in (*FILES, "tables/language.md", "tables/language.csv", "figures/language.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name}\n", encoding="utf-8")
    (folder / "tables/times.csv").write_text("step,jobs,run\npretrain,2,x-1\n", encoding="utf-8")
    run = {"finished": "2026-01-02", "versions": {"torch": "2.0", "vllm": None}, "host": "secret"}
    (folder / "pretraining/a/bpe").mkdir(parents=True)
    (folder / "pretraining/a/bpe/run.json").write_text(json.dumps(run), encoding="utf-8")
    return folder


def test_files_page_and_machine(results: Path, tmp_path: Path) -> None:
    page, output = tmp_path / "docs" / "a.md", tmp_path / "recorded"
    page.parent.mkdir()
    page.write_text(PAGE, encoding="utf-8")
    record(results, output, page)
    text = page.read_text(encoding="utf-8")
    assert "<!-- tables/language.md -->\n\ntables/language.md\n\n<!-- end -->" in text
    assert "old" not in text
    assert "<!-- tables/times.csv -->\n\n| step | jobs |\n|---|---:|\n| pretrain | 2 |\n\n<!-- end -->" in text
    assert filled(text, output) == text
    assert (tmp_path / "docs/images/language.png").is_file()
    kept = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    assert kept == {*FILES, "tables/language.md", "tables/times.csv", "language.csv", "machine.json"}
    machine = json.loads((output / "machine.json").read_text(encoding="utf-8"))
    assert machine["versions"] == {"torch": "2.0"}
    assert "secret" not in str(machine)


@pytest.mark.parametrize("lost", ["scores.csv", "tables/language.md", "figures/language.png"])
def test_what_is_missing_is_named_and_nothing_is_written(results: Path, tmp_path: Path, lost: str) -> None:
    page = tmp_path / "a.md"
    page.write_text(PAGE, encoding="utf-8")
    (results / lost).unlink()
    with pytest.raises(UserError, match=lost.replace(".", r"\.")):
        record(results, tmp_path / "recorded", page)
    assert page.read_text(encoding="utf-8") == PAGE
    assert not (tmp_path / "recorded").exists()
