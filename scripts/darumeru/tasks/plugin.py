"""Names that the YAML files use. The package need not be installed: this file adds its folder to the path."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # at the end: installed packages come first

from darumeru.data import load
from darumeru.task import DaruTask

__all__ = ["DaruTask", "load"]
