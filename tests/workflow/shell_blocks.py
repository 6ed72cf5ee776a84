"""Every command that README and docs show, as tests run it: on the ci results where that is quick, else as a dry run.

`make paper`, `make test` and the set-up are what continuous integration runs in full; they are left out here.
"""

import re
import shlex
import sys
from pathlib import Path

from checkout import ROOT

PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
EXEMPT = {"make paper", "make test", "make .venv/.installed"}
DRY = ("paper", "plan", "report", "clean-models", "envs")  # targets of make whose ARGS go to Snakemake
# What stands for the reader's own folders; relative to the results of the ci run.
FOLDERS = {
    "--base": "models/llama/base",
    "--instruct": "models/llama/instruct",
    "--donor": "models/llama/optimized/donor",
    "--against": "models/llama/base",
    "--merge": "calibrated/llama/optimized/conversion/self",
    "": "models/llama/optimized/conversion",
}


def commands() -> list[str]:
    """The lines of all shell blocks, continued lines joined, without comments."""
    found = []
    for page in PAGES:
        for language, block in re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
            if language not in ("", "sh", "bash"):
                continue
            lines = block.replace("\\\n", " ").splitlines()
            found += [" ".join(shlex.quote(word) for word in shlex.split(line, comments=True)) for line in lines]
    return [line for line in dict.fromkeys(found) if line and line not in EXEMPT]


def with_folders(words: list[str], results: Path, out: Path) -> list[str]:
    """The command with the places of folders filled in."""
    filled, flag = [], ""
    for word in words:
        if re.fullmatch(r"[A-Z_]*DIR", word):
            word = str(out) if flag == "--out" else str(results / FOLDERS[flag])
        flag = word if word.startswith("--") else ""
        filled.append(word)
    return filled


def arguments(line: str, results: Path, out: Path) -> list[str]:
    """What is run for a line of the documentation."""
    words = [word.replace("results/mini", "results/ci") for word in shlex.split(line)]
    if words[0] == "make":
        values = dict(word.split("=", 1) for word in words[1:] if "=" in word)
        target = next(word for word in words[1:] if "=" not in word)
        if target in ("figures", "explain"):
            values = {"SCALE": "ci", **values}
        if target in DRY:
            values = {"SCALE": "ci", **values, "ARGS": f"{values.get('ARGS', '')} --dry-run"}
        return ["make", "-o", ".venv/.installed", target, *(f"{key}={value}" for key, value in values.items())]
    if words[0] == ".venv/bin/snakemake":
        return [sys.executable, "-m", "snakemake", *words[1:], "--dry-run"]
    assert words[0] == ".venv/bin/python", f"README and docs show {line!r}; say here how to test it"
    return [sys.executable, *with_folders(words[1:], results, out)]
