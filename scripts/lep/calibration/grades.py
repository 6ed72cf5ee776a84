"""Grades of self-calibration answers, given by a judge (paper section 2.4.2).

python -m lep.calibration.grades --config job.json
"""

from collections import Counter
from pathlib import Path

from pydantic.dataclasses import dataclass
from tqdm import tqdm

from lep.calibration.endpoint_judge import probe
from lep.calibration.grading import JudgeSettings
from lep.calibration.judge import grade
from lep.calibration.progress import Progress
from lep.compute.determinism import prepare_torch
from lep.config import STRICT
from lep.files import read_jsonl, sha256_json, write_jsonl
from lep.log import run_job
from lep.manifest import publish, staging, verify

RECIPE_VERSION = 1
ANSWERS, GRADES = "answers.jsonl", "grades.jsonl"


@dataclass(frozen=True, config=STRICT)
class GradeJob:
    """Settings of one job: a judge grades the answers of a model."""

    answers: Path  # published folder of the answers
    judge: JudgeSettings
    work: Path  # folder of grades so far; a restarted job continues from it
    output: Path  # folder to publish
    seed: int
    threads: int  # CPU threads of torch, for a judge in a folder
    device: str  # cpu, cuda or auto, for a judge in a folder
    recipe_version: int = RECIPE_VERSION


def give_grades(job: GradeJob) -> None:
    """Publish `grades.jsonl`: one line `{"messages": [...], "answer", "grade"}` per answer, in their order.

    A grade is kept as soon as it is there. An answer without a usable grade has the grade null and is asked again
    when the job runs again; `UserError` if they are more than the judge's settings allow.
    """
    answers = list(read_jsonl(job.answers / ANSWERS))
    config = _identity(job)
    grades = Progress(job.work / sha256_json(config)[:16] / GRADES)  # grades of other answers are never reused
    pairs = {index: (line["messages"][-1]["content"], line["answer"]) for index, line in enumerate(answers)}
    if len(grades) < len(pairs):
        probe(job.judge)
        if job.judge.backend == "local":
            prepare_torch(job.threads, job.seed)
    found = grade(pairs, job.judge, job.device, grades)
    for index, given in tqdm(found, total=len(pairs) - len(grades), desc="grades", unit="answer"):
        grades.add({index: given})
    records = [line | {"grade": grades.get(index)} for index, line in enumerate(answers)]
    folder = staging(job.output)
    write_jsonl(folder / GRADES, records)
    given = Counter(f"grade/{record['grade']}" for record in records)
    publish(
        folder,
        job.output,
        recipe_version=job.recipe_version,
        parents={"answers": job.answers},
        seed=job.seed,
        config=config,
        facts={"answers": len(records), **dict(sorted(given.items()))},
    )


def _identity(job: GradeJob) -> dict:
    """What decides the grades: the answers and the judge, wherever it runs."""
    return {
        "answers": verify(job.answers)["files"][ANSWERS],
        "backend": job.judge.backend,
        "model": job.judge.model,
        "recipe_version": job.recipe_version,
    }


if __name__ == "__main__":
    run_job(give_grades, GradeJob, __doc__)
