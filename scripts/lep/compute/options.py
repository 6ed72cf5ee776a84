"""Types of command-line options: a value out of range is refused with the option's name, before anything is read."""

import argparse

LARGEST_SEED = 2**32 - 1  # of numpy
DEVICES = ("auto", "cpu", "cuda")


def count(text: str) -> int:
    """A whole number, 1 or more."""
    return _whole(text, 1)


def number(text: str) -> int:
    """A whole number, 0 or more."""
    return _whole(text, 0)


def seed(text: str) -> int:
    """A seed of random numbers, 0 to 2**32 - 1."""
    found = _whole(text, 0)
    if found > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{text} is above {LARGEST_SEED}, the largest seed")
    return found


def cores(text: str) -> str:
    """A number of cores, 1 or more, or all."""
    return text if text == "all" else str(count(text))


def _whole(text: str, least: int) -> int:
    try:
        found = int(text)
    except ValueError:
        found = least - 1
    if found < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of {least} or more")
    return found
