"""Cost model: time and memory of each job of a run, from the configuration alone.

Seconds = FLOPs / (peak FLOP/s x utilisation), both from `plan` in config.yaml. No model is opened and nothing heavy is
imported: shapes come from `config.json` files if they exist, else from `plan.models`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from darumeru.specs import GROUPS, SPECS

from lep.config import UserError
from lep.names import CALIBRATIONS, ORIGINAL, VOCABULARIES, family_of
from lep.planning.shape import Model, read_shape
from lep.planning.text_cost import TEXT_SECONDS
from lep.pretraining.memory import POSITIONS_ON_CPU, POSITIONS_ON_GPU, Load
from lep.workflow.models import evaluated_models, models_of_vocabulary
from lep.workflow.run import Run, local_folder

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
JUDGE_SECONDS = 5  # of a judge behind an endpoint for one answer, a guess
SELF_ANSWERS = 13531  # answers that the paper's judge kept (section 2.4.2)


@dataclass(frozen=True)
class Cost:
    """Cost of one job."""

    seconds: float  # on all its devices
    gpus: int = 0  # 0 = a job on the CPU
    device_bytes: float = 0.0  # memory of one device


class CostModel:
    """Costs of all jobs under one resolved configuration. `root` is the folder of the Snakefile."""

    def __init__(self, config: Mapping, root: Path) -> None:
        self.run = Run(config, root)
        self.config, self.root, self.plan, self.families = config, root, config["plan"], self.run.families
        self.models = {name: self._model(pair) for name, pair in self.run.pairs.items()}
        # A comparator whose shape is not known counts as the largest model of the families.
        largest = max(self.models.values(), key=lambda model: model.parameters(model.original_rows))
        for name, other in self.run.comparators.items():
            known = other["model"]["path"] in self.plan["models"]
            self.models[name] = self._model({"name": name, "base": other["model"]}) if known else largest
        self.gpus = config["compute"]["gpus_per_job"]

    def cost(self, rule: str, wildcards: Mapping[str, str]) -> Cost:
        """Cost of one job, the same for all seeds; a rule without a formula costs the start of a process."""
        named = {name: value for name, value in wildcards.items() if name != "seed"}
        if text_seconds := TEXT_SECONDS.get(rule):
            cost = Cost(text_seconds(self.config, **named))
        else:
            formula = _FORMULAS.get(rule)
            cost = formula(self, **named) if formula else Cost(0.0)
        start = self.plan["start_seconds"] if rule in _HEAVY else 0.5
        return Cost(cost.seconds + start, cost.gpus, cost.device_bytes)

    def rows(self, family: str, vocabulary: str) -> int:
        """Tokens of a vocabulary. Of the pieces of an extension, about the share `plan.new_pieces` is new."""
        original = self.models[family].original_rows
        if vocabulary == ORIGINAL:
            return original
        settings, kind = self.run.pairs[family], VOCABULARIES[vocabulary]
        size = settings[kind.size_key]
        if kind.replaces:
            return size
        kept = settings["optimized_keep"] if kind.keeps == "some" else original
        return kept + round(self.plan["new_pieces"] * size)

    def pretraining_tokens(self) -> int:
        """Tokens of one pre-training run."""
        settings = self.config["pretraining"]
        step = settings["batch_size"] * settings["block_size"]
        steps = settings["max_steps"] or self.plan["text"]["tokens"] // step
        if settings["token_budget"]:
            steps = min(steps, settings["token_budget"] // step)
        return steps * step

    def shape_values(self, family: Mapping) -> Mapping:
        """The values of config.json that give the shape of a family's models."""
        path, name = family["base"]["path"], family_of(family["name"])
        results = self.root / "results" / self.config["scale"]
        folders = [self.root / local_folder(family["base"]), results / "models" / name / "base"]
        folders.append(results / "sources" / "models" / name / "base")
        found = next((folder / "config.json" for folder in folders if (folder / "config.json").is_file()), None)
        if found is None and path not in self.plan["models"]:
            raise UserError(f"plan.models has no shape of {path}; add the numbers of its config.json")
        return json.loads(found.read_text(encoding="utf-8")) if found else self.plan["models"][path]

    def _model(self, family: Mapping) -> Model:
        values = self.shape_values(family)
        shape = read_shape(values, BYTES[self.config["compute"]["dtype"]])
        return Model(shape, values["vocab_size"], values["num_hidden_layers"], values["intermediate_size"])

    # -- speed of a device

    def training_seconds(self, family: str, vocabulary: str, tokens: float, share: float, checkpointing: bool) -> float:
        """Seconds on one device. FLOPs per token: 4 x body (frozen weights; 6 if recomputed) + 6 x head."""
        model = self.models[family]
        head = self.rows(family, vocabulary) * model.shape.hidden_size
        body = (6 if checkpointing else 4) * model.shape.body_parameters
        return tokens * (body + 6 * head) / (self.plan["device"]["tflops"] * 1e12 * share)

    def prompt_seconds(self, parameters: int, tokens: float) -> float:
        """Seconds on one device for a forward pass over `tokens`."""
        return 2 * parameters * tokens / (self.plan["device"]["tflops"] * 1e12 * self.plan["utilisation"]["prompts"])

    def generation_seconds(self, parameters: int, answers: float, tokens: float, batch: int) -> float:
        """Seconds on one device to generate `tokens` for each of `answers`; each step reads all weights from memory."""
        weights = parameters * BYTES[self.config["compute"]["dtype"]]
        step = weights / (self.plan["device"]["gigabytes_per_second"] * 1e9) + self.plan["device"]["step_seconds"]
        return max(1.0, answers / batch) * tokens * step

    def _load(
        self, family: str, vocabulary: str, tokens: int, trained: int, checkpointing: bool, chunk: int, wide: int
    ) -> float:
        """Bytes on one device for training `trained` parameters of `wide` bytes with micro-batches of `tokens`."""
        model, rows = self.models[family], self.rows(family, vocabulary)
        load = Load(
            body=model.parameters(rows) - trained, trained=trained, head=rows * model.shape.hidden_size, rows=rows,
            layers=model.layers, hidden=model.shape.hidden_size, intermediate=model.intermediate,
            body_bytes=model.shape.itemsize, matrix_bytes=wide, tokens=tokens, checkpointing=checkpointing,
            processes=max(1, self.gpus), chunk=chunk,
        )  # fmt: skip
        return sum(load.parts().values())

    # -- formulas, one for each slow rule that does more than read text

    def _fetched(self, family: str = "", **_: str) -> Cost:
        size = self.full_bytes(family) / 1e6 if family else self.plan["text"]["megabytes"]
        return Cost(size / self.plan["network_megabytes_per_second"])

    def full_bytes(self, family: str) -> int:
        """Bytes of a source model."""
        return self.models[family].shape.full_bytes(self.models[family].original_rows)

    def _copied(self, family: str, vocabulary: str = ORIGINAL, **_: str) -> Cost:
        model = self.models[family].shape
        rows = self.rows(family, vocabulary)
        written = self.full_bytes(family) if vocabulary == ORIGINAL else model.derived_bytes(rows)
        return Cost(written / 1e6 / self.plan["disk_megabytes_per_second"])

    def _pretrain(self, family: str, vocabulary: str, **_: str) -> Cost:
        settings = self.config["pretraining"]
        share, checkpointing = self.plan["utilisation"]["pretraining"], settings["activation_checkpointing"]
        seconds = self.training_seconds(family, vocabulary, self.pretraining_tokens(), share, checkpointing)
        tokens = settings["micro_batch_size"] * settings["block_size"]
        shape, rows = self.models[family].shape, self.rows(family, vocabulary)
        trained = shape.derived_bytes(rows) // shape.itemsize
        chunk = POSITIONS_ON_GPU if self.gpus else POSITIONS_ON_CPU
        wide = 4 if settings["float32_weights"] else self.models[family].shape.itemsize
        memory = self._load(family, vocabulary, tokens, trained, checkpointing, chunk, wide)
        return Cost(seconds / max(1, self.gpus), self.gpus, memory)

    def _adopt(self, family: str, vocabulary: str) -> Cost:
        # Held-out text is scored twice (before, after); the weights of two models are read and one is written.
        parameters = self.models[family].parameters(self.rows(family, vocabulary))
        seconds = 2 * self.prompt_seconds(parameters, self.config["pretraining"]["validation_characters"] / 3)
        seconds += 3 * self._copied(family).seconds
        return Cost(seconds, min(1, self.gpus), self._weights(parameters))

    def _sweep(self, family: str, vocabulary: str, **_: str) -> Cost:
        whole = self._pretrain(family, vocabulary)
        return Cost(whole.seconds * self.config["pretraining"]["sweep"]["share"], whole.gpus, whole.device_bytes)

    def _propagate(self, family: str, vocabulary: str, **_: str) -> Cost:
        # Per method and matrix: six products of a row with a d x d matrix (two passes of the fit, and the map itself).
        # Methods that are fitted on the same rows share the passes, which is not counted.
        width, rows = self.models[family].shape.hidden_size, self.rows(family, vocabulary)
        methods = len(self.run.methods)
        seconds = 2 * methods * 6 * 2 * rows * width**2 / (self.plan["processor_gigaflops"] * 1e9)
        return Cost(seconds + methods * self._copied(family, vocabulary).seconds)

    def _answers(self, family: str, **_: str) -> Cost:
        settings = self.config["calibration"]["answers"]
        parameters = self.models[family].parameters(self.rows(family, ORIGINAL))
        prompts = settings["prompts"]
        seconds = self.prompt_seconds(parameters, prompts * self.plan["conversations"]["tokens"] / 2)
        seconds += self.generation_seconds(parameters, prompts, settings["max_new_tokens"], settings["batch_size"])
        return Cost(seconds, min(1, self.gpus), self._weights(parameters))

    def _grades(self, **_: str) -> Cost:
        # The judge's own GPUs are not ours.
        settings = self.config["calibration"]
        asked = settings["answers"]["prompts"] if settings["judge"]["backend"] == "openai" else 0
        return Cost(asked * JUDGE_SECONDS / settings["judge"]["parallel"])

    def _tune(self, family: str) -> Cost:
        given, tokens = self.config["instruct_tuning"], self.plan["conversations"]["tokens"]
        return self._tuning(family, ORIGINAL, given["recipe"], given["instructions"] * tokens)

    def _calibrate(self, family: str, vocabulary: str, parent: str, calibration: str) -> Cost:
        settings = self.config["calibration"]
        recipe = settings["recipes"][CALIBRATIONS[calibration].recipe]
        given, copies = self.plan["conversations"], settings["copy_examples"].get(calibration, 0)
        if CALIBRATIONS[calibration].own_answers:
            number = min(SELF_ANSWERS, settings["answers"]["prompts"])
        else:
            number = given["number"] if settings["source"] == "hub" else settings["instructions"]
        # A copied text is in the question and in the answer; mean length, three characters per token.
        copied = copies * 2 * sum(settings["copy_characters"]) / 2 / 3
        return self._tuning(family, vocabulary, recipe, number * given["tokens"] + copied)

    def _tuning(self, family: str, vocabulary: str, recipe: Mapping, epoch: float) -> Cost:
        """Cost of fine-tuning with LoRA and matrices in full, on `epoch` tokens per epoch."""
        tokens = recipe["epochs"] * epoch
        checkpointing = recipe.get("activation_checkpointing", False)
        seconds = self.training_seconds(
            family, vocabulary, tokens, self.plan["utilisation"]["calibration"], checkpointing
        )
        full = len(recipe["full"]) * self.rows(family, vocabulary) * self.models[family].shape.hidden_size
        length = recipe["micro_batch_size"] * recipe["max_length"]
        # What a calibration trains is in float32, whatever the number type of the body.
        memory = self._load(family, vocabulary, length, full, checkpointing, length, wide=4)
        return Cost(seconds / max(1, self.gpus), self.gpus, memory)

    def _evaluate_part(self, family: str, vocabulary: str, stage: str, key: str, group: str) -> Cost:
        return self.scoring_cost(family, vocabulary, stage, GROUPS[group], models=1)

    def _evaluate(self, family: str, vocabulary: str, stage: str) -> Cost:
        if self.config["evaluation"]["jobs"] == "group":  # the job only joins the answers of its parts
            return Cost(0.0)
        scored = evaluated_models(self.run, family, vocabulary, stage)
        return self.scoring_cost(family, vocabulary, stage, tuple(SPECS), len(scored))

    def scoring_cost(self, family: str, vocabulary: str, stage: str, tasks: Sequence[str], models: int) -> Cost:
        """Cost of scoring `models` models on `tasks`."""
        settings = self.config["evaluation"]
        shots = settings["shots"]["foundation" if stage in ("foundation", "pretraining") else "instruct"]
        parameters = self.models[family].parameters(self.rows(family, vocabulary))
        seconds = 0.0
        for task in tasks:
            items, length = self._items(task), SPECS[task].question_tokens
            seconds += self.prompt_seconds(parameters, items * min(settings["max_prompt_tokens"], (shots + 1) * length))
            if SPECS[task].kind == "generate":
                lengths = settings["max_new_tokens"]
                tokens = lengths.get(task, lengths["default"])
                seconds += self.generation_seconds(parameters, items, tokens, settings["batch_size"])
        return Cost(models * seconds, min(1, self.gpus), self._weights(parameters))

    def _items(self, task: str) -> int:
        settings = self.config["evaluation"]
        made = settings["benchmark"] == "miniature"
        items = settings["items_per_task"].get(task, settings["items"]) if made else SPECS[task].published_items
        return min(items, settings["limit"]) if settings["limit"] else items

    def _language(self, family: str, vocabulary: str) -> Cost:
        # Three characters per token; per question five texts, each two paragraphs of about 50 tokens; 1 and 16 prompts.
        given, models = self.config["evaluation"]["language"], models_of_vocabulary(self.run, family, vocabulary)
        size = self.models[family].parameters(self.rows(family, vocabulary))
        read = len(self.run.languages) * (given["characters"] / 3 + given["rankings"] * 5 * 100)
        seconds = self.prompt_seconds(size, read) + 2 * self.generation_seconds(size, 1, given["speed_tokens"], 1)
        return Cost(len(models) * seconds, min(1, self.gpus), self._weights(size))

    def _samples(self) -> Cost:
        wanted, seconds = self.config["report"]["samples"], 0.0
        prompts = wanted["prompts"] if isinstance(wanted["prompts"], int) else len(wanted["prompts"])
        for family in self.families:
            parameters = self.models[family].parameters(self.rows(family, wanted["vocabulary"]))
            seconds += 3 * self.generation_seconds(parameters, prompts, wanted["max_new_tokens"], batch=prompts)
        return Cost(seconds, min(1, self.gpus), self._weights(parameters))

    def _weights(self, parameters: int) -> float:
        """Bytes of a model for inference: its weights, and 20 % for keys, values and logits."""
        return 1.2 * parameters * BYTES[self.config["compute"]["dtype"]]


