"""Training of SentencePiece models and their conversion to fast Hugging Face tokenizers.

Settings of the paper (section 2.1.1 and the released training script): `bpe` or `unigram`, digits
split, byte fallback, everything else at the library's defaults.
"""

import io
from collections.abc import Iterable
from pathlib import Path

import sentencepiece
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from lep.config import UserError
from lep.vocabulary.byte_view import SPACE
from lep.vocabulary.pieces import CONTROL, UNKNOWN, bpe_merges, read_pieces

# Split text like `<0x41>` after the `<`: a fast Unigram model would read it as the byte piece of that name.
_BYTE_PIECE_TEXT = Regex("<(?=0x[0-9A-F]{2}>)")


def train_sentencepiece(lines: Iterable[str], model_type: str, size: int, target: Path, threads: int = 1) -> None:
    """Train a model of exactly `size` pieces on `lines` and write it to `target` (a `.model` file)."""
    if model_type not in ("bpe", "unigram"):
        raise UserError(f"unknown SentencePiece model type {model_type!r}; use 'bpe' or 'unigram'")
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            model_type=model_type,
            vocab_size=size,
            split_digits=True,
            byte_fallback=True,
            train_extremely_large_corpus=True,
            num_threads=threads,
            max_sentence_length=1_000_000,
            minloglevel=2,
        )
    except (RuntimeError, OSError) as error:
        raise UserError(
            f"SentencePiece could not train a {model_type} vocabulary of {size} pieces: {str(error).strip()}; "
            "give it more text or a smaller size"
        ) from None
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(model.getvalue())


def to_fast_tokenizer(model: Path, model_type: str, bos: str = "<s>") -> Tokenizer:
    """The SentencePiece model as a fast tokenizer that loads without `sentencepiece`.

    As in the released tokenizers, white space is only marked, never normalised, so that decoding returns the encoded
    text (the model itself was trained on text normalised by SentencePiece's `nmt_nfkc`).
    """
    pieces = read_pieces(model)
    if model_type == "bpe":
        vocabulary = {piece: index for index, (piece, _, _) in enumerate(pieces)}
        core = models.BPE(vocabulary, bpe_merges(pieces), unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    else:
        core = models.Unigram([(piece, score) for piece, score, _ in pieces], unk_id=0, byte_fallback=True)
    tokenizer = Tokenizer(core)
    if model_type == "unigram":
        tokenizer.pre_tokenizer = pre_tokenizers.Split(_BYTE_PIECE_TEXT, behavior="merged_with_previous")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([piece for piece, _, kind in pieces if kind in (UNKNOWN, CONTROL)])
    set_bos(tokenizer, bos)
    return tokenizer


def set_bos(tokenizer: Tokenizer, bos: str) -> None:
    """Make the tokenizer add one `bos` in front of every text."""
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A",
        pair=f"{bos} $A {bos}:1 $B:1",
        special_tokens=[(bos, tokenizer.token_to_id(bos))],
    )
