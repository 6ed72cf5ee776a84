"""Tiny tokenizers of all kinds and tiny random models, made from the committed verses."""

import functools
import json
import shutil
import tempfile
from pathlib import Path

import torch
from lep.files import write_json
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

CORPUS = Path(__file__).parents[2] / "data" / "fixtures" / "corpus" / "train.jsonl"
HIDDEN = 16
ARCHITECTURES = {"llama": (LlamaConfig, LlamaForCausalLM), "mistral": (MistralConfig, MistralForCausalLM)}
WORDS = Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEMPLATE = "{{ bos_token }}{% for m in messages %}{{ m['content'] }}{{ eos_token }}{% endfor %}"


def lines(language: str, count: int = 150) -> list[str]:
    documents = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]
    return [p["text"] for d in documents if d["language"] == language for p in d["paragraphs"]][:count]


@functools.cache
def _byte_level(language: str, size: int) -> str:
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(WORDS, "isolated"), byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(lines(language), trainer)
    return tokenizer.to_str()


def byte_level(language: str = "en", size: int = 400, specials: tuple[str, ...] = ("<|bos|>", "<|eos|>")) -> Tokenizer:
    """Byte-level BPE with its special tokens at the tail, as Llama 3."""
    tokenizer = Tokenizer.from_str(_byte_level(language, size))
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in specials])
    return tokenizer


@functools.cache
def _pieces(language: str, size: int) -> tuple[dict[str, int], tuple[tuple[str, str], ...]]:
    """Vocabulary and merges of a BPE in SentencePiece's alphabet, with specials and byte pieces in front."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    front = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=front, limit_alphabet=90, show_progress=False)
    tokenizer.train_from_iterator(lines(language), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], tuple(tuple(merge) for merge in model["merges"])


def _spaces(tokenizer: Tokenizer, metaspace: bool) -> Tokenizer:
    if metaspace:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    else:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    specials = [AddedToken(name, special=True, normalized=False) for name in ("<unk>", "<s>", "</s>")]
    tokenizer.add_special_tokens(specials)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


def sentencepiece_bpe(language: str = "en", size: int = 500, metaspace: bool = False) -> Tokenizer:
    """BPE with `▁` and byte pieces, as Mistral."""
    vocabulary, merges = _pieces(language, size)
    model = models.BPE(dict(vocabulary), list(merges), unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    return _spaces(Tokenizer(model), metaspace)


def unigram(language: str = "ru", size: int = 500) -> Tokenizer:
    """Unigram with `▁` and byte pieces; the scores fall with the rank of the BPE that it borrows from."""
    vocabulary, _ = _pieces(language, size)
    ranked = sorted(vocabulary, key=vocabulary.get)
    scores = [(piece, 0.0 if rank < 3 else -5.0 - rank / 100) for rank, piece in enumerate(ranked)]
    return _spaces(Tokenizer(models.Unigram(scores, unk_id=0, byte_fallback=True)), False)


def extended(language: str = "en", more: str = "ru") -> Tokenizer:
    """`byte_level` with the tokens and merges of another language's added; old ids are kept."""
    old = json.loads(_byte_level(language, 400))
    other = json.loads(_byte_level(more, 400))["model"]
    vocabulary = dict(old["model"]["vocab"])
    for token in sorted(other["vocab"], key=other["vocab"].get):
        vocabulary.setdefault(token, len(vocabulary))
    merges = list(dict.fromkeys(map(tuple, other["merges"] + old["model"]["merges"])))
    old["model"] |= {"vocab": vocabulary, "merges": [list(merge) for merge in merges]}
    tokenizer = Tokenizer.from_str(json.dumps(old))
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in ("<|bos|>", "<|eos|>")])
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path, template: str | None = None, **roles: str) -> Path:
    """A tokenizer folder; bos and eos by the kind of tokenizer, `roles` add to them."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    bos, eos = ("<s>", "</s>") if tokenizer.token_to_id("<s>") is not None else ("<|bos|>", "<|eos|>")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": bos, "eos_token": eos} | roles
    write_json(folder / "tokenizer_config.json", settings)
    if template:
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return folder


def make_model(
    tokenizer: Tokenizer,
    folder: Path,
    *,
    tied: bool = False,
    seed: int = 0,
    architecture: str = "llama",
    rows: int | None = None,
    shard: str = "50GB",
    template: str | None = None,
    dtype: torch.dtype = torch.float32,
    **roles: str,
) -> Path:
    """A random model of hidden size 16 as an ordinary Hugging Face folder."""
    config_class, model_class = ARCHITECTURES[architecture]
    torch.manual_seed(seed)
    config = config_class(
        vocab_size=rows or tokenizer.get_vocab_size(), hidden_size=HIDDEN, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=64, tie_word_embeddings=tied,
        bos_token_id=1, eos_token_id=2, initializer_range=0.5,
    )  # fmt: skip
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        names = json.loads((save(tokenizer, Path(scratch), **roles) / "tokenizer_config.json").read_text())
    config.bos_token_id, config.eos_token_id = (tokenizer.token_to_id(names[f"{r}_token"]) for r in ("bos", "eos"))
    model_class(config).to(dtype).save_pretrained(folder, max_shard_size=shard)
    save(tokenizer, folder, template, **roles)
    return folder


def set_matrices(folder: Path, **matrices: torch.Tensor) -> None:
    """Overwrite `input` and `head` of an ordinary folder with one safetensors file."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    names = {"input": "model.embed_tokens.weight", "head": "lm_head.weight"}
    tensors |= {names[which]: matrix.clone().contiguous() for which, matrix in matrices.items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
