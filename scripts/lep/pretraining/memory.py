"""Estimate the memory of an embedding pre-training on one device from shapes, before the first step."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lep.config import UserError
from lep.log import logger

if TYPE_CHECKING:  # the plan of a run uses the estimate without torch
    import torch

POSITIONS_ON_CPU = 256  # keeps a chunk's logits in the cache of a CPU core at a few thousand rows
POSITIONS_ON_GPU = 2048  # 2 GB of float32 logits at 256,000 rows


@dataclass(frozen=True)
class Load:
    """The sizes that determine the memory."""

    body: int  # parameters of the body, which do not train
    trained: int  # parameters of both matrices (of one if tied)
    head: int  # parameters of the head
    rows: int  # of the head
    layers: int
    hidden: int  # hidden size
    intermediate: int  # hidden size of the MLP
    body_bytes: int  # per number of the body
    matrix_bytes: int  # per number of the matrices
    tokens: int  # of a micro-batch
    checkpointing: bool  # activation checkpointing
    processes: int
    chunk: int  # positions whose logits exist at a time

    def parts(self) -> dict[str, int]:
        """Bytes by purpose."""
        layer = self.body_bytes * (6 * self.hidden + 3 * self.intermediate) + 16 * self.hidden  # norms are in float32
        kept = self.layers * self.hidden * self.body_bytes + layer if self.checkpointing else self.layers * layer
        return {
            "body": self.body * self.body_bytes,
            "matrices": self.trained * self.matrix_bytes,
            "gradients": self.trained * self.matrix_bytes * (2 if self.processes > 1 else 1),  # and their exchange
            "optimiser": 2 * self.trained * self.matrix_bytes,
            "head's gradient in float32": self.head * (4 + self.body_bytes),
            "logits": min(self.chunk, self.tokens) * self.rows * (4 + 2 * self.body_bytes),
            "activations": self.tokens * kept,
        }


def load_of(causal: "torch.nn.Module", tokens: int, checkpointing: bool, processes: int) -> Load:
    """The load of a model whose body is frozen, with micro-batches of `tokens`."""
    trained = [p for p in causal.parameters() if p.requires_grad]
    frozen = [p for p in causal.parameters() if not p.requires_grad]
    head = causal.get_output_embeddings().weight
    config = causal.config
    return Load(
        body=sum(p.numel() for p in frozen),
        trained=sum(p.numel() for p in trained),
        head=head.numel(),
        rows=head.shape[0],
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
        body_bytes=frozen[0].element_size(),
        matrix_bytes=head.element_size(),
        tokens=tokens,
        checkpointing=checkpointing,
        processes=processes,
        chunk=positions_at_once(head.device),
    )


def positions_at_once(device: "torch.device") -> int:
    """Number of positions whose logits exist at a time."""
    return POSITIONS_ON_GPU if device.type == "cuda" else POSITIONS_ON_CPU


def check_memory(load: Load, device: "torch.device") -> None:
    """Log the estimate; raises `UserError` with advice if the device has less memory."""
    parts = load.parts()
    needed, present = sum(parts.values()), device_memory(device)
    listed = ", ".join(f"{name} {size / 1e9:.2f}" for name, size in parts.items())
    logger.info("memory: about %.2f of %.1f GB (%s)", needed / 1e9, present / 1e9, listed)
    if needed > present:
        raise UserError(
            f"a step needs about {needed / 1e9:.1f} GB, but the device has {present / 1e9:.1f} GB ({listed}, in GB); "
            + advice(load, present)
        )


def advice(load: Load, present: int) -> str:
    """What to change in the configuration so that a step fits into `present` bytes."""
    fixed = sum(size for name, size in load.parts().items() if name != "activations")
    if fixed >= present:
        return (
            "use a device with more memory (80 GB hold an 8B model with 175,000 rows, 40 to 48 GB with "
            "activation_checkpointing and a micro_batch_size of 1), or float32_weights: false and dtype bfloat16"
        )
    keys = ["a smaller pretraining.micro_batch_size (the step stays the same)"]
    if not load.checkpointing:
        keys.append("pretraining.activation_checkpointing: true (a third slower)")
    return "set " + " or ".join(keys)


def device_memory(device: "torch.device") -> int:
    """Bytes of memory of a GPU, or of the machine."""
    if device.type == "cuda":
        import torch

        return torch.cuda.get_device_properties(device).total_memory
    import psutil

    return psutil.virtual_memory().total
