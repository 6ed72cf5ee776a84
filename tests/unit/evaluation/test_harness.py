"""Loading for the harness: limits of a model, merging, chat templates, backends."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from darumeru.specs import PREFIX
from fixtures.evaluation import make_job
from lep.config import UserError
from lep.evaluation import evaluate, harness
from lep.evaluation.samples import load_samples


def test_a_calibrated_model_is_merged_first(places: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from lep.models import adapter

    folder = places["root"] / "calibrated"
    (folder / "adapter").mkdir(parents=True)
    (folder / "adapter" / "adapter_config.json").write_text("{}")
    monkeypatch.setattr(
        adapter, "merge", lambda source, target: shutil.copytree(places["b"], target, dirs_exist_ok=True)
    )
    models = [{"name": "plain", "path": str(places["b"])}, {"name": "merged", "path": str(folder)}]
    job = make_job(places, "merged", tasks=["rwsd", "multiq"], models=models)
    evaluate.evaluate(job)
    samples = load_samples(Path(job.output) / "samples.jsonl.gz")
    assert samples["plain"] == samples["merged"]
    assert not list(Path(job.work).glob("merged-*"))


@pytest.mark.parametrize(("given", "context"), [(0, 1024), (512, 512)])
def test_the_model_sets_its_own_limit_unless_told(places: dict[str, Path], given: int, context: int) -> None:
    job = make_job(places, "limits", max_model_tokens=given, max_prompt_tokens=100)
    one = harness.load_tasks(places["a"], job)["tasks"][PREFIX + "cp_para_en"]
    assert harness.load_lm(places["a"], job).max_length == one.context == context
    assert one.max_prompt_tokens == 100


def test_chat_needs_a_template(places: dict[str, Path]) -> None:
    bare = places["root"] / "bare"
    shutil.copytree(places["a"], bare)
    (bare / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match=r"no chat template; add chat_template\.jinja"):
        evaluate.evaluate(make_job(places, "bare", chat=True, models=[{"name": "x", "path": str(bare)}]))


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
def test_the_other_backend_names_what_it_needs(places: dict[str, Path]) -> None:
    with pytest.raises(UserError, match=r"backend vllm needs the packages of envs/vllm\.yaml"):
        evaluate.evaluate(make_job(places, "vllm", tasks=["rwsd"], backend="vllm"))
