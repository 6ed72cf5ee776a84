"""A published model in the place of a trained one: its matrices, the base's body, scores beside the initial model's."""

import json
from pathlib import Path

import pytest
import torch
from fixtures.training import LLAMA3, byte_tokenizer, tiny_model, write_tokenizer
from lep.config import UserError
from lep.manifest import read_manifest, verify
from lep.models.folder import read_embeddings
from lep.models.store import derive_model, import_model, load_model
from lep.pretraining.adopt import AdoptJob, adopt_donor, adopt_vocabulary
from lep.pretraining.validation import ValidationRecipe

LINES = ["В начале сотворил Бог небо и землю.", "И сказал Бог: да будет свет.", "И стал свет."]
RUSSIAN = [*LINES, "И увидел Бог свет, что он хорош, и отделил Бог свет от тьмы."]


def write_donor(folder: Path, base: torch.nn.Module, rows: int, change: str = "") -> None:
    """The published model: the base's body, its own vocabulary and matrices, as an ordinary folder."""
    donor = tiny_model(rows)
    body = {n: t for n, t in base.state_dict().items() if "embed_tokens" not in n and "lm_head" not in n}
    donor.load_state_dict(body, strict=False)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        donor.get_input_embeddings().weight.normal_(generator=generator)
        donor.get_output_embeddings().weight.normal_(generator=generator)
        if change:
            donor.state_dict()[change].add_(0.01)
    donor.save_pretrained(folder)
    write_tokenizer(folder, byte_tokenizer(RUSSIAN, 340), LLAMA3)


@pytest.fixture
def job(tmp_path: Path) -> AdoptJob:
    base = tiny_model(byte_tokenizer(LINES).get_vocab_size())
    base.save_pretrained(tmp_path / "raw")
    write_tokenizer(tmp_path / "raw", byte_tokenizer(LINES), LLAMA3)
    import_model(tmp_path / "raw", tmp_path / "base", "float32")
    rows = byte_tokenizer(RUSSIAN, 340).get_vocab_size()
    write_donor(tmp_path / "donor", base, rows)
    initial = read_embeddings(tmp_path / "donor")
    initial.input.zero_()
    initial.head.zero_()
    derive_model(tmp_path / "base", initial, tmp_path / "donor", tmp_path / "init", recipe_version=1)
    documents = tmp_path / "validation.jsonl"
    document = {
        "id": "1",
        "source": "s",
        "language": "ru",
        "title": "",
        "paragraphs": [{"text": text} for text in LINES],
    }
    documents.write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")
    folders = {"base": "base", "model": "init", "donor": "donor", "models": "models", "output": "run"}
    return AdoptJob(
        **{role: tmp_path / name for role, name in folders.items()}, validation=documents,
        validation_recipe=ValidationRecipe(["ru"], 1000, window=64), steps=30, tokens_per_step=8, seed=1, threads=1,
        device="cpu", dtype="float32",
    )  # fmt: skip


def test_the_checkpoint_is_the_published_model(job: AdoptJob) -> None:
    adopt_donor(job)
    found = load_model(job.models / "cpt-100").eval()
    published = load_model(job.donor).eval()
    ids = torch.tensor([[0, 20, 30, 40]])
    with torch.no_grad():
        assert torch.equal(found(ids).logits, published(ids).logits)
    body = next((job.models / "cpt-100").glob("body-*.safetensors"))
    assert body.stat().st_ino == next(job.base.glob("body-*.safetensors")).stat().st_ino
    verify(job.models / "cpt-100")
    assert read_manifest(job.models / "cpt-100")["facts"]["step"] == 30


def test_the_run_looks_like_a_trained_one(job: AdoptJob) -> None:
    adopt_donor(job)
    verify(job.output)
    metrics = json.loads((job.output / "metrics.json").read_text(encoding="utf-8"))
    initial, published = metrics["checkpoints"]
    rows = len(read_embeddings(job.donor).input)
    assert (initial["name"], initial["step"]) == ("init", 0)
    assert (published["name"], published["trained_tokens"]) == ("cpt-100", 240)
    # A head of zeros gives each token the same probability.
    assert initial["loss_per_token"] == pytest.approx(torch.tensor(float(rows)).log().item(), abs=1e-5)
    assert published["loss_per_token"] != initial["loss_per_token"]
    assert metrics["trained_parameters"] == 2 * rows * 16
    before = (job.output / "manifest.json").read_bytes()
    adopt_donor(job)
    assert (job.output / "manifest.json").read_bytes() == before


def test_another_body_is_refused(job: AdoptJob) -> None:
    base = load_model(job.base)
    write_donor(job.donor, base, len(read_embeddings(job.donor).input), change="model.layers.1.mlp.up_proj.weight")
    with pytest.raises(UserError, match=r"the body differs from the body of .*up_proj.*donor: trained"):
        adopt_donor(job)
    assert not job.models.exists()
    assert not job.output.exists()


def test_the_vocabulary_is_the_published_tokenizer(job: AdoptJob, tmp_path: Path) -> None:
    adopt_vocabulary(job.donor, "extended", tmp_path / "vocabulary")
    facts = read_manifest(tmp_path / "vocabulary")["facts"]
    assert facts == {"rows": byte_tokenizer(RUSSIAN, 340).get_vocab_size(), "kind": "extended"}
    found = (tmp_path / "vocabulary" / "tokenizer.json").read_bytes()
    assert found == (job.donor / "tokenizer.json").read_bytes()  # all later steps compare its hash
