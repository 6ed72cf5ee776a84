"""Disk that models take, from their shapes alone, before anything is fetched or made."""

from collections.abc import Mapping
from dataclasses import dataclass

from lep.config import UserError

# Tensors of these kinds are counted right; others have more (biases, experts).
_KINDS = ("llama", "mistral")


@dataclass(frozen=True)
class Shape:
    """What of a model does not change with its vocabulary, and the bytes of a number."""

    body_parameters: int
    hidden_size: int
    tied: bool
    itemsize: int

    def derived_bytes(self, rows: int) -> int:
        """Bytes of the matrices with `rows` rows: what a derived model adds, beside tokenizer and configuration."""
        return (1 if self.tied else 2) * rows * self.hidden_size * self.itemsize

    def full_bytes(self, rows: int) -> int:
        """Bytes of all weights of a model with `rows` rows, as a full copy would take."""
        return self.body_parameters * self.itemsize + self.derived_bytes(rows)


def read_shape(settings: Mapping, itemsize: int = 2) -> Shape:
    """The shape of the model that a `config.json` describes; raises `UserError` for other kinds than Llama's."""
    if settings.get("model_type") not in _KINDS:
        raise UserError(
            f"the size of a model of type {settings.get('model_type')!r} is not known; known are {', '.join(_KINDS)}"
        )
    width, heads = settings["hidden_size"], settings["num_attention_heads"]
    head = settings.get("head_dim") or width // heads
    groups = settings.get("num_key_value_heads") or heads
    attention = 2 * width * head * (heads + groups)  # query and output, key and value
    layer = attention + 3 * width * settings["intermediate_size"] + 2 * width
    body = settings["num_hidden_layers"] * layer + width
    return Shape(body, width, bool(settings.get("tie_word_embeddings", False)), itemsize)
