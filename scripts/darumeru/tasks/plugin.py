"""What the YAML files name. The package need not be installed: it is found from here."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # behind everything that is installed

from darumeru.data import load
from darumeru.task import DaruTask

__all__ = ["DaruTask", "load"]
