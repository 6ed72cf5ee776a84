"""Where the workflow may run: in the folder of the Snakefile, whose path has no space."""

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

if not os.path.samefile(workflow.basedir, os.getcwd()):
    raise WorkflowError(
        f"all paths are relative to {workflow.basedir}: start Snakemake there, without -d/--directory"
    )
if " " in workflow.basedir:
    raise WorkflowError(
        f"Snakemake cannot work below a folder with a space in its name: move {workflow.basedir}"
    )
