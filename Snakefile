# Typing `snakemake` in this folder runs the workflow, which lies where the Snakemake workflow catalogue expects it.
include: "workflow/Snakefile"


workflow.default_target = (
    "all"  # an include leaves what is made by default as it was: nothing
)
