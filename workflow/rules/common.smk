# The checked suite, and what the rules ask of it (ddcl/plan/rules.py). Any configuration error stops here, before a job.
import gc
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from ddcl.base.errors import UserError
from ddcl.data.readers.folders import listed_counts
from ddcl.plan.addresses import predictions_of
from ddcl.plan.clock import clock_path, old_layout, set_clock
from ddcl.plan.datasets import missing_message
from ddcl.plan.rules import (
    CLAIMS,
    DATA,
    FEATURES,
    FRAMES,
    RUN,
    TUNING,
    Rules,
    log_pattern,
    record_pattern,
)

RESULTS = Path("results")

try:
    RULES = Rules.load(map(Path, workflow.configfiles), listed_counts)
    if workflow.is_main_process:
        notes = [
            set_clock(RULES.plan, RESULTS),
            old_layout(RESULTS),
            missing_message(RULES.suite.dataset_configs, RULES.data_root),
        ]
        for note in filter(None, notes):
            logger.warning(note)
except UserError as error:
    raise WorkflowError(str(error)) from None

# All modules and the suite stay to the end: without this, Python looks through them again and again as the DAG grows.
gc.freeze()

# Jobs use the interpreter that runs Snakemake, whether or not its environment is activated. Where the data sets lie is
# no parameter of a rule: moving them redoes nothing.
shell.prefix(
    f'export PATH="{os.path.dirname(sys.executable)}:$PATH" DDCL_DATA="{RULES.data_root}"; '
)


wildcard_constraints:
    **RULES.constraints,
