"""A merged model answers as its parent with the adapter does."""

from pathlib import Path

import pytest
import torch
from lep.calibration.calibrate import CalibrateJob, calibrate
from lep.manifest import verify
from lep.models.adapter import merge, publish_merged


def adapter_logits(job: CalibrateJob, ids: torch.Tensor) -> torch.Tensor:
    from lep.models.store import load_model
    from peft import PeftModel

    model = PeftModel.from_pretrained(load_model(job.parent, "float32", "cpu"), str(job.output / "adapter"))
    with torch.no_grad():
        return model.eval()(input_ids=ids).logits


@pytest.mark.parametrize(
    ("parent", "lora"),
    [
        ("model", {"full": ["lm_head"]}),
        ("model", {"full": ["embed_tokens", "lm_head"], "layers": "first_last"}),
        ("tied", {"full": ["embed_tokens", "lm_head"]}),
    ],
)
def test_merged_equals_adapter(make_calibrate_job, tmp_path: Path, parent: str, lora: dict) -> None:
    from lep.models.store import load_model

    job = make_calibrate_job(parent=parent, **lora)
    calibrate(job)
    facts = verify(job.output)["facts"]
    assert facts["examples"] == 14
    assert facts["steps"] == 4
    assert facts["held_out"] == 14
    assert facts["held_out_loss"] < facts["held_out_loss_before"]
    merge(job.output, tmp_path / "merged")
    ids = torch.tensor([[0, 7, 8, 9, 20, 30]])
    merged = load_model(tmp_path / "merged", "float32", "cpu").eval()
    with torch.no_grad():
        torch.testing.assert_close(merged(input_ids=ids).logits, adapter_logits(job, ids), rtol=1e-4, atol=1e-5)
    before = load_model(job.parent, "float32", "cpu")
    changed = {
        name for name, p in before.state_dict().items() if not torch.equal(p, merged.state_dict()[name].to(p.dtype))
    }
    assert ("model.embed_tokens.weight" in changed) == ("embed_tokens" in lora["full"])
    assert "lm_head.weight" in changed
    assert "model.layers.0.mlp.up_proj.weight" in changed
    assert merged.config.tie_word_embeddings == (parent == "tied")
    assert (tmp_path / "merged/chat_template.jinja").is_file()


def test_a_merged_folder_is_an_ordinary_model(make_calibrate_job, tmp_path: Path) -> None:
    job = make_calibrate_job()
    calibrate(job)
    publish_merged(job.output, tmp_path / "merged")
    verify(tmp_path / "merged")
    assert not (tmp_path / "merged/adapter").exists()
    ids = torch.tensor([[0, 7, 8, 9]])
    from transformers import AutoModelForCausalLM

    with torch.no_grad():
        logits = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()(input_ids=ids).logits
    torch.testing.assert_close(logits, adapter_logits(job, ids), rtol=1e-4, atol=1e-5)
