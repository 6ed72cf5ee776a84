"""The cluster profile names rules that exist, and never asks for more than its own partitions have."""

import re
from pathlib import Path

import pytest
import yaml
from fixtures.rules import RULES

ROOT = Path(__file__).parents[2]
PROFILE = yaml.safe_load((ROOT / "slurm/config.yaml").read_text(encoding="utf-8"))
PARTITIONS = yaml.safe_load((ROOT / "slurm/partitions.yaml").read_text(encoding="utf-8"))["partitions"]
ON_GPUS = {name for name, body in RULES.items() if re.search(r"^ +gpu=", body, re.M)}


def asked(rule: str, resource: str, attempt: int) -> int:
    """What the profile asks for; a value is a number or an expression of Snakemake's."""
    value = PROFILE["set-resources"].get(rule, {}).get(resource, PROFILE["default-resources"][resource])
    return value if isinstance(value, int) else eval(value, {"min": min, "attempt": attempt})


@pytest.mark.parametrize("path", ["slurm/config.yaml", "tests/slurm/profile/config.yaml"])
def test_named_rules_exist(path: str) -> None:
    assert len(RULES) > 50
    profile = yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
    assert (set(profile["set-resources"]) | set(profile["groups"])) <= set(RULES)


def test_every_rule_that_uses_gpus_has_its_own_memory_and_time() -> None:
    assert len(ON_GPUS) >= 8
    for rule in ON_GPUS:
        assert {"mem_mb", "runtime"} <= set(PROFILE["set-resources"].get(rule, {})), rule


@pytest.mark.parametrize("attempt", range(1, PROFILE["retries"] + 2))
def test_no_retry_asks_for_more_than_a_partition_has(attempt: int) -> None:
    for rule in RULES:
        partition = PARTITIONS["gpu" if rule in ON_GPUS - {"evaluate"} else "cpu"]
        assert asked(rule, "mem_mb", attempt) <= partition["max_mem_mb"], rule
        assert asked(rule, "runtime", attempt) <= partition["max_runtime"], rule


def test_the_size_of_the_inputs_is_not_asked_for() -> None:
    """Snakemake's own default for the disk adds up the inputs of every job whenever the graph is built."""
    assert isinstance(PROFILE["default-resources"]["disk_mb"], int)


def test_the_login_node_sets_no_limit() -> None:
    """profiles/default overrides --profile key by key, and `cores` caps the threads of every job."""
    default = yaml.safe_load((ROOT / "profiles/default/config.yaml").read_text(encoding="utf-8"))
    assert not set(default) & set(PROFILE)
    assert "cores" not in default
    assert PROFILE["cores"] == max(partition["max_threads"] for partition in PARTITIONS.values())


def test_retries_stand_in_the_profile_alone() -> None:
    """A rule's own would repeat the job inside its allocation, with the same memory."""
    assert not [name for name, body in RULES.items() if re.search(r"^ +retries:", body, re.M)]
