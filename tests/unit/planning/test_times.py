"""What a run took beside its plan: sums over the jobs of a rule, of all seeds."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from lep.config import UserError
from lep.planning.schedule import Job
from lep.planning.times import compare, read_benchmarks, rows

HEADER = "s\th:m:s\tmax_rss\tcpu_time\n"


def write(path: Path, seconds: str, processor: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEADER}{seconds}\t0:00:01\t1.0\t{processor}\n", encoding="utf-8")


def test_jobs_of_a_rule_are_added(tmp_path: Path) -> None:
    write(tmp_path / "pretrain/llama/bpe.tsv", "10.5", "8.25")
    write(tmp_path / "seed-43/pretrain/llama/bpe.tsv", "11.5", "8.75")
    write(tmp_path / "gather.tsv", "0.5", "NA")
    jobs = [Job("pretrain", {"vocabulary": v}, (), (), "", 0) for v in ("bpe", "unigram", "extended")]
    model = SimpleNamespace(cost=lambda rule, wildcards: SimpleNamespace(seconds=len(wildcards["vocabulary"])))
    found = rows(compare(jobs, model, read_benchmarks(tmp_path)))
    # Of three planned jobs (3, 7 and 8 s), two were measured.
    assert found == [
        ("pretrain", "2", "12", "22", "17"),
        ("gather", "1", "0", "0", "0"),
        ("all", "3", "12", "22", "17"),
    ]


def test_a_folder_without_a_run_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give the results of a run that has finished"):
        read_benchmarks(tmp_path)
