"""The command `lep.compare`: scores of two models side by side, refused command lines."""

import re
import subprocess
import sys

import pytest
from darumeru.specs import GROUPS, SPECS
from fixtures.evaluation import table
from lep.evaluation.harness import EvaluateJob


def compared(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "lep.compare", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_command_line_of_compare(finished: EvaluateJob) -> None:
    """Folder or file, the model by its name or the last part of it; every score that both have, or those asked for."""
    done = compared(f"{finished.output}:llama/base", f"{finished.output}/samples.jsonl.gz:cpt-050")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["A = llama/base", "B = llama/extended/cpt-050"]
    assert [line.split()[0] for line in lines[3:]] == ["micro_avg", *GROUPS, *SPECS]
    row = {row["model"]: row["value"] for row in table(finished) if (row["name"], row["metric"]) == ("rwsd", "score")}
    a, b = (float(value) for value in row.values())
    line = next(line for line in lines if line.startswith("rwsd"))
    assert line.split()[1:4] == [f"{a:.4f}", f"{b:.4f}", f"{b - a:+.4f}"]
    one = compared(f"{finished.output}:base", f"{finished.output}:cpt-050", "--metric", "rwsd")
    assert one.stdout.splitlines()[3:] == [line]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (("{}", "{}:cpt-050"), "more than one model; write .*:MODEL with one of llama/base, llama/extended/cpt-050"),
        (("{}:base", "{}:nobody"), "no models 'nobody'"),
        (("{}:base", "nowhere"), "nowhere does not exist"),
        (("{}:base", "{}:cpt-050", "--metric", "rwds"), "unknown metric 'rwds'"),
    ],
)
def test_refused_command_lines(finished: EvaluateJob, where: tuple[str, ...], message: str) -> None:
    done = compared(*(place.format(finished.output) for place in where))
    assert done.returncode == 1
    assert re.search(message, done.stderr)
    assert "Traceback" not in done.stderr


def test_comparing_needs_no_torch() -> None:
    code = "import sys, lep.compare; sys.exit('torch' in sys.modules or 'lm_eval' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
