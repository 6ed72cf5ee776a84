"""What all rules share: the checked configuration, the run that follows from it, and the environment of its jobs.

Which models, jobs and files a run has is in `lep.workflow`; no rule asks which scale it is.
"""

import json
import signal

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "scripts"))

from lep.methods import CALIBRATED_METHOD, CONTROLS
from lep.names import CALIBRATIONS, ROLES, VOCABULARIES, family_of
from lep.planning.limits import TimeLimits
from lep.workflow import jobs, models, recipes, sources
from lep.workflow.code_version import code_version
from lep.workflow.command_line import check_command_line, describe
from lep.workflow.contents import Contents
from lep.workflow.run import Run, folder_of
from lep.workflow.settings import apply_subset, check_settings, write_resolved_config

if workflow.is_main_process:  # those that it starts for its jobs are told what it read
    check_command_line(sys.argv[1:], workflow.overwrite_configfiles)
check_settings(config, ROOT)
# Plain mappings: an overlay leaves others behind, and a parameter with the same content would count as changed.
config |= apply_subset(json.loads(json.dumps(config)))
write_resolved_config(config)
if workflow.is_main_process:
    told = describe(config["scale"], sys.argv[1:], workflow.overwrite_configfiles)
    print(told, file=sys.stderr, flush=True)

RUN = Run(config, ROOT)
CONTENTS = Contents(ROOT, RUN.results)
COMPUTE = config["compute"]
LIMITS = TimeLimits(config, ROOT)
ONE_GPU = min(1, COMPUTE["gpus_per_job"])  # of jobs that use one GPU at most

# Every job of this run, local or on a cluster, inherits these. Only the rules that fetch use the network.
os.environ |= {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT / "scripts")}
# These settings of the allocator save a page fault for every large tensor: a fifth of a CPU training step (measured).
os.environ |= {
    "MALLOC_MMAP_THRESHOLD_": "2000000000",
    "MALLOC_TRIM_THRESHOLD_": "2000000000",
}
# `python` in a shell command is the one that runs Snakemake; a conda environment puts its own before it.
os.environ |= {
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()])
}

# SLURM sends SIGUSR1 before the time limit. Trainers handle it; every other process must ignore it.
signal.signal(signal.SIGUSR1, signal.SIG_IGN)


pathvars:
    results=RUN.results,
    logs=f"{RUN.results}/logs",
    benchmarks=f"{RUN.results}/benchmarks",


wildcard_constraints:
    seed=f"(?:{'|'.join(RUN.seeds)})",  # of the first seed nothing
    family="|".join([*RUN.pairs, *RUN.comparators]),
    role="|".join(ROLES),
    vocabulary="|".join(VOCABULARIES),
    parent=f"{CALIBRATED_METHOD}|instruct",
    calibration="|".join(sorted(CALIBRATIONS, key=len, reverse=True)),
    stage="|".join(models.STAGES),
    control="|".join(name for name, entry in CONTROLS.items() if entry.is_made),
    model_type="bpe|unigram",
    size="[0-9]+",
    number="[1-4]",
    rate="[-+.e0-9]+",
    rule_name="|".join(jobs.JOBS),
    group="daru_[a-z_]+",
    key="[^/]+",
    shard="[0-9]+",
    part="[0-9]+",
    suffix=r"whl|tar\.gz",
