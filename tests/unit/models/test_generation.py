"""Answers in batches are those of single prompts."""

from pathlib import Path

import torch
from fixtures.calibration import QUESTIONS
from lep.models.chat import encode_prompt, end_of_turn_ids
from lep.models.folder import load_tokenizer
from lep.models.generation import greedy_answers
from lep.models.store import load_model


def test_batches_answer_as_single_prompts_do(chat_folder: Path) -> None:
    model, tokenizer = load_model(chat_folder / "model", "float32"), load_tokenizer(chat_folder / "model")
    prompts = [encode_prompt(tokenizer, [{"role": "user", "content": question}]) for question in QUESTIONS]
    together = greedy_answers(model, tokenizer, prompts, 6)
    assert together == [greedy_answers(model, tokenizer, [prompt], 6)[0] for prompt in prompts]
    ids = list(prompts[0])  # by hand
    for _ in range(6):
        with torch.no_grad():
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] in end_of_turn_ids(tokenizer):
            break
    assert together[0] == tokenizer.decode(ids[len(prompts[0]) :], skip_special_tokens=True).strip()
