localrules:
    resolve,


# A run's recipe, and its training. The recipe's digest stands in its address: what the file says cannot change, so its
# time counts for nothing.
rule resolve:
    output:
        f"results/{RUN}/config.json",
    log:
        f"results/{log_pattern('resolve')}",
    conda:
        "../../environment.yml"
    params:
        recipe=RULES.recipe_json,
    shell:
        "exec python -m ddcl write --json {params.recipe:q} --output {output:q} > {log:q} 2>&1"


# The pilot must reach what its sources report before any other run is trained. A checkpoint, as other trainings wait for
# it without having the verdict as an input: what is trained stays, whatever the verdict.
if RULES.pilot:

    localrules:
        gate,

    checkpoint gate:
        input:
            RULES.pilot_records,
        output:
            RULES.verdict,
        log:
            "results/logs/gate.log",
        retries: 0
        conda:
            "../../environment.yml"
        params:
            pilot=RULES.pilot_json,
            results=subpath(output[0], ancestor=2),
        shell:
            "python -m ddcl gate --json {params.pilot:q} --results {params.results:q} --output {output:q}"
            " > {log:q} 2>&1 || {{ cat {log:q} >&2; exit 1; }}"


# The state for resuming lies in RUN/work, on purpose not an output: Snakemake deletes the outputs of a failed job.
rule pretrain:
    input:
        recipe=ancient(f"results/{RUN}/config.json"),
        manifest=RULES.own_manifest,
        pilot=RULES.after_pilot(checkpoints),
    output:
        checkpoint=f"results/{RUN}/checkpoint.pt",
        history=f"results/{RUN}/history.csv",
        summary=f"results/{RUN}/run.json",
    log:
        f"results/{log_pattern('pretrain')}",
    priority: RULES.priority
    conda:
        "../../environment.yml"
    threads: RULES.cpus("pretrain")
    resources:
        **RULES.resources("pretrain"),
    params:
        code=RULES.pretrain_code,
        run=subpath(output.checkpoint, parent=True),
        results=subpath(output.checkpoint, ancestor=6),
    shell:
        "exec python -m ddcl pretrain --run {params.run:q} --results {params.results:q}"
        " --threads {threads} >> {log:q} 2>&1"
