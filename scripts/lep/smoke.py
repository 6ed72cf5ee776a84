"""Smoke job: a few true steps on the true number of GPUs, before a run spends money.

    python -m lep.compute.place --gpus 8 lep.smoke --config results/paper/config.yaml --output results/paper/smoke.json

With random weights of the true shapes, at the largest vocabulary of the run: an all-reduce, steps of pre-training and
of calibration through the trainers of the run, and one batch of answers. Prints measured seconds beside those of the
plan and the days that follow; a difference beyond `plan.smoke_factor` sets the exit code to 1.
"""

import argparse
import dataclasses
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy
import torch
import yaml

from lep.calibration.calibrate import CalibrateJob
from lep.calibration.trainer import make_trainer as make_calibration_trainer
from lep.compute import distributed
from lep.compute.determinism import prepare_torch, resolve_device
from lep.config import UserError, parse_job
from lep.files import write_json
from lep.log import logged, logger
from lep.models.folder import load_tokenizer
from lep.models.generation import greedy_answers
from lep.models.store import load_model
from lep.planning.cost import CostModel
from lep.pretraining.packing import Blocks
from lep.pretraining.resumable import Schedule
from lep.pretraining.trainer import Execution, Optimisation, TrainedEmbeddings, make_trainer
from lep.workflow.jobs import job_settings
from lep.workflow.models import adapted, calibrations
from lep.workflow.run import Run

STEPS = 4  # of each training; the first one, which compiles and allocates, does not count
ANSWER_TOKENS = 16
_DAY = 86400


@dataclass(frozen=True)
class Measured:
    """Seconds of one piece of work: of this machine, and of the plan."""

    what: str
    seconds: float
    planned: float
    key: str  # of the plan: what to correct
    repeats: float = 0.0  # how often the longest job of the run does it; 0 = not known

    @property
    def ratio(self) -> float:
        return self.seconds / self.planned

    def __str__(self) -> str:
        text = f"{self.what}: {self.seconds:.3g} s measured, {self.planned:.3g} s planned ({self.ratio:.2f} times)"
        days = [seconds * self.repeats / _DAY for seconds in (self.seconds, self.planned)]
        return text + (f"; the longest run: {days[0]:.2g} days, planned {days[1]:.2g}" if self.repeats else "")


def judge(found: Sequence[Measured], factor: float) -> list[str]:
    """What differs from the plan by more than `factor`, each with its remedy."""
    return [
        f"{entry.what} takes {entry.seconds:.3g} s, but {entry.planned:.3g} s are planned: find out why, or correct "
        f"{entry.key} and look at `make plan` again before the run"
        for entry in found
        if not 1 / factor <= entry.ratio <= factor
    ]


def smoke(config: Mapping, root: Path, work: Path) -> list[Measured]:
    """Measure all pieces of work of the configuration. `work` gets a model of the true shape, and is deleted."""
    run, costs = Run(config, root), CostModel(config, root)
    compute = config["compute"]
    prepare_torch(compute["threads"], config["seed"])
    device = resolve_device(compute["device"])
    distributed.join(device)
    family, vocabulary = max(adapted(run), key=lambda pair: costs.models[pair[0]].parameters(costs.rows(*pair)))
    rows = costs.rows(family, vocabulary)
    logger.info("%s/%s: %d rows, %d processes, %s", family, vocabulary, rows, distributed.processes(), device)
    check_exchange(device)
    try:
        if distributed.is_main():
            write_random_model(
                costs.shape_values(run.families[family]), rows, compute["dtype"], work / "model", config["seed"]
            )
        distributed.barrier()
        place = work / "model", work / f"rank-{distributed.rank()}"
        pair = family, vocabulary
        # Published donors take the place of the pre-training, which may not fit into the memory that a run then needs.
        found = [] if run.adopts_donors else [_pretraining(run, costs, pair, rows, place, device)]
        found += [*_calibration(run, costs, rows, place), _answers(run, costs, pair, rows, place[0], device)]
        distributed.barrier()  # until no process reads the model; not after a failure, which would wait for the others
        return found
    finally:
        if distributed.is_main():
            shutil.rmtree(work, ignore_errors=True)


def check_exchange(device: str) -> None:
    """One all-reduce over all processes; `UserError` if its sum is wrong."""
    if distributed.processes() == 1:
        return
    from accelerate import PartialState

    ones = torch.ones(1 << 20, device=PartialState().device)
    torch.distributed.all_reduce(ones)
    if not bool((ones == distributed.processes()).all()):
        raise UserError(f"the sum over {distributed.processes()} processes is wrong on {device}; check its network")


