"""Training curves and the table of learning rates: what is shown is what the runs recorded."""

import csv
import json
from pathlib import Path

import pytest
from fixtures.report import FAMILIES, outputs
from lep.config import UserError
from lep.manifest import publish, staging
from lep.report.figure_training import plot_training
from lep.report.sweep_table import write_sweep_table


def write_run(folder: Path, bits: list[float]) -> Path:
    """A finished run of 20 steps whose held-out bits per character are `bits` at steps 0, 10 and 20."""
    built = staging(folder)
    lines = [{"step": step, "loss": 5.0 / step, "bits_per_character": 3.0 / step} for step in (1, 10, 20)]
    (built / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    checkpoints = [
        {
            "name": name,
            "step": step,
            "trained_tokens": 64 * step,
            "bits_per_character": value,
            "loss_per_token": 2 * value,
        }
        for (name, step), value in zip((("init", 0), ("cpt-050", 10), ("cpt-100", 20)), bits, strict=True)
    ]
    (built / "metrics.json").write_text(json.dumps({"checkpoints": checkpoints}))
    publish(built, folder, recipe_version=1)
    return folder


def test_curves_are_those_of_the_runs(tmp_path: Path) -> None:
    runs = {
        run: write_run(tmp_path / "pretraining" / run, bits)
        for run, bits in (("mistral/bpe", [3.0, 2.5, 2.25]), ("llama/extended", [2.0, 1.5, 1.25]))
    }
    written = []
    for attempt in ("first", "second"):
        places = {
            run: outputs(tmp_path / attempt, run.replace("/", "_"), "pdf", "png", "csv") for run in ("all", *runs)
        }
        plot_training(FAMILIES, runs, places)
        written.append({(run, kind): Path(path).read_bytes() for run, p in places.items() for kind, path in p.items()})
    assert written[0] == written[1]
    with open(places["all"]["csv"], encoding="utf-8", newline="") as file:
        rows = [tuple(row.values()) for row in csv.DictReader(file)]
    assert ("llama/extended", "held-out", "20", "1.250000") in rows
    assert ("mistral/bpe", "training", "10", "0.300000") in rows
    assert len(rows) == 2 * (3 + 3)
    assert written[0]["mistral/bpe", "csv"].decode().count("\n") == 1 + 6


def test_the_search_marks_the_lowest(tmp_path: Path) -> None:
    folders = {rate: write_run(tmp_path / rate, [3.0, 2.5, last]) for rate, last in (("0.0001", 2.2), ("0.0002", 2.1))}
    written = outputs(tmp_path, "learning_rates", "csv", "md")
    write_sweep_table({"llama/bpe": folders}, written)
    with open(written["csv"], encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["learning_rate"], row["bits_per_character"], row["lowest"]) for row in rows] == [
        ("0.0001", "2.2000", "no"),
        ("0.0002", "2.1000", "yes"),
    ]
    assert {row["tokens"] for row in rows} == {"1280"}
    assert "| llama/bpe | 0.0002 | 20 | 1280 | 2.1000 | 4.2000 | yes |" in Path(written["md"]).read_text()
    with pytest.raises(UserError, match="never finished"):
        write_sweep_table({"llama/bpe": {"0.1": tmp_path / "nowhere"}}, written)
