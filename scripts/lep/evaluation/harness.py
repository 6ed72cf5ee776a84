"""Settings of an evaluation job, and the models and tasks that lm-evaluation-harness runs for it."""

import importlib.metadata
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
    """A model to score."""

    name: str  # as in the tables, such as llama/extended/conversion
    path: str  # its folder
    step: int | None = None  # training step of a checkpoint; None = as in its manifest, if it has one


@dataclass(frozen=True, config=STRICT)
class Generation:
    """How answers are generated. The paper samples (temperature 0.1, top-k 40, top-p 0.9); greedy has no noise."""

    do_sample: bool = False  # False = greedy
    temperature: float | None = None  # None = default of the backend, also below
    top_k: int | None = None
    top_p: float | None = None
    max_new_tokens: dict[str, int] | None = None  # longest answer by task or `default`; tasks without: the paper's

    def settings(self) -> dict:
        """Keyword arguments of `generate`, without those that are None."""
        given = {"temperature": self.temperature, "top_k": self.top_k, "top_p": self.top_p}
        return {"do_sample": self.do_sample, **{key: value for key, value in given.items() if value is not None}}


@dataclass(frozen=True, config=STRICT)
class EvaluateJob:
    """Settings of one evaluation: models x tasks.

    `backend`, `batch_size` and `dtype` decide the rounding: compare only scores with equal ones.
    """

    models: list[Model]
    work: str  # folder of the answers of finished models; a restarted job continues from it
    output: str  # folder to publish
    tasks: list[str]  # names of `darumeru.specs.SPECS`, without prefix
    recipe_version: int
    shots: int = 0  # examples in a prompt
    chat: bool = False  # prompts under the model's chat template
    data: str | None = None  # folder with `{subset}/{split}.jsonl`; None = the hub
    limit: int | None = None  # first records of each task; 0 or None = all
    backend: Literal["hf", "vllm"] = "hf"  # transformers or vLLM
    batch_size: int = 16  # prompts computed at once; unused by vllm
    max_prompt_tokens: int = 4096  # longest prompt with shots, without the answer
    max_model_tokens: int = 0  # longest prompt with the answer; 0 = positions of the model
    dtype: str = "bfloat16"  # number type of weights and computation
    device: str = "auto"  # cpu, cuda or auto; unused by vllm
    threads: int = 1  # CPU threads of torch
    seed: int = 42  # of sampling and of the bootstrap
    generation: Generation = Generation()
    bootstrap_draws: int = 1000  # bootstrap draws of each interval


def engine(backend: str) -> str:
    """The packages that compute the scores of a backend, with their versions; first the backend itself."""
    packages = ("vllm",) * (backend == "vllm") + ("transformers", "torch", "lm_eval")
    # Without the suffix of a build, such as +cpu: the same release.
    return ", ".join(f"{name} {importlib.metadata.version(name).split('+')[0]}" for name in packages)


@contextmanager
def ordinary_folder(folder: Path, work: Path) -> Iterator[Path]:
    """Context with an ordinary model folder: `folder`, or for a calibrated model a temporary merged copy."""
    from lep.models.adapter import is_calibrated, merge

    if not is_calibrated(folder):
        yield folder
        return
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work, prefix="merged-") as place:
        merge(folder, Path(place))
        yield Path(place)


def load_lm(folder: Path, job: EvaluateJob) -> "TemplateLM":
    """A model folder as the harness's model class, without the generation settings of the folder."""
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
    context = job.max_model_tokens or None  # None = positions of the model
    return PrefixLM(pretrained=model, tokenizer=tokenizer, batch_size=job.batch_size, max_length=context)


def _vllm(folder: Path, job: EvaluateJob) -> "TemplateLM":
    """The harness's vLLM class. vLLM makes its own batches and finds its device: two settings of the job are unused."""
    try:
        from lm_eval.models.vllm_causallms import VLLM
    except ImportError as error:
        raise UserError(
            f"evaluation.backend vllm needs the packages of envs/vllm.yaml ({error}); run Snakemake with "
            "`--sdm conda`, or use hf"
        ) from None
    return VLLM(
        pretrained=str(folder),
        dtype=job.dtype,
        max_length=job.max_model_tokens or None,
        seed=job.seed,
        batch_size="auto",
        generation_config="vllm",  # ignore the generation settings of the folder
    )


def _ends(tokenizer: "PreTrainedTokenizerFast", chat: bool) -> list[int]:
    """Ids of the tokens that end an answer."""
    from lep.models.chat import end_of_turn_ids

    return end_of_turn_ids(tokenizer) if chat else [tokenizer.eos_token_id]


def load_tasks(folder: Path, job: EvaluateJob) -> dict:
    """Load the tasks of a job for the harness, with the job's shots, lengths and generation settings."""
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
        "darumeru_draws": 0,  # no standard errors: `evaluate` computes intervals from the samples
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
        if task.get_config("num_fewshot") != 0:  # 0 in the YAML file: the task has no shots at all
            task.set_config("num_fewshot", job.shots)
        if task.get_config("output_type") == "generate_until":
            task.set_config("generation_kwargs", generation)
    return loaded
