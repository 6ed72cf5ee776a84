"""Heads that a stand-in starts from: it copies from the context before any training."""

import pytest
import torch
from lep.stand_ins.circuits import start_with_copying
from lep.stand_ins.train import ARCHITECTURES, ATTENTION, INITIALIZER_RANGE, ROPE

VOCABULARY = 2048


def untrained(family: str, copying: bool) -> torch.nn.Module:
    torch.manual_seed(0)
    config, model = ARCHITECTURES[family]
    made = model(
        config(
            vocab_size=VOCABULARY,
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=1024,
            rope_parameters=ROPE,
            tie_word_embeddings=False,
            initializer_range=INITIALIZER_RANGE,
            attn_implementation=ATTENTION,
        )
    )
    if copying:
        start_with_copying(made, seed=1)
    return made.eval()


def copied(model: torch.nn.Module, length: int, tokens: int = VOCABULARY) -> float:
    """Share of the tokens of random sequences, of so many different tokens, that the model repeats the second time."""
    sequence = torch.randint(0, tokens, (4, length), generator=torch.Generator().manual_seed(length))
    with torch.no_grad():
        said = model(torch.cat([sequence, sequence], 1)).logits.argmax(-1)
    return (said[:, length:-1] == sequence[:, 1:]).float().mean().item()


@pytest.mark.parametrize("family", ARCHITECTURES)
@pytest.mark.parametrize("length", [10, 40, 120])
def test_an_untrained_model_copies_what_stood_before(family: str, length: int) -> None:
    assert copied(untrained(family, copying=True), length) > 0.8
    assert copied(untrained(family, copying=False), length) < 0.1


def test_a_token_that_stands_at_several_places_is_told_apart_by_the_one_before() -> None:
    """Of 30 tokens each comes twice in 60; one token alone would leave every second place to luck."""
    assert copied(untrained("llama", copying=True), 60, tokens=30) > 0.75


def test_the_start_follows_the_seed() -> None:
    one, same = (untrained("llama", copying=True).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    torch.manual_seed(0)
    other = untrained("llama", copying=False)
    start_with_copying(other, seed=2)
    assert not torch.equal(other.get_input_embeddings().weight, one["model.embed_tokens.weight"])
