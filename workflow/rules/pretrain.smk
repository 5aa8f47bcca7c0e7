# A run's recipe, and its training. The recipe is a file of its own, so that only its changes retrain.
rule resolve:
    output:
        RUN + "/config.json",
    log:
        LOG + "/resolve.log",
    conda:
        "../../environment.yml"
    params:
        recipe=recipe_json,
    shell:
        "exec python -m ddcl write --json {params.recipe:q} --output {output} > {log} 2>&1"


# The state for resuming lies in RUN/work, on purpose not an output: Snakemake deletes the outputs of a failed job.
rule pretrain:
    input:
        recipe=RUN + "/config.json",
        manifest="results/data/{dataset}/manifest.json",
        arrays="results/data/{dataset}/arrays",
    output:
        checkpoint=RUN + "/checkpoint.pt",
        history=RUN + "/history.csv",
        summary=RUN + "/run.json",
    log:
        LOG + "/pretrain.log",
    benchmark:
        BENCHMARK + "/pretrain.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        run=RUN,
        code=pretrain_code,
    shell:
        "exec python -m ddcl pretrain --run {params.run} --manifest {input.manifest} --threads {threads} >> {log} 2>&1"
