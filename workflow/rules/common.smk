# The checked suite, and what the rules ask of it (ddcl/plan/rules.py). Any configuration error stops here, before a job.
#
# Nothing is typed here for a shell: what stands in the rules' commands are names of one pattern (ddcl/schema/names.py),
# numbers, and text that is quoted (`:q`); where data sets, code and programs lie, jobs are told by their environment.
import gc
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

# In a checkout its own code is used, installed or not; a workflow that Snakemake fetched needs the installed package.
CHECKOUT = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parents[1]
if (CHECKOUT / "ddcl").is_dir():
    sys.path.insert(0, str(CHECKOUT))

from ddcl import warm
from ddcl.base.checkout import told_of_command
from ddcl.base.errors import UserError
from ddcl.data.readers.folders import listed_counts
from ddcl.plan.addresses import predictions_of
from ddcl.plan.clock import clock_path, old_layout, set_clock
from ddcl.plan.datasets import missing_message
from ddcl.plan.gpu_places import share_gpus
from ddcl.plan.rules import (
    CLAIMS,
    DATA,
    FEATURES,
    FRAMES,
    RUN,
    TUNING,
    Rules,
    job_environment,
    log_pattern,
    module_suite,
    record_pattern,
    typed_suite,
)
from ddcl.plan.scheduling import lift_default_limit
from ddcl.plan.weights import check_weights

# Another workflow may use this one as a module, with a prefix before every path.
IS_MODULE = not workflow.modifier.is_main_snakefile()
RESULTS = Path(workflow.modifier.modify_path("results/suite.json")).parent

try:
    # A suite is one whole file, read by the project's own reader: nothing is merged, nothing is taken from elsewhere.
    # A module's suite is what the other workflow gives as its configuration.
    RULES = Rules.of(
        (
            module_suite(config, workflow.configfiles, workflow.modifier.namespace)
            if IS_MODULE
            else typed_suite(
                workflow.configfiles,
                Path(workflow.basedir),
                workflow.config_settings.config or {},
            )
        ),
        RESULTS,
        listed_counts,
    )
    if not IS_MODULE:
        RULES.check_targets(sys.argv[1:])
    if workflow.is_main_process:
        check_weights(RULES.suite, RESULTS)
        if not IS_MODULE:
            share_gpus(workflow.global_resources)
        notes = [
            set_clock(RULES.plan, RESULTS),
            old_layout(RESULTS),
            told_of_command(),
            missing_message(RULES.suite.dataset_configs, RULES.data_root),
        ]
        for note in filter(None, notes):
            logger.warning(note)
except (UserError, OSError) as error:
    raise WorkflowError(str(error)) from None

# All modules and the suite stay to the end: without this, Python looks through them again and again as the DAG grows.
gc.freeze()

# Jobs use the interpreter that runs Snakemake, whether or not its environment is activated, and this checkout's code; an
# environment that they are given by `--sdm conda` goes before it. Where the data sets lie is no parameter of a rule:
# moving them triggers no reruns.
os.environ.update(job_environment(RULES.data_root))


onstart:
    if workflow.is_main_process:
        lift_default_limit(workflow.scheduler)
    # Jobs of this machine need not import torch each. Those of a cluster, and of other environments, start by themselves.
    if (
        workflow.is_main_process
        and workflow.local_exec
        and not workflow.deployment_settings.deployment_method
    ):
        warm.start()


wildcard_constraints:
    **RULES.constraints,
