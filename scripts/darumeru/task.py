"""The task class of the 17 YAML files.

Keys of the metadata (`--metadata` or `TaskManager(metadata=...)`):

- `tokenizer`: tokenizer that measures prompts and copies; default: `pretrained`, which the command line sets
- `max_length`: context of the model in tokens; default: that of its configuration
- `darumeru_max_prompt_tokens`: longest prompt with shots, without the answer; default: the paper's 4096
- `darumeru_data`, `darumeru_revisions`, `darumeru_limit`, `darumeru_tiny`: choice of the records (`data.load`)
- `darumeru_max_new_tokens`: longest answers by task or `default`; default: the paper's
- `darumeru_draws`: bootstrap draws for the harness's standard errors; 0 = no standard errors
"""

import json
from collections.abc import Callable
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.utils import resolve_max_length

from darumeru import metrics, prompts, request_types, scoring
from darumeru.records import DataError
from darumeru.specs import SPECS, STOP

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FOLDER = Path(__file__).parent / "tasks"  # for `include_path`
SEED = 42  # of the bootstrap
PROMPT_TOKENS = 4096  # longest prompt of the paper
request_types.install()


@lru_cache(maxsize=2)
def load_tokenizer(name: str, revision: str | None = None) -> "PreTrainedTokenizerBase":
    """The tokenizer of a model folder or hub id.

    Of a folder it is `tokenizer.json` as it is: `AutoTokenizer` may build another one, by the class or the type of the
    model. No code of the model is run. Raises `DataError` for a tokenizer that cannot be read.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    try:
        if not (Path(name) / "tokenizer.json").is_file():
            return AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(name, local_files_only=True)
    except Exception as error:
        raise DataError(f"{name} has no tokenizer that can be read ({' '.join(str(error).split())[:200]})") from None
    model = tokenizer.backend_tokenizer.model
    if getattr(model, "dropout", None):  # merges dropped at random: the same text would have other ids each time
        model.dropout = None
    return tokenizer


class DaruTask(ConfigurableTask):
    """One task of the benchmark; `dataset_kwargs.darumeru_task` names its specification."""

    def __init__(self, config: dict) -> None:
        settings = {key: value for key, value in config.items() if key != "class"}
        self.spec = SPECS[settings["dataset_kwargs"]["darumeru_task"]]
        settings["output_type"] = "generate_until" if self.spec.kind == "generate" else "multiple_choice"
        settings["metric_list"] = _metric_list(self.spec.name, settings.get("metadata") or {})
        if (settings.get("metadata") or {}).get("darumeru_tiny"):
            settings["task_alias"] = f"{settings['task']} (tiny)"
        settings["process_results"] = "darumeru"  # any value: without one, the harness looks our metrics up in its own
        self.dropped_shots = self.cut_prompts = 0
        super().__init__(config=settings)

    @property
    def options(self) -> dict:
        """Metadata of the task."""
        return self.config.metadata or {}

    @cached_property
    def tokenizer(self):
        """The model's tokenizer; None if the metadata has neither `tokenizer` nor `pretrained`."""
        name = self.options.get("tokenizer") or self.options.get("pretrained")
        return load_tokenizer(str(name), self.options.get("revision")) if name else None

    @cached_property
    def context(self) -> int | None:
        """The model's context in tokens, by the rules of the harness; None if the metadata names no model."""
        if given := self.options.get("max_length"):
            return int(given)
        if not (name := self.options.get("pretrained")):
            return None
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(str(name), revision=self.options.get("revision"), trust_remote_code=False)
        return resolve_max_length(config, self.tokenizer)

    @property
    def max_new_tokens(self) -> int:
        """Longest answer in tokens: from the metadata, else the paper's; at most half of the context."""
        given = self.options.get("darumeru_max_new_tokens") or {}
        length = int(given.get(self.spec.name, given.get("default", self.spec.max_new_tokens)))
        return min(length, self.context // 2) if self.context else length

    def fewshot_docs(self):
        return self.dataset.get("shots")

    def doc_to_text(self, doc: dict, doc_to_text: object = None) -> str:
        return doc["user"]

    def doc_to_target(self, doc: dict, doc_to_target: object = None) -> str:
        return doc["target"]

    def fewshot_context(
        self,
        doc: dict,
        num_fewshot: int,
        system_instruction: str | None = None,
        apply_chat_template: bool = False,
        fewshot_as_multiturn: bool = True,
        chat_template: Callable | None = None,
        gen_prefix: str | None = None,
    ) -> str:
        """The prompt, with as many shots as fit into `max_prompt_tokens`, and with the answer into the context.

        A prompt without shots may be longer: the harness then cuts its start.
        """
        template = chat_template if apply_chat_template else None
        system = [{"role": "system", "content": system_instruction}] if system_instruction else []
        shots = prompts.choose_shots(self.spec, doc, self._pool, num_fewshot) if num_fewshot else []
        while True:
            text = prompts.render(system + prompts.conversation(self.spec, doc, shots), template)
            whole, short = self._fits(text, doc)
            if not shots or (whole and short):
                self.cut_prompts += not whole
                return text
            shots = shots[:-1]
            self.dropped_shots += 1

    @cached_property
    def _pool(self) -> list[dict]:
        return list(self.dataset["shots"])

    @property
    def max_prompt_tokens(self) -> int:
        """Longest prompt with shots, without the answer, in tokens."""
        return int(self.options.get("darumeru_max_prompt_tokens") or PROMPT_TOKENS)

    def _fits(self, text: str, doc: dict) -> tuple[bool, bool]:
        """(prompt and answer fit into the context, prompt is within `max_prompt_tokens`); true without tokenizer."""
        if self.tokenizer is None:
            return True, True
        tokens, room = len(self.tokenizer.encode(text)), self.max_new_tokens
        if self.spec.kind != "generate":
            room = max(len(self.tokenizer.encode(f" {option}", add_special_tokens=False)) for option in doc["options"])
        return not self.context or tokens + room <= self.context, tokens <= self.max_prompt_tokens

    def construct_requests(self, doc: dict, ctx: str, **kwargs) -> list[Instance]:
        """Requests of one item. Without chat template, a generated answer ends at the end of the line."""
        chat = kwargs.pop("apply_chat_template", False)
        kwargs.pop("chat_template", None)
        if self.spec.kind == "generate":
            settings = {**(self.config.generation_kwargs or {}), "until": [] if chat else [STOP]}
            settings["max_gen_toks"] = self.max_new_tokens
            return [Instance("generate_until", doc, (ctx, settings), 0, **kwargs)]
        kind = "loglikelihood_distinct" if self.spec.kind == "choice" else "loglikelihood_shortest"
        return [
            Instance(kind, doc, (ctx, f" {option}"), index, **kwargs) for index, option in enumerate(doc["options"])
        ]

    def process_results(self, doc: dict, results: list) -> dict:
        """The item's value under the name of each metric: all aggregations read the same value.

        With `--predict_only` the harness has put its metric `bypass` in the place of ours, and nothing is scored.
        """
        if "bypass" in self._metric_fn_list:
            return {"bypass": doc["id"]}
        value = {"item": doc["id"], **self._value(doc, results)}
        names = metrics.METRICS[self.spec.measure]
        return dict.fromkeys((*names, "score_stderr"), value)

    def _value(self, doc: dict, results: list) -> dict:
        """Value of one item, with the keys that `metrics.MEASURES` reads."""
        meta = json.loads(doc["meta"])
        kind = self.spec.measure
        if self.spec.kind == "choice":
            best = int(np.argmax([score for score, _ in results]))
            return {"gold": doc["gold"], "pred": best, **meta}
        if kind == "retrieval":
            precision, best = scoring.r_precision([score for score, _ in results], meta["gold"])
            return {"r_precision": precision, "chance": len(meta["gold"]) / len(results), "picked": best}
        answer = results[0].strip()
        if kind == "answers":
            return scoring.answer_scores(answer, meta["answers"])
        if kind == "exam":
            points = scoring.exam_points(answer, doc["target"], meta["type"], meta["task"])
            return {"variant": meta["variant"], **points}
        if kind == "summary":
            return scoring.rouge(answer, doc["target"])
        if self.tokenizer is None:
            raise DataError(f"{self.spec.name} counts tokens; give a tokenizer: --metadata '{{\"tokenizer\": ...}}'")
        stop = STOP if STOP in self.instances[0].args[1]["until"] else ""  # no stop string with a chat template
        return scoring.copy_scores(answer, doc["target"], self.tokenizer, self.max_new_tokens, stop)


def _metric_list(name: str, metadata: dict) -> list[dict]:
    """Metrics with their aggregations. `score_stderr` comes after `score` and replaces the "N/A" of the harness."""
    entries = [
        {"metric": metric, "aggregation": partial(_aggregate, name, metric), "higher_is_better": True}
        for metric in metrics.METRICS[SPECS[name].measure]
    ]
    draws = int(metadata.get("darumeru_draws", 1000))
    stderr = partial(_standard_error, name, draws)
    return [*entries, {"metric": "score_stderr", "aggregation": stderr, "higher_is_better": False}]


def _aggregate(name: str, metric: str, values: list[dict]) -> float:
    return metrics.aggregate(name, values)[metric]


def _standard_error(name: str, draws: int, values: list[dict]) -> float | str:
    return float(np.std(metrics.bootstrap(name, values, draws, SEED)[metrics.SCORE])) if draws else "N/A"