def write_random_model(values: Mapping, rows: int, dtype: str, folder: Path, seed: int) -> None:
    """A causal model of random weights with the shape `values` (of a config.json) and `rows` tokens, as a folder."""
    from tokenizers import Tokenizer, models
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(seed)
    settings = {key: value for key, value in values.items() if key not in ("model_type", "vocab_size", "auto_map")}
    shape = AutoConfig.for_model(values["model_type"], **settings | {"vocab_size": rows, "pad_token_id": None})
    model = AutoModelForCausalLM.from_config(shape, dtype=getattr(torch, dtype))
    model.save_pretrained(folder)
    words = Tokenizer(models.WordLevel({"</s>": 0, "<unk>": 1}, unk_token="<unk>"))
    specials = {"eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    template = "{% for message in messages %}{{ message['content'] }}</s>{% endfor %}"
    PreTrainedTokenizerFast(tokenizer_object=words, chat_template=template, **specials).save_pretrained(folder)


class _Clock(Schedule):
    """A schedule that also notes when each step ended."""

    def __init__(self, work: Path) -> None:
        super().__init__(work, log_steps=1, save_steps=10**9)
        self.ends: list[float] = []

    def on_step_end(self, args, state, control, model=None, **kwargs) -> None:
        super().on_step_end(args, state, control, model=model, **kwargs)
        control.should_save = False
        self.ends.append(time.perf_counter())

    @property
    def seconds_per_step(self) -> float:
        return (self.ends[-1] - self.ends[0]) / (len(self.ends) - 1)


def _pretraining(
    run: Run, costs: CostModel, pair: tuple[str, str], rows: int, place: tuple[Path, Path], device: str
) -> Measured:
    settings = job_settings(run, "pretrain", *pair)
    recipe = parse_job(Optimisation, settings["optimisation"] | {"max_steps": STEPS, "token_budget": None}, "pretrain")
    execution = parse_job(Execution, settings["execution"], "pretrain")
    block = run.config["pretraining"]["block_size"]
    drawn = numpy.random.default_rng(run.config["seed"]).integers(2, rows, (recipe.batch_size * STEPS, block))
    model = TrainedEmbeddings(load_model(place[0], settings["dtype"], device), recipe.float32_weights)
    clock = _Clock(place[1])
    trainer = make_trainer(
        model, Blocks([drawn]), STEPS, clock, dataclasses.replace(recipe, packing="paper"), execution,
        work=place[1], seed=run.config["seed"], document_start=0,
    )  # fmt: skip
    trainer.train()
    tokens, key = recipe.batch_size * block, "plan.utilisation.pretraining"
    share = run.config["plan"]["utilisation"]["pretraining"]
    planned = costs.training_seconds(*pair, tokens, share, execution.activation_checkpointing)
    repeats = costs.pretraining_tokens() / tokens
    return Measured("a step of pre-training", clock.seconds_per_step, planned / max(1, costs.gpus), key, repeats)


def _calibration(run: Run, costs: CostModel, rows: int, place: tuple[Path, Path]) -> list[Measured]:
    """A step of the calibration with the longest conversations, if the run has one."""
    every = [(pair, *entry) for pair in run.pairs for entry in calibrations(run, pair)]
    if not every:
        return []
    jobs = {entry: job_settings(run, "calibrate", *entry) for entry in every}
    target = max(jobs, key=lambda entry: (len(jobs[entry]["lora"]["full"]), costs.rows(*entry[:2])))
    changed = {"parent": place[0], "work": place[1], "output": place[1] / "output"}
    job = parse_job(CalibrateJob, {**jobs[target], **{key: str(value) for key, value in changed.items()}}, "calibrate")
    length = min(run.config["plan"]["conversations"]["tokens"], job.tuning.max_length)
    drawn = numpy.random.default_rng(run.config["seed"]).integers(2, rows, (job.tuning.batch_size * STEPS, length))
    examples = [{"input_ids": row.tolist(), "labels": row.tolist()} for row in drawn]
    clock = _Clock(place[1])
    make_calibration_trainer(job, load_tokenizer(place[0]), examples, clock).train()
    share = run.config["plan"]["utilisation"]["calibration"]
    tokens = job.tuning.batch_size * length
    planned = costs.training_seconds(*target[:2], tokens, share, job.tuning.activation_checkpointing)
    key = "plan.utilisation.calibration"
    return [Measured("a step of calibration", clock.seconds_per_step, planned / max(1, costs.gpus), key)]


def _answers(run: Run, costs: CostModel, pair: tuple[str, str], rows: int, folder: Path, device: str) -> Measured:
    """One batch of generated answers, on one device."""
    settings = run.config["evaluation"]
    size, length = settings["batch_size"], min(256, settings["max_prompt_tokens"])
    prompts = numpy.random.default_rng(run.config["seed"]).integers(2, rows, (size, length)).tolist()
    model, tokenizer = load_model(folder, run.config["compute"]["dtype"], device), load_tokenizer(folder)
    greedy_answers(model, tokenizer, prompts, 1)
    started = time.perf_counter()
    greedy_answers(model, tokenizer, prompts, ANSWER_TOKENS)
    seconds = time.perf_counter() - started
    parameters = costs.models[pair[0]].parameters(rows)
    planned = costs.prompt_seconds(parameters, size * length)
    planned += costs.generation_seconds(parameters, size, ANSWER_TOKENS, size)
    return Measured(f"{size} answers of {ANSWER_TOKENS} tokens", seconds, planned, "plan.device.step_seconds")


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", type=Path, required=True, help="the resolved configuration, YAML or JSON")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    given = parser.parse_args()
    with logged():
        config = yaml.safe_load(given.config.read_text(encoding="utf-8"))
        found = smoke(config, Path.cwd(), given.output.with_suffix(".work"))
        if not distributed.is_main():
            return
        for entry in found:
            logger.info("%s", entry)
        if faults := judge(found, config["plan"]["smoke_factor"]):
            raise UserError("\n".join(faults))
        write_json(given.output, [dataclasses.asdict(entry) for entry in found])


if __name__ == "__main__":
    main()
