"""Darumeru, the paper's benchmark, as tasks of lm-evaluation-harness.

Folders: `tasks` (for `--include_path`) and `tiny` (a few items of each task). Modules:

- `specs`: the 17 tasks
- `sources`: reading of records, from a folder or the hub
- `records`: fields of the records
- `data`: records as items
- `prompts`: items as messages and text
- `scoring`: scores of one answer
- `metrics`: aggregation and bootstrap
- `task`: the task class for the harness
- `request_types`: two request types on token ids
- `prefix_lm`: a model class that computes shared prefixes of prompts once
"""
