"""Prompts of all tasks, letter by letter, through the harness's own class and the tokenizers of both families.

`python tests/unit/darumeru/test_golden.py` writes golden_prompts.txt anew: read the difference before you commit it.
"""

import functools
import re
import tempfile
from pathlib import Path

import pytest
from darumeru import task
from darumeru.specs import PREFIX, SPECS
from fixtures.darumeru import write_benchmark
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import LlamaConfig, LlamaForCausalLM

GOLDEN = Path(__file__).with_name("golden_prompts.txt")
STAND_INS = Path(__file__).parents[3] / "data" / "stand_ins"
FAMILIES = ("llama", "mistral")
WAYS = {"plain, 2 shots": (2, False), "chat, no shots": (0, True), "chat, 1 shot": (1, True)}


@functools.cache
def harness(family: str, chat: bool) -> HFLM:
    """The harness's model class with a family's tokenizer; its model is never run."""
    tokenizer = task.load_tokenizer(str(STAND_INS / family / ("instruct" if chat else "base")))
    sizes = dict.fromkeys(("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"), 1)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes))
    return HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1)


@functools.cache
def loaded() -> dict:
    with tempfile.TemporaryDirectory() as folder:
        data = write_benchmark(Path(folder))
        manager = TaskManager(
            include_path=str(task.FOLDER), include_defaults=False, metadata={"darumeru_data": str(data)}
        )
        return manager.load(["darumeru"])["tasks"]


def prompt(name: str, family: str, shots: int, chat: bool) -> str:
    """The first item's prompt as the harness makes it."""
    one, lm = loaded()[PREFIX + name], harness(family, chat)
    shots = 0 if one.get_config("num_fewshot") == 0 else shots
    template = lm.apply_chat_template if chat else None
    return one.fewshot_context(one.eval_docs[0], shots, apply_chat_template=chat, chat_template=template)


def prompts(name: str) -> dict[str, str]:
    """All prompts of a task; as plain text they are the same for both families."""
    return {
        f"{name} | {way}" + (f" | {family}" if chat else ""): prompt(name, family, shots, chat)
        for way, (shots, chat) in WAYS.items()
        for family in (FAMILIES if chat else FAMILIES[:1])
    }


def golden() -> dict[str, str]:
    parts = re.split(r"^##### (.+)\n", GOLDEN.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {title: text.removesuffix("\n") for title, text in zip(parts[::2], parts[1::2], strict=True)}


@pytest.mark.parametrize("name", SPECS)
def test_prompts(name: str) -> None:
    kept = {title: text for title, text in golden().items() if title.startswith(f"{name} |")}
    assert prompts(name) == kept


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", SPECS)
def test_one_bos_and_nothing_lost(name: str, family: str) -> None:
    """Plain text does not depend on the family; either way the ids begin with the one BOS."""
    for shots, chat in WAYS.values():
        text, lm = prompt(name, family, shots, chat), harness(family, chat)
        ids = lm.tok_encode(text)
        bos = lm.tokenizer.bos_token_id
        assert (ids[0], ids.count(bos)) == (bos, 1)
        assert chat or text == prompt(name, FAMILIES[0], shots, chat)
        said = lm.tok_decode(ids[1:], skip_special_tokens=False)
        assert "".join(said.split()) == "".join(text.removeprefix(lm.tokenizer.bos_token).split())


if __name__ == "__main__":
    texts = {title: text for name in SPECS for title, text in prompts(name).items()}
    GOLDEN.write_text("".join(f"##### {title}\n{text}\n" for title, text in texts.items()), encoding="utf-8")
