"""docs/reruns.md: for each change the steps that repeat, and no other.

Nothing is computed. The outputs of the ci graph are made as small files, `--touch` records them as finished, and after
each change a dry run says what it would repeat: what the page names, and all that follows from it in the graph.
"""

import contextlib
import copy
import fnmatch
import io
import json
import multiprocessing
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import snakemake.cli
import yaml
from fixtures.checkout import ROOT, copy_checkout
from lep.compute.place import has_gpu
from lep.planning.schedule import Job, read_jobs

PAGE = ROOT / "docs" / "reruns.md"
CI = yaml.safe_load((ROOT / "configs" / "ci.yaml").read_text(encoding="utf-8"))


def name_of(job: Job) -> str:
    """Rule and wildcards: `pretrain llama/bpe`."""
    return " ".join([job.rule, "/".join(filter(None, job.wildcards.values()))]).strip()


def call(checkout: Path, *arguments: str) -> None:
    """Snakemake in a child of this process, which has imported it already: a third of the time."""

    def child() -> None:
        os.chdir(checkout)
        with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(said):
            try:
                snakemake.cli.main(["--configfile", "configs/ci.yaml", *arguments])
            except SystemExit as end:
                if end.code:
                    (checkout / "said.txt").write_text(said.getvalue(), encoding="utf-8")
                raise

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    assert process.exitcode == 0, (checkout / "said.txt").read_text(encoding="utf-8")


def dry_run(checkout: Path, *arguments: str) -> list[Job]:
    listed = checkout / "jobs.jsonl"
    listed.unlink(missing_ok=True)
    call(checkout, *arguments, "--dry-run", "--quiet", "all", "--logger", "jobs", "--logger-jobs-file", str(listed))
    return read_jobs(listed)


@pytest.fixture(scope="module")
def finished_graph(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Job]]:
    """A checkout in which Snakemake takes the whole ci graph for finished, and its jobs."""
    checkout = copy_checkout(tmp_path_factory.mktemp("reruns") / "checkout")
    jobs = dry_run(checkout)
    for output in (output for job in jobs for output in job.outputs):
        path = checkout / output
        folder = path if not path.suffix else path.parent  # some steps make a whole folder
        folder.mkdir(parents=True, exist_ok=True)
        if path.suffix:
            path.write_text(output, encoding="utf-8")
    call(checkout, "--touch", "--forceall", "--cores", "1", "--quiet", "all")
    assert dry_run(checkout) == []
    return checkout, jobs


def following(jobs: list[Job], first: set[str]) -> set[str]:
    """The names of the jobs `first` and of all that take an output of theirs, however remote."""
    found, waiting = set(first), [job for job in jobs if name_of(job) in first]
    while waiting:
        outputs = set(waiting.pop().outputs)
        more = [job for job in jobs if name_of(job) not in found and outputs & set(job.inputs)]
        found |= {name_of(job) for job in more}
        waiting += more
    return found


# -- changes: each function changes the checkout, or returns what an overlay says


def overlay(**values: object) -> Callable[[Path], dict]:
    return lambda checkout: values


def family(name: str, **values: object) -> Callable[[Path], dict]:
    families = copy.deepcopy(CI["families"])
    next(entry for entry in families if entry["name"] == name).update(values)
    return lambda checkout: {"families": families}


