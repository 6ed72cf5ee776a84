"""Sample answers of Figure 3: the same prompts for every model."""

import json
from pathlib import Path

from lep.calibration.answers import choose_prompts
from lep.evaluation.sample_answers import SampledFamily, SampledModel, SampleJob, sample


def test_samples_of_figure_3(chat_folder: Path, tmp_path: Path) -> None:
    models = [
        SampledModel(name, chat_folder / "model", label) for name, label in (("a/instruct", "original"), ("a/b", "LEP"))
    ]
    values = {"output": tmp_path / "samples.jsonl", "max_new_tokens": 4, "threads": 1, "seed": 1, "device": "cpu"}
    sample(
        SampleJob(
            [SampledFamily("a", models)],
            instructions=chat_folder / "instructions",
            prompts=2,
            dtype="float32",
            **values,
        )
    )
    lines = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert [line["prompt"] for line in lines] == [
        p[-1]["content"] for p in choose_prompts(chat_folder / "instructions", 2, 1)
    ]
    assert [(a["model"], a["label"]) for a in lines[0]["answers"]] == [("a/instruct", "original"), ("a/b", "LEP")]
    assert lines[0]["answers"][0]["text"] == lines[0]["answers"][1]["text"]


def test_prompts_may_be_given(chat_folder: Path, tmp_path: Path) -> None:
    family = SampledFamily("a", [SampledModel("a/instruct", chat_folder / "model", "original")])
    job = SampleJob(
        [family], chat_folder / "instructions", ["Кто ты?"], tmp_path / "samples.jsonl", max_new_tokens=4, threads=1,
        seed=1, device="cpu", dtype="float32",
    )  # fmt: skip
    sample(job)
    line = json.loads((tmp_path / "samples.jsonl").read_text(encoding="utf-8"))
    assert (line["prompt"], len(line["answers"])) == ("Кто ты?", 1)
