"""Time limits that jobs ask a cluster for: the estimate of the cost model, with headroom."""

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from lep.config import UserError
from lep.planning.cost import CostModel


class TimeLimits:
    """Time limits of the jobs of a run. `root` is the folder of the Snakefile."""

    def __init__(self, config: Mapping, root: Path) -> None:
        self._config, self._root = config, root

    @cached_property
    def _costs(self) -> CostModel | None:
        """The cost model; None if the configuration has no shape of a model."""
        try:
            return CostModel(self._config, self._root)
        except UserError:
            return None

    def minutes(self, rule: str, wildcards: Mapping[str, str], attempt: int = 1) -> int:
        """Minutes that a job asks for: `plan.headroom` times its estimate, more with each attempt.

        At least `plan.least_minutes`, at most `compute.runtime_minutes`; these also without an estimate.
        """
        most = self._config["compute"]["runtime_minutes"]
        if self._costs is None:
            return most
        plan = self._config["plan"]
        estimate = plan["headroom"] * self._costs.cost(rule, wildcards).seconds / 60
        return min(most, attempt * max(plan["least_minutes"], math.ceil(estimate)))

    def of(self, rule: str) -> Callable[..., int]:
        """The `runtime` of a rule, as Snakemake asks for it."""
        return lambda wildcards, attempt: self.minutes(rule, wildcards, attempt)
