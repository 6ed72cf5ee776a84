"""Darumeru, the paper's benchmark, as tasks of lm-evaluation-harness.

`tasks` is the folder for `--include_path`, `tiny` a few items of each task. The modules hold what the tasks know:
`specs` (the 17 tasks), `places` (where records lie), `records` (what they must look like), `data` (records as items),
`prompts` (items as messages), `scoring` (one answer), `metrics` (aggregation, bootstrap), `task` (the harness's task
class), `lm` (two request types) and `fast` (a model class that shares the prefixes of prompts).
"""
