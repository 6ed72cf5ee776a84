"""Logger plugin of Snakemake: the jobs that a run starts, or that a dry run would start, as lines of JSON.

snakemake --dry-run --quiet all --logger jobs --logger-jobs-file jobs.jsonl
"""

import json
from dataclasses import dataclass, field
from logging import LogRecord
from pathlib import Path

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    """The settings of the plugin, as Snakemake asks for them."""

    file: str = field(default="jobs.jsonl", metadata={"help": "File to write"})


class LogHandler(LogHandlerBase):
    """Writes one line for each job."""

    writes_to_stream = False
    writes_to_file = False  # else Snakemake would name it among the logs of the run
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        Path(self.settings.file).parent.mkdir(parents=True, exist_ok=True)
        self.lines = open(self.settings.file, "w", encoding="utf-8", buffering=1)  # noqa: SIM115 (until the run ends)

    def emit(self, record: LogRecord) -> None:
        """Write the job that a record is about; other records are passed over."""
        if getattr(record, "event", None) != LogEvent.JOB_INFO:
            return
        resources = {name: value for name, value in record.resources.items() if isinstance(value, int | str)}
        values = {
            "rule": record.rule_name,
            "wildcards": dict(record.wildcards),
            "input": list(record.input),
            "output": list(record.output),
            "reason": record.reason,
            "threads": record.threads,
            "resources": resources,
        }
        self.lines.write(json.dumps(values, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Close the file with the run."""
        self.lines.close()
        super().close()
