"""Tiny models and tokenizers for the tests of trainings."""

import json
from pathlib import Path

import torch
from lep.models.store import import_model
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

# OpenChat's and Llama 3's ways to write a conversation.
OPENCHAT = (
    "{{ bos_token }}{% for m in messages %}GPT4 Correct {{ m['role'].title() }}: {{ m['content'] }}<|end_of_turn|>"
    "{% endfor %}{% if add_generation_prompt %}GPT4 Correct Assistant:{% endif %}"
)
LLAMA3 = (
    "{% for m in messages %}{{ bos_token if loop.first }}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)


def tiny_model(rows: int, tied: bool = False) -> torch.nn.Module:
    """A Llama of 2 layers, hidden size 16, with fixed random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=rows,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=tied,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    return LlamaForCausalLM(config)


def byte_tokenizer(lines: list[str], size: int = 320) -> Tokenizer:
    """Byte-level BPE with Llama-3-style specials in front; writes one BOS."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<s>", "</s>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines * 3, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return tokenizer


def sentencepiece_tokenizer(lines: list[str], size: int = 320) -> Tokenizer:
    """A BPE of SentencePiece's kind (space marks, byte fallback) with OpenChat's end of turn; BOS is `<s>`."""
    pieces = Tokenizer(models.BPE(unk_token="<unk>"))
    pieces.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=["<unk>"], show_progress=False)
    pieces.train_from_iterator(lines * 3, trainer)
    state = json.loads(pieces.to_str())["model"]
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    names += [piece for piece in state["vocab"] if piece not in names]
    merges = [tuple(merge) for merge in state["merges"]]
    tokenizer = Tokenizer(
        models.BPE({n: i for i, n in enumerate(names)}, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>", "<|end_of_turn|>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    return tokenizer


def write_tokenizer(folder: Path, tokenizer: Tokenizer, template: str | None, eos: str = "</s>") -> None:
    """Save a tokenizer as a folder that AutoTokenizer loads."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"bos_token": "<s>", "eos_token": eos, "tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    if template:
        (folder / "chat_template.jinja").write_text(template)


def write_model(folder: Path, lines: list[str], *, rows: int | None = None, tied: bool = False) -> None:
    """A tiny model with a byte-level tokenizer and the Llama 3 template as a model-store folder."""
    tokenizer = byte_tokenizer(lines)
    raw = folder.with_name(f"{folder.name}-raw")
    tiny_model(rows or tokenizer.get_vocab_size(), tied).save_pretrained(raw)
    write_tokenizer(raw, tokenizer, LLAMA3)
    import_model(raw, folder, "float32")
