"""Sizes of models, from their shapes alone, before anything is fetched or trained."""

from collections.abc import Mapping
from dataclasses import dataclass

from lep.config import UserError

# Model types whose tensors are all counted below; other types have more (biases, experts).
_KINDS = ("llama", "mistral")


@dataclass(frozen=True)
class Shape:
    """The properties of a model that do not depend on its vocabulary, and its number type."""

    body_parameters: int  # parameters without input embeddings and head
    hidden_size: int
    tied: bool  # head and input embeddings are one matrix
    itemsize: int  # bytes per number

    def derived_bytes(self, rows: int) -> int:
        """Bytes of input embeddings and head with `rows` rows: the weights that a derived model stores."""
        return (1 if self.tied else 2) * rows * self.hidden_size * self.itemsize

    def full_bytes(self, rows: int) -> int:
        """Bytes of all weights of a model with `rows` rows."""
        return self.body_parameters * self.itemsize + self.derived_bytes(rows)


def read_shape(settings: Mapping, itemsize: int = 2) -> Shape:
    """The shape of the model that a `config.json` describes; `UserError` unless its type is llama or mistral."""
    if settings.get("model_type") not in _KINDS:
        raise UserError(
            f"cannot compute the size of a model of type {settings.get('model_type')!r}; use {', '.join(_KINDS)}"
        )
    width, heads = settings["hidden_size"], settings["num_attention_heads"]
    head = settings.get("head_dim") or width // heads
    groups = settings.get("num_key_value_heads") or heads
    attention = 2 * width * head * (heads + groups)  # query and output, key and value
    layer = attention + 3 * width * settings["intermediate_size"] + 2 * width
    body = settings["num_hidden_layers"] * layer + width
    return Shape(body, width, bool(settings.get("tie_word_embeddings", False)), itemsize)


@dataclass(frozen=True)
class Model:
    """Shape of a family's models."""

    shape: Shape
    original_rows: int  # tokens of the original vocabulary
    layers: int
    intermediate: int  # width of the MLP

    def parameters(self, rows: int) -> int:
        """All parameters of a model with `rows` tokens."""
        return self.shape.body_parameters + (1 if self.shape.tied else 2) * rows * self.shape.hidden_size
