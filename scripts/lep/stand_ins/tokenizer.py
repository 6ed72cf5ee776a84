"""Original tokenizers of the stand-in families: trained mostly on English, of the same type as the real ones."""

import json
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers

from lep.corpus.documents import text_of
from lep.files import read_jsonl
from lep.manifest import publish, staging
from lep.vocabulary.build import save_tokenizer
from lep.vocabulary.originals import byte_level_tokenizer
from lep.vocabulary.spm import set_bos, to_fast_tokenizer, train_sentencepiece

RECIPE_VERSION = 1
_LLAMA_SPECIALS = [
    "<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>",
    "<|finetune_right_pad_id|>", "<|reserved_special_token_2|>", "<|start_header_id|>", "<|end_header_id|>",
    "<|eom_id|>", "<|eot_id|>", "<|python_tag|>", *(f"<|reserved_special_token_{i}|>" for i in range(3, 8)),
]  # fmt: skip
_LLAMA_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
_MISTRAL_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}GPT4 Correct {{ 'User' if m['role'] == 'user' else 'Assistant' }}: "
    "{{ m['content'] | trim }}<|end_of_turn|>{% endfor %}"
    "{% if add_generation_prompt %}GPT4 Correct Assistant:{% endif %}"
)


def train_original_tokenizer(
    corpus: Path, family: str, size: int, russian: float, characters: int, target: Path
) -> None:
    """Train and publish the original tokenizer of a stand-in family: SentencePiece for Mistral, byte-level for Llama.

    - `size`: pieces (Mistral), or tokens without special ones (Llama)
    - `russian`: share of Russian in the training text
    - `characters`: length of the training text
    """
    lines = _mixed_lines(corpus, russian, characters)
    folder = staging(target)
    if family == "mistral":
        train_sentencepiece(lines, "bpe", size, folder / "spm.model")
        tokenizer = to_fast_tokenizer(folder / "spm.model", "bpe")
        (folder / "spm.model").unlink()
        settings = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>"}
    else:
        tokenizer = byte_level_tokenizer(models.BPE(ignore_merges=True))
        trainer = trainers.BpeTrainer(
            vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
        )
        tokenizer.train_from_iterator(lines, trainer)
        tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in _LLAMA_SPECIALS])
        set_bos(tokenizer, "<|begin_of_text|>")
        settings = {
            "bos_token": "<|begin_of_text|>",
            "eos_token": "<|end_of_text|>",
            "pad_token": "<|finetune_right_pad_id|>",
        }
    save_tokenizer(tokenizer, settings | {"model_max_length": 1024}, folder)
    publish(folder, target, recipe_version=RECIPE_VERSION, config={"family": family, "size": size, "russian": russian})


def instruct_tokenizer(family: str, folder: Path) -> tuple[Tokenizer, dict]:
    """Tokenizer and settings of the instruct model: the base's, a chat template, for Mistral OpenChat's two tokens."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    if family == "mistral":
        tokenizer.add_special_tokens(
            [AddedToken(name, special=True, normalized=False) for name in ("<|end_of_turn|>", "<|pad_0|>")]
        )
        settings |= {"eos_token": "<|end_of_turn|>", "pad_token": "<|pad_0|>", "chat_template": _MISTRAL_TEMPLATE}
    else:
        settings |= {"eos_token": "<|eot_id|>", "chat_template": _LLAMA_TEMPLATE}
    return tokenizer, settings


def _mixed_lines(corpus: Path, russian: float, characters: int) -> list[str]:
    """Lines of whole documents, as long as they fit into the character budget of their language."""
    budget = {"ru": russian * characters, "en": (1 - russian) * characters}
    lines = []
    for document in read_jsonl(corpus):
        text = text_of(document)
        if budget[document["language"]] >= len(text):
            budget[document["language"]] -= len(text)
            lines += text.split("\n")
    return lines
