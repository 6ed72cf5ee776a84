"""The adapter of a calibrated model: LoRA and the fully trained matrices, stored as one PEFT adapter.

A calibrated model is its parent plus the folder `adapter/`. To merge both into an ordinary model folder:

    python -m lep.models.adapter --merge CALIBRATED --out DIR
"""

import argparse
import dataclasses
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic.dataclasses import dataclass

from lep.config import STRICT, UserError
from lep.files import write_json
from lep.log import logged
from lep.manifest import check_target, publish, read_manifest, staging
from lep.models.folder import load_tokenizer, parse_dtype
from lep.models.store import load_model

if TYPE_CHECKING:
    import torch
    from peft import LoraConfig, PeftModel
    from transformers import PretrainedConfig, PreTrainedTokenizerFast

RECIPE_VERSION = 1
ADAPTER = "adapter"


@dataclass(frozen=True, config=STRICT)
class Lora:
    """What an adapter trains."""

    rank: int
    alpha: float  # the update is scaled by alpha / rank
    full: list[Literal["embed_tokens", "lm_head"]]  # matrices that are trained in full; [] = none
    layers: Literal["all", "first_last"] = "all"  # layers with LoRA: all, or the first and the last
    targets: list[str] = dataclasses.field(  # projections with LoRA
        default_factory=lambda: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    )
    dropout: float = 0.0  # probability, in LoRA; 0 = off


def lora_config(lora: Lora, config: "PretrainedConfig") -> "LoraConfig":
    """The PEFT configuration. A tied model has one matrix for input and head; it is trained in full and stays tied."""
    from peft import LoraConfig

    full = list(lora.full)
    tied = bool(full) and config.tie_word_embeddings
    last = config.num_hidden_layers - 1
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets),
        layers_to_transform=sorted({0, last}) if lora.layers == "first_last" else None,
        modules_to_save=["embed_tokens"] if tied else full or None,
        ensure_weight_tying=tied,
    )


def save_adapter(model: "PeftModel", folder: Path, dtype: str, parent: str) -> None:
    """Write the adapter to `folder`, with the same bytes each time; `parent` is recorded as its base model.

    Fully trained matrices are stored in the `dtype` of the model, since merging makes them a part of it.
    """
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and "lora_" not in name:
            parameter.data = parameter.data.to(parse_dtype(dtype))
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config = {k: sorted(v) if isinstance(v, list) else v for k, v in config.items()}
    config["base_model_name_or_path"] = parent
    write_json(path, config)


def merge(folder: Path, target: Path) -> None:
    """Write the ordinary model folder of a calibrated model: parent + adapter, in the dtype of the training."""
    model, tokenizer = load_calibrated(folder)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def publish_merged(folder: Path, target: Path) -> None:
    """Publish the merged model of a calibrated one as an ordinary model folder."""
    built = staging(target)
    merge(folder, built)
    publish(built, target, recipe_version=RECIPE_VERSION, parents={"calibrated": folder})


def is_calibrated(folder: Path) -> bool:
    """Whether a folder is a calibrated model, stored as the adapter of its parent."""
    return (Path(folder) / ADAPTER / "adapter_config.json").is_file()


def load_calibrated(folder: Path, device: str = "cpu") -> "tuple[torch.nn.Module, PreTrainedTokenizerFast]":
    """Model and tokenizer of a calibrated model, the adapter merged in the dtype of the training.

    Raises `UserError` if its parent does not exist.
    """
    from peft import PeftModel

    folder = Path(folder)
    config = read_manifest(folder)["config"]
    parent = folder / config["parent"]
    if not (parent / "config.json").is_file():
        raise UserError(f"{folder} was made from {parent}, which does not exist; make that model first")
    model = PeftModel.from_pretrained(load_model(parent, config["dtype"], device), str(folder / ADAPTER))
    return model.merge_and_unload(), load_tokenizer(parent)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Merge a calibrated model into an ordinary model folder.")
    parser.add_argument("--merge", type=Path, required=True, help="folder of a calibrated model")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    options = parser.parse_args()
    with logged():
        parent = options.merge / read_manifest(options.merge)["config"].get("parent", "")
        check_target(options.out, (options.merge, parent))
        publish_merged(options.merge, options.out)
