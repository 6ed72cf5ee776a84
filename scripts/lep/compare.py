"""Paired comparison of two models on the same items.

Run: `python -m lep.compare A B [--metric NAME ...]`. A and B are evaluation folders or samples files. If one has
several models, add `:MODEL` (`results/mini/evaluation/llama/bpe/propagation:swap`). Both models are scored on the same
resampled items, so the difficulty of the items cancels out in the difference.
"""

import argparse
import sys
from pathlib import Path

from darumeru import metrics

from lep.compute.options import count, seed
from lep.config import UserError
from lep.evaluation.paired import paired_difference, score
from lep.evaluation.samples import SAMPLES, TaskValues, load_samples
from lep.log import logged
from lep.names import COLUMNS, TASKS


def find_model(where: str) -> tuple[str, dict[str, list[dict]]]:
    """Name and item values of one model, from `FOLDER`, `FILE`, `FOLDER:MODEL` or `FILE:MODEL`.

    MODEL may be the last part of a name alone. Raises `UserError` if no model or several models fit.
    """
    place, wanted = where, ""
    if not Path(where).exists() and ":" in where:
        place, _, wanted = where.rpartition(":")
    path = Path(place) / SAMPLES if Path(place).is_dir() else Path(place)
    samples = load_samples(path)
    if wanted in samples:
        return wanted, samples[wanted]
    found = [name for name in samples if not wanted or name.endswith(f"/{wanted}")]
    if len(found) != 1:
        what = f"{len(found) or 'no'} models {wanted!r}" if wanted else "more than one model"
        raise UserError(f"{path} has {what}; write {place}:MODEL with one of {', '.join(sorted(samples))}")
    return found[0], samples[found[0]]


def comparable(a: TaskValues, b: TaskValues) -> list[str]:
    """Micro-Avg, groups and tasks that both models were evaluated on."""
    names = (*COLUMNS, *TASKS)
    return [name for name in names if all(task in a and task in b for task in metrics.tasks_of(name))]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage="%(prog)s A B [options]"
    )
    parser.add_argument("a", metavar="A", help="first model: FOLDER[:MODEL] or FILE[:MODEL]")
    parser.add_argument("b", metavar="B", help="second model")
    parser.add_argument("--metric", nargs="+", default=[], metavar="NAME", help="micro_avg, groups, tasks; else all")
    parser.add_argument("--draws", type=count, default=1000)
    parser.add_argument("--seed", type=seed, default=42)
    options = parser.parse_args()
    with logged():
        (name_a, a), (name_b, b) = find_model(options.a), find_model(options.b)
        lines = [f"A = {name_a}\nB = {name_b}", f"{'':20} {'A':>7} {'B':>7} {'B - A':>8}  95 % interval"]
        for name in options.metric or comparable(a, b):
            difference, low, high = paired_difference([a], [b], name, options.draws, options.seed)
            scores = f"{score(a, name):7.4f} {score(b, name):7.4f}"
            lines.append(f"{name:20} {scores} {difference:+8.4f}  [{low:+.4f}, {high:+.4f}]")
        sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
