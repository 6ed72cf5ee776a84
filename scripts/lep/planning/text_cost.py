"""Seconds of the jobs whose work is reading or writing text, from the resolved configuration."""

from collections.abc import Callable, Mapping


def _read(config: Mapping, rule: str, jobs: int, threads: int = 1) -> float:
    """One of `jobs` jobs that read all text between them."""
    plan = config["plan"]
    return plan["text"]["megabytes"] / jobs / (plan["text_megabytes_per_second"][rule] * threads)


def _of_shard(rule: str) -> Callable[..., float]:
    return lambda config, shard: _read(config, rule, config["corpus"]["shards"])


def _of_part(rule: str) -> Callable[..., float]:
    return lambda config, part: _read(config, rule, config["corpus"]["parts"])


def _pack(config: Mapping, **_: str) -> float:
    return _read(config, "pack_part", config["corpus"]["parts"], config["pretraining"]["packing_threads"])


def _join(config: Mapping) -> float:
    # Bytes are read, written and hashed, never parsed; the proof reads keys, a few bytes for each paragraph.
    return 3 * config["plan"]["text"]["megabytes"] / config["plan"]["disk_megabytes_per_second"]


def _choose_copies(config: Mapping) -> float:
    return config["pretraining"]["reserve"] * _read(config, "find_copy_texts", 1)


def _conversations(config: Mapping, **_: str) -> float:
    # Their text is tokenized: six bytes of Russian text for a token.
    settings, given = config["calibration"], config["plan"]["conversations"]
    number = given["number"] if settings["source"] == "hub" else settings["instructions"]
    return number * given["tokens"] * 6 / 1e6 / config["plan"]["text_megabytes_per_second"]["pack_part"]


def _sentencepiece(config: Mapping, model_type: str, **_: str) -> float:
    # Two passes over the sample, then the training, which mostly runs on one thread.
    plan = config["plan"]
    read = 2 * config["corpus"]["tokenizer_fraction"] * plan["text"]["megabytes"]
    seconds = config["vocabulary"]["characters"] / 1e6 / plan["sentencepiece"][model_type]
    return read / plan["disk_megabytes_per_second"] + seconds


TEXT_SECONDS: dict[str, Callable[..., float]] = {
    "prepare_shard": _of_shard("prepare_shard"),
    "filter_shard": _of_shard("filter_shard"),
    "build_corpus": _join,
    "train_sentencepiece": _sentencepiece,
    "count_part": _of_part("count_part"),
    "find_overlap": _of_part("find_overlap"),
    "find_copy_texts": _of_part("find_copy_texts"),
    "choose_copy_texts": _choose_copies,
    "pack_part": _pack,
    "make_calibration_data": _conversations,
}