def edit(path: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    def change_file(checkout: Path) -> None:
        file = checkout / path
        text = file.read_text(encoding="utf-8")
        assert change(text) != text
        file.write_text(change(text), encoding="utf-8")

    return change_file


def remark(path: str) -> Callable[[Path], None]:
    """Comments, an empty line and another docstring."""
    return edit(path, lambda text: re.sub(r'"""(?=\w)', '"""Truly. ', text).replace("\n\n\ndef ", "\n\n\n# Why.\ndef "))


def file_of(module: str) -> str:
    return f"scripts/{module.replace('.', '/')}.py"


def statement(module: str) -> Callable[[Path], None]:
    return edit(file_of(module), lambda text: f"{text}\n_CHANGED = True\n")


def statements(*modules: str) -> Callable[[Path], None]:
    def change_files(checkout: Path) -> None:
        for module in modules:
            statement(module)(checkout)

    return change_files


def version(module: str) -> Callable[[Path], None]:
    return edit(file_of(module), lambda text: re.sub(r"^RECIPE_VERSION = ", "RECIPE_VERSION = 9", text, flags=re.M))


def written_again(path: str) -> Callable[[Path], None]:
    """A step wrote the same bytes once more."""
    return lambda checkout: os.utime(checkout / path)


CHANGES = {
    "`corpus.quality.minimum_letter_share`": overlay(corpus={"quality": {"minimum_letter_share": 0.5}}),
    "a line of a corpus file": edit(
        "data/fixtures/corpus/train.jsonl", lambda text: "".join(text.splitlines(keepends=True)[:-1])
    ),
    "`vocabulary.characters`": overlay(vocabulary={"characters": 1000000}),
    "`extension_size` of llama": family("llama", extension_size=500),
    "`optimized_keep` of llama": family("llama", optimized_keep=1000),
    "`learning_rate` of llama": family("llama", learning_rate=0.001),
    "`base_title` of llama": family("llama", base_title="Another name (stand-in)"),
    "`pretraining.block_size`": overlay(pretraining={"block_size": 32}),
    "`pretraining.warmup_steps`": overlay(pretraining={"warmup_steps": 3}),
    "`pretraining.sweep.share`": overlay(pretraining={"sweep": {"share": 0.9}}),
    "`pretraining.chunk_minutes`": overlay(pretraining={"chunk_minutes": 100}),
    "`propagation.methods` without overlap": overlay(propagation={"methods": ["swap", "conversion"]}),
    "`propagation.token_text`": overlay(propagation={"token_text": "published"}),
    "`calibration.recipes.saiga.learning_rate`": overlay(calibration={"recipes": {"saiga": {"learning_rate": 0.002}}}),
    "`calibration.copy_examples.saiga_copy`": overlay(calibration={"copy_examples": {"saiga_copy": 5}}),
    "`calibration.answers.max_new_tokens`": overlay(calibration={"answers": {"max_new_tokens": 9}}),
    "`calibration.judge.parallel`": overlay(calibration={"judge": {"parallel": 9}}),
    "`evaluation.items`": overlay(evaluation={"items": 5}),
    "`evaluation.batch_size`": overlay(evaluation={"batch_size": 3}),
    "`evaluation.bootstrap_draws`": overlay(evaluation={"bootstrap_draws": 50}),
    "`report.samples.max_new_tokens`": overlay(report={"samples": {"max_new_tokens": 9}}),
    "`report.errors_per_task`": overlay(report={"errors_per_task": 2}),
    "`compute.memory_mb`, `compute.runtime_minutes`": overlay(compute={"memory_mb": 9000, "runtime_minutes": 90}),
    "a published value": edit("data/published_scores.csv", lambda text: text.replace(".6", ".7")),
    "the report's layout, `paper/style.typ`": edit("paper/style.typ", lambda text: text + "\n// wider\n"),
    "a pin of requirements.txt": edit("requirements.txt", lambda text: text.replace("==", "==9.", 1)),
    "a pin of envs/train.yaml": edit("envs/train.yaml", lambda text: text.replace("==", "==9.", 1)),
    "a comment or docstring of an entry script": remark("scripts/build_corpus.py"),
    "a comment or docstring of the library": remark("scripts/lep/vocabulary/build.py"),
    "a comment or docstring of a trainer": remark("scripts/lep/pretraining/pretrain.py"),
    "the code of a trainer, same `RECIPE_VERSION`": statement("lep.pretraining.pretrain"),
    **{
        f"`RECIPE_VERSION` of `{module}`": version(module)
        for module in (
            "lep.pretraining.pretrain",
            "lep.calibration.answers",
            "lep.calibration.grades",
            "lep.calibration.calibrate",
            "lep.evaluation.evaluate",
            "lep.evaluation.sample_answers",
        )
    },
    "the arguments in an entry script": edit("scripts/make_table.py", lambda text: text.replace("number", "which")),
    **{
        f"code of `{module}`": statement(module)
        for module in (
            "lep.corpus.readers",
            "lep.vocabulary.train",
            "lep.vocabulary.build",
            "lep.pretraining.packing",
            "lep.propagation.averaging",
            "lep.propagation.initialise",
            "lep.pretraining.donor",
            "lep.propagation.propagate",
            "lep.calibration.data",
            "lep.report.figure_style",
        )
    },
    "code of `lep.manifest`, `lep.log` or `lep.workflow`": statements(
        "lep.manifest", "lep.log", "lep.workflow.run", "lep.workflow.models", "lep.workflow.jobs"
    ),
    "a step wrote the same bytes in an earlier run": written_again("results/ci/corpus/train.jsonl"),
}


def table() -> Iterator[tuple[str, list[str]]]:
    """(change, patterns of the first jobs) of each row of the page."""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and cells[0] != "change":
            yield cells[0], [] if cells[1] == "nothing" else re.findall(r"`([^`]+)`", cells[1])


ROWS = dict(table())


def test_every_change_stands_on_the_page() -> None:
    assert list(ROWS) == list(CHANGES)
    assert len(ROWS) >= 20


@pytest.mark.parametrize("change", CHANGES)
def test_change_repeats_what_the_page_says(change: str, finished_graph: tuple[Path, list[Job]], tmp_path: Path) -> None:
    checkout, jobs = finished_graph
    kept = {path: (path.read_bytes(), path.stat()) for path in checkout.rglob("*") if _may_change(path, checkout)}
    try:
        values = CHANGES[change](checkout)
        extra = tmp_path / "change.json"
        extra.write_text(json.dumps(values or {}), encoding="utf-8")
        planned = dry_run(checkout, *([str(extra)] if values else []))
    finally:
        for path, (content, state) in kept.items():
            if path.stat().st_mtime_ns != state.st_mtime_ns:
                path.write_bytes(content)
                os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    names = {name_of(job) for job in planned}
    wanted = {
        name for name in names | set(map(name_of, jobs)) for p in ROWS.get(change, ()) if fnmatch.fnmatch(name, p)
    }
    # Job settings are written for the jobs that need them, the record of the configuration after any change of it.
    unnamed = re.compile("write_job .*|record_config|all")
    found, expected = (
        {n for n in some if not unnamed.fullmatch(n)} for some in (names, following(planned + jobs, wanted))
    )
    assert sorted(found - expected) == [], "repeated, but not named"
    assert sorted(expected - found) == [], "named, but not repeated"


FORCED = {
    "pretrain": ("pretraining/llama/optimized/manifest.json", "pretrain/llama/optimized"),
    "calibrate": (
        "calibrated/llama/optimized/conversion/self/manifest.json", "calibrate/llama/optimized/conversion/self",
    ),
    "evaluate": ("evaluation/llama/optimized/propagation/scores.csv", "evaluate/llama/optimized/propagation"),
}  # fmt: skip


@pytest.mark.parametrize("rule", FORCED)
def test_a_forced_run_begins_anew(rule: str, finished_graph: tuple[Path, list[Job]], tmp_path: Path) -> None:
    """The progress that it kept is deleted, that of other jobs is not; the job itself cannot run here."""
    checkout = Path(shutil.copytree(finished_graph[0], tmp_path / "checkout", symlinks=True))
    target, work = FORCED[rule]
    other = "pretrain/llama/bpe"
    for name in (work, other):
        (checkout / "results/ci/work" / name).mkdir(parents=True)
    with pytest.raises(AssertionError, match=f"Error in rule {rule}"):
        call(checkout, "--cores", "1", "--allowed-rules", rule, "--forcerun", rule, "--", f"results/ci/{target}")
    assert not (checkout / "results/ci/work" / work).exists()
    assert (checkout / "results/ci/work" / other).exists()


@pytest.mark.skipif(has_gpu(), reason="this machine has a GPU")
def test_a_run_on_a_gpu_that_is_not_there_does_not_start(
    finished_graph: tuple[Path, list[Job]], tmp_path: Path
) -> None:
    checkout = finished_graph[0]
    (tmp_path / "cuda.json").write_text('{"compute": {"device": "cuda"}}', encoding="utf-8")
    target = "results/ci/evaluation/llama/optimized/propagation/scores.csv"
    before = (checkout / target).stat()
    with pytest.raises(AssertionError, match="torch finds no GPU on this machine; use cpu or auto"):
        call(checkout, str(tmp_path / "cuda.json"), "--cores", "1", "--forcerun", "evaluate", "--", target)
    assert (checkout / target).stat() == before


def _may_change(path: Path, checkout: Path) -> bool:
    place = path.relative_to(checkout).parts
    return path.is_file() and (
        place[0] in ("data", "scripts", "paper", "envs", "requirements.txt") or "corpus" in place
    )
