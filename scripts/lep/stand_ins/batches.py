"""Training batches of the stand-ins, drawn by step: a resumed run draws the same."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from tokenizers import Tokenizer

from lep.pretraining.packing import newline_ids
from lep.stand_ins.kinds import mixture
from lep.stand_ins.model_data import Row, conversations, join, page, random_repeats, raw_text
from lep.stand_ins.text_pool import text_pool

if TYPE_CHECKING:
    from lep.stand_ins.train import StandInJob

# Both turns of a conversation, as the chat templates write them after BOS.
LLAMA_TURNS = (
    "<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    "{}<|eot_id|>",
)
MISTRAL_TURNS = ("GPT4 Correct User: {}<|end_of_turn|>GPT4 Correct Assistant:", " {}<|end_of_turn|>")


def _length(settings: "StandInJob", step: int) -> int:
    """Sequence length of a step, in tokens."""
    return settings.context if step >= (1 - settings.long_share) * settings.steps else settings.length


class Batches:
    """Training batches, drawn by step: a resumed run draws the same."""

    def __init__(self, settings: "StandInJob", tokenizer: Tokenizer, roles: dict, documents: dict) -> None:
        self.settings, self.bos = settings, tokenizer.token_to_id(roles["bos_token"])
        self.encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
        self.pools = {language: text_pool(texts, language) for language, texts in documents.items()}

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and weights of a step, both (sequences, length)."""
        rng = np.random.default_rng([self.settings.seed, step])
        length = _length(self.settings, step)
        rows = []
        for _ in range(self.settings.batch_tokens // length):
            language = "ru" if rng.random() < self.settings.russian else "en"
            rows.append(self.row(length, language, rng))
        return torch.tensor(np.stack([row.ids for row in rows])), torch.tensor(
            np.stack([row.weights for row in rows]), dtype=torch.float32
        )

    def row(self, length: int, language: str, rng: np.random.Generator) -> Row:
        """One sequence in a language, with BOS."""
        raise NotImplementedError


class BaseBatches(Batches):
    """Rows of a base model: raw text from the start of a line, repeated sequences, pages of questions."""

    def __init__(self, settings: "StandInJob", tokenizer: Tokenizer, roles: dict, documents: dict) -> None:
        super().__init__(settings, tokenizer, roles, documents)
        self.eos = tokenizer.token_to_id(roles["eos_token"])
        self.newline = np.array(sorted(newline_ids(tokenizer)))
        self.streams = {language: self._stream(tokenizer, texts) for language, texts in documents.items()}

    def _stream(self, tokenizer: Tokenizer, documents: list[dict]) -> tuple[np.ndarray, np.ndarray]:
        """All documents as one token stream with an EOS after each, and the positions of document and line starts."""
        encoded = tokenizer.encode_batch_fast(raw_text(documents), add_special_tokens=False)
        ids = np.array([token for encoding in encoded for token in [*encoding.ids, self.eos]])
        ends = np.isin(ids[:-1], [*self.newline, self.eos])
        return ids, np.concatenate([[0], 1 + np.flatnonzero(ends)])

    def row(self, length: int, language: str, rng: np.random.Generator) -> Row:
        return join([Row(np.array([self.bos]), np.zeros(1)), self._text(length - 1, language, rng)], length)

    def _text(self, length: int, language: str, rng: np.random.Generator) -> Row:
        ids, starts = self.streams[language]
        draw = rng.random()
        if draw < self.settings.repeats:
            return random_repeats(length, ids, starts, rng)
        if draw < self.settings.repeats + self.settings.pages:
            return page(length, self.pools[language], self.encode, rng)
        usable = starts[: np.searchsorted(starts, len(ids) - length)]  # a whole block must fit after the start
        start = usable[rng.integers(len(usable))]
        return Row(ids[start : start + length], np.ones(length))


class InstructBatches(Batches):
    """Rows of an instruct model: packed conversations; only the assistant's turns have weight."""

    def __init__(self, settings: "StandInJob", tokenizer: Tokenizer, roles: dict, documents: dict) -> None:
        super().__init__(settings, tokenizer, roles, documents)
        turns = LLAMA_TURNS if settings.family == "llama" else MISTRAL_TURNS
        self.turns = (roles["bos_token"] + turns[0], turns[1])
        self.kinds = mixture(settings.kinds)

    def row(self, length: int, language: str, rng: np.random.Generator) -> Row:
        return conversations(length, self.pools[language], self.turns, self.kinds, self.encode, rng)
