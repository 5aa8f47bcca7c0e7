localrules:
    resolve,


# A run's recipe, and its training. The recipe is a file of its own, so that only its changes retrain.
rule resolve:
    output:
        f"{RUN}/config.json",
    log:
        f"{LOG}/resolve.log",
    conda:
        "../../environment.yml"
    params:
        recipe=recipe_json,
    shell:
        "exec python -m ddcl write --json {params.recipe:q} --output {output} > {log} 2>&1"


# The state for resuming lies in RUN/work, on purpose not an output: Snakemake deletes the outputs of a failed job.
rule pretrain:
    input:
        recipe=f"{RUN}/config.json",
        manifest=f"{DATA}/manifest.json",
        splits=f"{DATA}/splits",
    output:
        checkpoint=f"{RUN}/checkpoint.pt",
        history=f"{RUN}/history.csv",
        summary=f"{RUN}/run.json",
    log:
        f"{LOG}/pretrain.log",
    benchmark:
        f"{BENCHMARK}/pretrain.tsv"
    conda:
        "../../environment.yml"
    threads: cpus(pretrain_needs)
    resources:
        **resources(pretrain_needs),
    params:
        code=pretrain_code,
    shell:
        f"exec python -m ddcl pretrain --run {RUN_FOLDER}"
        " --threads {threads} >> {log} 2>&1"
