"""Names of rules outside of the rules: a misspelt one would be passed over without a word."""

import re

from fixtures.rules import RULES, TEXT
from lep.planning.cost import _FORMULAS, _HEAVY
from lep.planning.text_cost import TEXT_SECONDS
from lep.workflow.jobs import JOBS, MODULES


def test_jobs_are_rules_that_read_their_settings_and_run_their_module() -> None:
    assert JOBS.keys() == MODULES.keys()
    for rule, module in MODULES.items():
        assert re.search(rf'job="<results>/(\{{seed\}})?jobs/{rule}/', RULES[rule])
        assert f"{module} --config {{input.job:q}}" in RULES[rule]
    assert {name for name, body in RULES.items() if re.search(r"<results>/(\{seed\})?jobs/", body)} == JOBS.keys() | {
        "write_job"
    }


def test_the_plan_has_formulas_for_rules() -> None:
    assert RULES.keys() >= _FORMULAS.keys() | TEXT_SECONDS.keys() | _HEAVY


def test_rules_that_fetch_are_known_as_such() -> None:
    """Before them alone no check of GPUs is made; no other rule uses the network."""
    (named,) = re.findall(r"^FETCHING = \{(.*?)\}", TEXT, re.MULTILINE | re.DOTALL)
    fetching = {name for name, body in RULES.items() if re.search(r"python -m lep\.fetch ", body)}
    assert set(re.findall(r"\w+", named)) == fetching | {"fetch_all"}
    assert {name for name, body in RULES.items() if "HF_HUB_OFFLINE=0" in body} <= fetching | {"preflight"}


def test_everything_reaches_a_shell_quoted() -> None:
    """A path with a space or `$(...)` from the configuration is then one word, and no command."""
    blocks = {rule: re.search(r"^    shell:\n(.*?)(?=^ {0,4}\S|\Z)", body, re.M | re.S) for rule, body in RULES.items()}
    fields = {rule: re.findall(r"(?<!\{)\{([^{}]+)\}(?!\})", block[1]) for rule, block in blocks.items() if block}
    assert sum(map(len, fields.values())) > 40
    bare = {rule: [field for field in found if not field.endswith(":q")] for rule, found in fields.items()}
    assert {rule: found for rule, found in bare.items() if found} == {}


def test_a_value_that_may_be_empty_is_joined_to_its_option() -> None:
    """Snakemake quotes an empty value as nothing at all: the option would take the next word."""
    named = [name for name, body in RULES.items() if "params.reference[subfolder]" in body]
    assert named == ["fetch_model", "fetch_donor"]
    assert all("--subfolder={params.reference[subfolder]:q}" in RULES[name] for name in named)
