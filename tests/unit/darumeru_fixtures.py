"""A made-up benchmark of eight items a task, and a tiny model that can read it."""

import itertools
import json
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM

ITEMS, PROMPTS = 8, 10
LETTERS = "ABCD"
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] | trim }}<|eos|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def _record(number: int, instruction: str, outputs: object, **inputs: str) -> dict:
    return {"instruction": instruction, "inputs": inputs, "outputs": outputs, "meta": {"id": number}}


def _options(number: int, key: str, question: str) -> dict:
    options = {f"option_{letter.lower()}": f"вариант {number} {letter}" for letter in LETTERS}
    lines = "\n".join(f"{letter}. {{option_{letter.lower()}}}" for letter in LETTERS)
    return _record(
        number, f"Вопрос: {{{key}}}\n{lines}", LETTERS[number % 4], **{key: f"{question} {number}?"}, **options
    )


def _exam(number: int, task: int, variant: int) -> dict:
    kind = "matching" if task in (8, 26) else "choice" if task % 2 else "text"
    kind = "choice" if task == 16 else kind
    answers = {"matching": "1,2,3,4,5" if task == 8 else "4,3,2,1", "text": "слово", "choice": "1,3"}
    points = {8: 5, 16: 2, 26: 4}.get(task, 1)
    record = _record(number, "{task}", answers[kind], task=f"Задание {task}", text="", choices="", additional_text="")
    record["meta"] |= {"id_task": str(task), "variant": variant, "type": kind, "score": points}
    return record


def _mmlu(number: int, subject: str) -> dict:
    return {
        "subject": subject, "category": {"звёзды": "STEM", "kings": "humanities"}[subject],
        "question_ru": f"Вопрос {number}?", "choices_ru": ["да", "нет", "всё", "ничто"],
        "question_en": f"Question {number}?", "choices_en": ["yes", "no", "all", "none"], "answer": number % 4,
    }  # fmt: skip


def _copy(language: str, length: int):
    lines = {"ru": "Жил был старый кот и видел сон", "en": "There was an old cat who had dreams"}
    words = lines[language].split()

    def make(number: int) -> dict:
        text = " ".join(itertools.islice(itertools.cycle(words), number % 3, number % 3 + length)) + "."
        return _record(number, {"ru": "Повтори: {text}", "en": "Copy: {text}"}[language], text, text=text)

    return make


def _parus(number: int) -> dict:
    record = _record(
        number, "{premise} Почему?\n1. {choice1}\n2. {choice2}", "12"[number % 2],
        premise=f"Случай {number}.", choice1="Шёл дождь", choice2="Светило солнце",
    )  # fmt: skip
    record["meta"]["task"] = "cause"
    return record


def _multiq(number: int) -> dict:
    return _record(
        number, "{support_text} {text} {question}", [f"город {number}", "город"],
        support_text="Река течёт.", text="Город стоит.", question=f"Что стоит {number}?",
    )  # fmt: skip


def _rcb(number: int) -> dict:
    return _record(
        number, "{premise} {hypothesis} 1, 2 или 3?", "123"[number % 3], premise=f"Дом {number}.", hypothesis="Стоит."
    )


def _rwsd(number: int) -> dict:
    return _record(
        number, "{text} «{span2_text}» - «{span1_text}»?", ["Да", "Нет"][number % 2],
        text=f"Кот {number} спал. Он ел.", span1_text="Кот", span2_text="Он",
    )  # fmt: skip


def _treeway(number: int) -> dict:
    sentences = [f"Предложение {number} номер {n}{' и ещё слова' * n}." for n in range(4)]
    return {"src_sents": sentences, "summary_sents": ["Кот спал.", "Он ел."], "extractive_summary": [number % 4]}


def _rucola(number: int) -> dict:
    return {"id": number, "sentence": f"Кот спит {number}.", "acceptable": number % 2, "error_type": "0",
            "detailed_source": ""}  # fmt: skip


