"""What lm-evaluation-harness is given: the settings of an evaluation job, its models and its tasks."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from darumeru.specs import PREFIX
from pydantic.dataclasses import dataclass

from lep.config import STRICT, UserError

if TYPE_CHECKING:
    from lm_eval.api.model import TemplateLM
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True, config=STRICT)
class Model:
    """A model to score: its name and its folder. `step` of a checkpoint: else what its manifest says, if anything."""

    name: str
    path: str
    step: int | None = None


@dataclass(frozen=True, config=STRICT)
class Generation:
    """How answers are generated. The paper sampled (temperature 0.1, top-k 40, top-p 0.9); greedy has no noise.

    `max_new_tokens` gives lengths by task (without prefix) or `default`; other tasks keep the paper's.
    """

    do_sample: bool = False
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    max_new_tokens: dict[str, int] | None = None

    def settings(self) -> dict:
        """Keyword arguments of `generate`, those that are given."""
        given = {"temperature": self.temperature, "top_k": self.top_k, "top_p": self.top_p}
        return {"do_sample": self.do_sample, **{key: value for key, value in given.items() if value is not None}}


@dataclass(frozen=True, config=STRICT)
class EvaluateJob:
    """One evaluation: `models` on `tasks` with `shots` examples, under the chat template if `chat`.

    `data` is a folder `{subset}/{split}.jsonl`, None reads the hub. `limit` keeps the first records of each task
    (0 or None: all). `max_prompt_tokens` is the longest prompt with shots, without its answer; `max_model_tokens` the
    longest with it (0: as many as the model has positions). `backend`, `batch_size` and `dtype` decide the rounding, so
    compare scores only at equal ones. `work` survives kills, `output` is published.
    """

    models: list[Model]
    work: str
    output: str
    tasks: list[str]
    recipe_version: int
    shots: int = 0
    chat: bool = False
    data: str | None = None
    limit: int | None = None
    backend: Literal["hf", "vllm"] = "hf"
    batch_size: int = 16
    max_prompt_tokens: int = 4096
    max_model_tokens: int = 0
    dtype: str = "bfloat16"
    device: str = "auto"
    threads: int = 1
    seed: int = 42
    generation: Generation = Generation()
    bootstrap_draws: int = 1000


@contextmanager
def ordinary_folder(folder: Path, work: Path) -> Iterator[Path]:
    """The folder itself or, of a calibrated model, a merged one that is gone afterwards."""
    from lep.models.adapter import is_calibrated, merge

    if not is_calibrated(folder):
        yield folder
        return
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work, prefix="merged-") as place:
        merge(folder, Path(place))
        yield Path(place)


def load_lm(folder: Path, job: EvaluateJob) -> "TemplateLM":
    """The model of a folder as the harness's model class, with nothing left of its own generation settings."""
    from darumeru.task import load_tokenizer

    tokenizer = load_tokenizer(str(folder))
    if job.chat and not tokenizer.chat_template:
        raise UserError(f"{folder} has no chat template; add chat_template.jinja or evaluate with chat: false")
    return _vllm(folder, job) if job.backend == "vllm" else _transformers(folder, job, tokenizer)


def _transformers(folder: Path, job: EvaluateJob, tokenizer: "PreTrainedTokenizerFast") -> "TemplateLM":
    from darumeru.prefix_lm import PrefixLM
    from transformers import GenerationConfig

    from lep.compute.determinism import resolve_device
    from lep.models.store import load_model

    model = load_model(folder, job.dtype, resolve_device(job.device)).eval()
    pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    model.generation_config = GenerationConfig(
        eos_token_id=_ends(tokenizer, job.chat), pad_token_id=pad, bos_token_id=tokenizer.bos_token_id
    )
    context = job.max_model_tokens or None  # None: the model's own
    return PrefixLM(pretrained=model, tokenizer=tokenizer, batch_size=job.batch_size, max_length=context)


def _vllm(folder: Path, job: EvaluateJob) -> "TemplateLM":
    """The harness's vLLM class; it schedules the batches itself and knows nothing of `batch_size` and `device`."""
    try:
        from lm_eval.models.vllm_causallms import VLLM
    except ImportError as error:
        raise UserError(
            f"evaluation.backend vllm needs the packages of envs/vllm.yaml ({error}); run Snakemake with "
            "`--sdm conda`, or choose hf"
        ) from None
    return VLLM(
        pretrained=str(folder),
        dtype=job.dtype,
        max_length=job.max_model_tokens or None,
        seed=job.seed,
        batch_size="auto",
        generation_config="vllm",  # nothing of the folder's own generation settings
    )


def _ends(tokenizer: "PreTrainedTokenizerFast", chat: bool) -> list[int]:
    from lep.models.chat import end_of_turn_ids

    return end_of_turn_ids(tokenizer) if chat else [tokenizer.eos_token_id]


def load_tasks(folder: Path, job: EvaluateJob) -> dict:
    """The tasks of a job as the harness loads them, set to its shots and lengths."""
    from darumeru.records import DataError
    from darumeru.task import FOLDER, load_tokenizer
    from lm_eval.tasks import TaskManager

    for name in ("lm_eval", "pymorphy3"):
        logging.getLogger(name).setLevel(logging.ERROR)
    metadata = {
        "pretrained": str(folder),
        "max_length": job.max_model_tokens or None,
        "darumeru_max_prompt_tokens": job.max_prompt_tokens,
        "darumeru_data": job.data,
        "darumeru_limit": job.limit or None,
        "darumeru_max_new_tokens": job.generation.max_new_tokens or {},
        "darumeru_draws": 0,  # intervals are ours, from the samples
    }
    manager = TaskManager(include_path=str(FOLDER), include_defaults=False, metadata=metadata)
    try:
        loaded = manager.load([PREFIX + task for task in job.tasks])
    except DataError as error:
        raise UserError(str(error)) from None
    generation = job.generation.settings()
    if job.backend == "vllm":
        generation["stop_token_ids"] = _ends(load_tokenizer(str(folder)), job.chat)
    for task in loaded["tasks"].values():
        if task.get_config("num_fewshot") != 0:
            task.set_config("num_fewshot", job.shots)
        if task.get_config("output_type") == "generate_until":
            task.set_config("generation_kwargs", generation)
    return loaded
