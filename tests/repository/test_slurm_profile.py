"""The cluster profile names rules that exist, and leaves to Snakemake what is not its own.

What its jobs ask for: tests/workflow/test_cluster_jobs.py.
"""

import re
from pathlib import Path

import pytest
import yaml
from fixtures.rules import RULES

ROOT = Path(__file__).parents[2]
PROFILE = yaml.safe_load((ROOT / "slurm/config.yaml").read_text(encoding="utf-8"))
PARTITIONS = yaml.safe_load((ROOT / "slurm/partitions.yaml").read_text(encoding="utf-8"))["partitions"]


@pytest.mark.parametrize("path", ["slurm/config.yaml", "tests/slurm/profile/config.yaml"])
def test_named_rules_exist(path: str) -> None:
    assert len(RULES) > 50
    profile = yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
    assert (set(profile["set-resources"]) | set(profile["groups"])) <= set(RULES)


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