_FORMULAS: dict[str, Callable[..., Cost]] = {
    "fetch_model": CostModel._fetched,
    "fetch_donor": lambda model, family, vocabulary: model._fetched(family),
    "fetch_dataset": lambda model, name: CostModel._fetched(model) if name != "instructions" else Cost(10.0),
    **dict.fromkeys(("unpack_model", "import_model"), lambda model, family, role: model._copied(family)),
    "initialise_embeddings": CostModel._copied,
    "initialise_direct": CostModel._copied,
    "pretrain": CostModel._pretrain,
    "pretrain_direct": CostModel._pretrain,
    "pretrain_sweep": CostModel._sweep,
    "adopt_donor": CostModel._adopt,
    "propagate_embeddings": CostModel._propagate,
    "make_control": lambda model, family, vocabulary, control: model._copied(family, vocabulary),
    "answer_prompts": CostModel._answers,
    "grade_answers": CostModel._grades,
    "calibrate": CostModel._calibrate,
    **dict.fromkeys(("merge_calibrated", "merge_instruct"), lambda model, family, **_: model._copied(family)),
    "tune_instruct": CostModel._tune,
    "evaluate_part": CostModel._evaluate_part,
    "evaluate": CostModel._evaluate,
    "measure_language": CostModel._language,
    "sample_answers": CostModel._samples,
}
# Rules whose processes load torch and a model.
_HEAVY = {
    "unpack_model", "tune_instruct", "merge_instruct", "import_model", "initialise_embeddings", "initialise_direct",
    "pretrain", "pretrain_direct", "pretrain_sweep", "adopt_donor", "propagate_embeddings", "make_control",
    "answer_prompts", "calibrate", "merge_calibrated", "evaluate_part", "evaluate", "measure_language",
    "sample_answers",
}  # fmt: skip
