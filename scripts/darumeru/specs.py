"""The 17 tasks of Darumeru and their five groups (paper section 2.3)."""

from dataclasses import dataclass

PREFIX = "darumeru_"
LETTERS = ("A", "B", "C", "D")
ANSWER = "Ответ:"
MICRO = "micro_avg"  # the mean of the 17 tasks
STOP = "\n"  # end of an answer without chat template


@dataclass(frozen=True)
class Spec:
    """One task.

    `published_items` and `question_tokens` only serve time estimates. The items of the copy tasks and all question
    lengths are guesses, as no source states them.
    """

    name: str
    group: str
    subset: str  # folder of the data
    kind: str  # choice (next-token probability of options), generate, or rank (log-probability of each sentence)
    measure: str  # key of `metrics.MEASURES`
    published_items: int  # test items of the published data
    question_tokens: int  # tokens of one question with its lead
    lead: str = ANSWER  # start of the assistant's turn; "" = none
    options: tuple[str, ...] = ()  # for kind choice
    max_new_tokens: int = 64  # longest answer, as in the paper
    test: str = "test"  # split of the scored items
    shots: str = "prompt"  # split of the few-shot examples


# name, group, subset, kind, measure, published items, tokens of a question
_SPECS = (
    Spec("rummlu", "daru_mmlu", "rummlu", "choice", "accuracy", 10023, 130, options=LETTERS),
    Spec("nlpcore_rummlu", "daru_mmlu", "nlpcore_mmlu", "choice", "categories", 14042, 140,
         options=LETTERS, shots="dev"),
    Spec("nlpcore_enmmlu", "daru_mmlu", "nlpcore_mmlu", "choice", "categories", 14042, 110,
         "Answer:", LETTERS, shots="dev"),
    Spec("multiq", "daru_mera", "multiq", "generate", "answers", 1046, 900),
    Spec("parus", "daru_mera", "parus", "choice", "pairs", 200, 70, options=("1", "2")),
    Spec("rcb", "daru_mera", "rcb", "choice", "accuracy_f1", 220, 110, options=("1", "2", "3")),
    Spec("rwsd", "daru_mera", "rwsd", "choice", "accuracy", 204, 90, options=("Да", "Нет")),
    Spec("use", "daru_mera", "use", "generate", "exam", 900, 400),
    Spec("ruopenbookqa", "daru_mera", "ruopenbookqa", "choice", "accuracy_f1", 2328, 80, options=LETTERS),
    Spec("ruworldtree", "daru_mera", "ruworldtree", "choice", "accuracy_f1", 105, 90, options=LETTERS),
    Spec("rucola", "daru_mera", "rucola", "choice", "accuracy_mcc", 2787, 60,
         options=("0", "1"), test="validation", shots="train"),
    Spec("treeway_abstractive", "daru_sum", "treeway", "generate", "summary", 500, 1500,
         "TL;DR:", max_new_tokens=512),
    Spec("treeway_extractive", "daru_sum", "treeway", "rank", "retrieval", 500, 1800,
         "Наиболее важные предложения статьи:"),
    # The wording of the copy prompts is not published; the answer is the text itself, without a lead.
    Spec("cp_sent_en", "daru_copy_en", "cp_sent_en", "generate", "copy_length", 500, 60, "", max_new_tokens=128),
    Spec("cp_para_en", "daru_copy_en", "cp_para_en", "generate", "copy_exact", 100, 400, "", max_new_tokens=1024),
    Spec("cp_sent_ru", "daru_copy_ru", "cp_sent_ru", "generate", "copy_length", 500, 80, "", max_new_tokens=128),
    Spec("cp_para_ru", "daru_copy_ru", "cp_para_ru", "generate", "copy_exact", 100, 500, "", max_new_tokens=1024),
)  # fmt: skip
SPECS = {spec.name: spec for spec in _SPECS}
GROUPS = {group: tuple(s.name for s in _SPECS if s.group == group) for group in dict.fromkeys(s.group for s in _SPECS)}
