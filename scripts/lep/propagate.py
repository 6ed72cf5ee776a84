"""Command line of Learned Embedding Propagation."""

import argparse
import os
from pathlib import Path

from lep.compute.options import DEVICES, count, seed
from lep.log import logged, logger
from lep.manifest import check_target
from lep.methods import CALIBRATED_METHOD, METHODS
from lep.propagation.averaging import TOKEN_TEXTS
from lep.propagation.fit import MapSettings
from lep.propagation.propagate import propagate


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(
        prog="python -m lep.propagate",
        description="Transfer the matrices of an adapted base model (the donor) to the instruct model.",
    )
    for name, text in (
        ("base", "the source model"),
        ("instruct", "its instruction-tuned version, which gets the new vocabulary"),
        ("donor", "the source model with the new vocabulary and trained matrices"),
    ):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="DIR", help=f"{text} (Hugging Face folder)")
    parser.add_argument("--method", choices=METHODS, default=CALIBRATED_METHOD)
    parser.add_argument(
        "--ridge-penalty",
        type=float,
        metavar="L",
        help="strength of ridge (default: the best of several on held-out rows)",
    )
    parser.add_argument(
        "--own", default="", metavar="FILE:FUNCTION", help="the map of the method own: path/to/file.py:function"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder to write")
    parser.add_argument("--operator", type=Path, metavar="DIR", help="published averaging operator (default: make it)")
    parser.add_argument(
        "--token-text",
        choices=TOKEN_TEXTS,
        default="bytes",
        help="what the method conversion splits: a new token's bytes, or its string, as the published code does",
    )
    parser.add_argument("--seed", type=seed, default=42, help="seed of the held-out rows of the report")
    parser.add_argument("--threads", type=count, default=os.cpu_count() or 1)
    parser.add_argument("--device", choices=DEVICES, default="auto")
    a = parser.parse_args()
    with logged():
        check_target(a.out, (a.base, a.instruct, a.donor, a.operator))
        folders = a.base, a.instruct, a.donor, a.operator, {a.method: a.out}
        maps = MapSettings(a.ridge_penalty, a.own)
        propagate(*folders, a.seed, a.threads, a.device, a.token_text, maps)
        logger.info("wrote %s", a.out)


if __name__ == "__main__":
    main()
