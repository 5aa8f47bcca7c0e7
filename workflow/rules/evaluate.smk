# Features once per run and data set, then every evaluation: all parts and perturbations in one job each. On a cluster,
# a group is one job; elsewhere Snakemake takes no notice of it.
rule extract:
    input:
        recipe=ancient(f"results/{RUN}/config.json"),
        checkpoint=f"results/{RUN}/checkpoint.pt",
        own_data=RULES.own_manifest,
        data=RULES.eval_manifest,
    output:
        directory(f"results/{FEATURES}"),
    log:
        f"results/{log_pattern('features')}",
    priority: RULES.priority
    group:
        "evaluation"
    conda:
        "../../environment.yml"
    threads: RULES.cpus("extract")
    resources:
        **RULES.resources("extract"),
    params:
        run=subpath(input.recipe, parent=True),
        results=subpath(input.recipe, ancestor=6),
        arguments=RULES.extract_arguments,
        code=RULES.extract_code,
    shell:
        "exec python -m ddcl extract --run {params.run:q} --results {params.results:q}"
        " --eval-dataset {wildcards.eval_dataset} --threads {threads} {params.arguments} > {log:q} 2>&1"


# One rule per evaluation of the suite, with its name (linear, knn, …).
for evaluation in RULES.suite.evaluations:

    rule:
        name:
            evaluation
        input:
            **RULES.evaluation_input(evaluation),
            recipe=ancient(f"results/{RUN}/config.json"),
        output:
            record=f"results/{record_pattern(evaluation)}",
            predictions=f"results/{predictions_of(record_pattern(evaluation))}",
        log:
            f"results/{log_pattern(evaluation)}",
        priority: RULES.priority
        group:
            RULES.group(evaluation)
        conda:
            "../../environment.yml"
        threads: RULES.cpus("evaluate", evaluation)
        resources:
            **RULES.resources("evaluate", evaluation),
        params:
            # parameters, as the command is evaluated when it runs: then the loop has passed
            evaluation=evaluation,
            run=subpath(input.recipe, parent=True),
            results=subpath(input.recipe, ancestor=6),
            arguments=RULES.evaluate_arguments(evaluation),
            code=RULES.evaluate_code(evaluation),
        shell:
            "exec python -m ddcl evaluate {params.evaluation} --run {params.run:q} --results {params.results:q}"
            " --eval-dataset {wildcards.eval_dataset} --threads {threads} {params.arguments} > {log:q} 2>&1"