SIMPLE = {
    "rummlu": lambda n: _options(n, "text", "Что такое"),
    "ruopenbookqa": lambda n: _options(n, "question", "Зачем"),
    "ruworldtree": lambda n: _options(n, "question", "Откуда"),
    "parus": _parus, "multiq": _multiq, "rcb": _rcb, "rwsd": _rwsd,
    "treeway": _treeway,
    "cp_sent_en": _copy("en", 6), "cp_para_en": _copy("en", 18),
    "cp_sent_ru": _copy("ru", 6), "cp_para_ru": _copy("ru", 18),
}  # fmt: skip


def records() -> dict[tuple[str, str], list[dict]]:
    """All records by (subset, split); the right answers are spread evenly."""
    result = {}
    for subset, make in SIMPLE.items():
        result[subset, "prompt"] = [make(100 + n) for n in range(PROMPTS)]
        result[subset, "test"] = [make(n) for n in range(9 if subset == "rcb" else ITEMS)]
    result["rucola", "train"] = [_rucola(n) for n in range(40)]
    result["rucola", "validation"] = [_rucola(n) for n in range(ITEMS)]
    result["use", "prompt"] = [_exam(n, n + 1, 0) for n in range(PROMPTS)]
    result["use", "test"] = [_exam(26 * v + t, t, v) for v in (1, 2) for t in range(1, 27)]
    subjects = ("звёзды", "kings")
    result["nlpcore_mmlu", "dev"] = [_mmlu(10 + n, subject) for subject in subjects for n in range(5)]
    result["nlpcore_mmlu", "test"] = [_mmlu(n, subjects[n // 4]) for n in range(ITEMS)]
    return result


def published() -> dict[tuple[str, str], list[dict]]:
    """The same records in the layout of the hub: messages for the instruction, segments, labels."""
    result = json.loads(json.dumps([[*key, rows] for key, rows in records().items()]))
    return {(subset, split): [_published(subset, split, row) for row in rows] for subset, split, rows in result}


def _published(subset: str, split: str, record: dict) -> dict:
    if subset == "rucola":
        record["label"] = record.pop("acceptable")
    if "instruction" not in record:
        return record
    answer = record["outputs"][0] if subset == "multiq" else record["outputs"]
    lead = "" if subset.startswith("cp_") else "Ответ:"
    said = f"{lead} {answer}".strip() if split == "prompt" else lead
    turns = [{"role": "user", "content": record.pop("instruction")}, {"role": "bot", "content": said}]
    if subset == "multiq":
        record["outputs"] = [{"label": "answer", "segment": answer} for answer in record["outputs"]]
    if subset == "rwsd":
        record["outputs"] += "."
    if subset.startswith("cp_"):
        del record["outputs"], record["meta"]
    return record | {"messages": turns}


def write_benchmark(folder: Path, splits: dict[tuple[str, str], list[dict]] | None = None) -> Path:
    """The records, or those given, as a folder that the tasks read."""
    for (subset, split), rows in (splits or records()).items():
        path = folder / subset / f"{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    return folder


def write_model(folder: Path, seed: int = 0, **config: object) -> Path:
    """A random Llama of two layers with a byte-level tokenizer that adds a BOS; sharp enough to avoid ties."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    text = [json.dumps(rows, ensure_ascii=False) for rows in records().values()]
    tokenizer.train_from_iterator(
        text, trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False)
    )
    names = ["<|bos|>", "<|eos|>", "<|user|>", "<|assistant|>", "<|system|>"]
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    bos = ("<|bos|>", tokenizer.token_to_id("<|bos|>"))
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single="<|bos|> $A", special_tokens=[bos]),
        ]
    )
    torch.manual_seed(seed)
    settings = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=1024, initializer_range=0.4,
        bos_token_id=bos[1], eos_token_id=bos[1] + 1, **config,
    )  # fmt: skip
    LlamaForCausalLM(settings).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    roles = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|bos|>", "eos_token": "<|eos|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(roles), encoding="utf-8")
    (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    return folder
