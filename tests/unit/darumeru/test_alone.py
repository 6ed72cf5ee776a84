"""The benchmark without the workflow: the folder of tasks alone, on the harness's own command line."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from darumeru import task
from darumeru.specs import PREFIX, SPECS
from lm_eval.tasks import TaskManager

# The harness's own tasks are left out: it reads all their 13,000 files first.
BARE = """
import sys
sys.path = [place for place in sys.path if not place.startswith({scripts!r})]
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
sys.argv = ["lm_eval", *{arguments!r}]
from lm_eval.__main__ import cli_evaluate
from lm_eval.tasks import TaskManager
TaskManager.__init__.__defaults__ = (None, None, False, None)
cli_evaluate()
"""


def test_the_command_line_works_without_installation_data_and_network(model: Path, tmp_path: Path) -> None:
    """The folder alone, copied elsewhere: 17 scores, the five groups and the Micro-Avg of the committed items."""
    scripts = Path(__file__).parents[3] / "scripts"
    folder = tmp_path / "darumeru"
    shutil.copytree(scripts / "darumeru", folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "elsewhere").mkdir()
    arguments = ["--model", "hf", "--model_args", f"pretrained={model},dtype=float32", "--device", "cpu"]
    arguments += ["--batch_size", "16", "--include_path", str(folder), "--tasks", "darumeru_tiny"]
    arguments += ["--metadata", json.dumps({"darumeru_max_new_tokens": {"default": 4}, "darumeru_draws": 10})]
    code = BARE.format(scripts=str(scripts), arguments=arguments)
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "DARUMERU_DATA")}
    environment |= {"HF_HUB_OFFLINE": "1", "HTTPS_PROXY": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "elsewhere", env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    scores = re.findall(r"^\| *(?:- )?(.+?) *\|.*\|score *\|", done.stdout, re.MULTILINE)
    titles = ["Darumeru tiny (Micro-Avg)", "DaruMMLU", "DaruMERA", "DaruSum", "DaruCopy (EN)", "DaruCopy (RU)"]
    assert set(titles) <= set(scores)
    for name in SPECS:
        assert re.search(rf"- {PREFIX}{name} \(tiny\)", done.stdout), name


def test_the_context_comes_from_the_model_where_nobody_names_it(model: Path) -> None:
    metadata = {"pretrained": str(model), "darumeru_tiny": True}
    manager = TaskManager(include_path=str(task.FOLDER), include_defaults=False, metadata=metadata)
    one = manager.load([PREFIX + "cp_para_en"])["tasks"][PREFIX + "cp_para_en"]
    assert (one.context, one.max_new_tokens) == (1024, 512)
