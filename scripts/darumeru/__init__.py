"""Darumeru, the paper's benchmark, as tasks of lm-evaluation-harness.

`tasks` is the folder for `--include_path`; the modules beside it hold what the tasks know: `specs` (the 17 tasks),
`data` (records), `prompts` (messages), `metrics` (item scores, aggregation, bootstrap), `task` (the harness's task
class), `lm` (two request types) and `fast` (a model class that shares the prefixes of prompts).
"""
