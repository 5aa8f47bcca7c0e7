# DDCL and its baselines: from images to tables, figures and a report. No logic here; see workflow/rules.
from snakemake.utils import min_version

min_version("9.18")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/pretrain.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/pictures.smk"


rule all:
    default_target: True
    input:
        RULES.targets(),
