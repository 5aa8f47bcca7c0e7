# Features once per run and data set, then every evaluation: all parts and perturbations in one job each. On a cluster,
# a group is one job; elsewhere Snakemake takes no notice of it.
rule extract:
    input:
        recipe=f"{RUN}/config.json",
        checkpoint=f"{RUN}/checkpoint.pt",
        own_data=f"{DATA}/manifest.json",
        data=f"{EVAL_DATA}/manifest.json",
        splits=f"{EVAL_DATA}/splits",
    output:
        directory(f"{RUN}/on/{{eval_dataset}}/features"),
    log:
        f"{LOG}/extract_{{eval_dataset}}.log",
    benchmark:
        f"{BENCHMARK}/extract_{{eval_dataset}}.tsv"
    group:
        "evaluation"
    conda:
        "../../environment.yml"
    threads: cpus(extract_needs)
    resources:
        **resources(extract_needs),
    params:
        arguments=extract_arguments,
        recipes=feature_recipes,
        code=extract_code,
    shell:
        f"exec python -m ddcl extract --run {RUN_FOLDER}"
        " --eval-dataset {wildcards.eval_dataset}"
        " --threads {threads} {params.arguments} > {log} 2>&1"


# One rule per evaluation of the suite, with its name (linear, knn, …).
for evaluation in SUITE.evaluations:

    rule:
        name:
            evaluation
        input:
            **evaluation_input(evaluation),
        output:
            record=f"{RUN}/on/{{eval_dataset}}/{evaluation}.json",
            predictions=f"{RUN}/on/{{eval_dataset}}/{evaluation}_predictions.npz",
        log:
            f"{LOG}/{evaluation}_{{eval_dataset}}.log",
        benchmark:
            f"{BENCHMARK}/{evaluation}_{{eval_dataset}}.tsv"
        group:
            group_of(evaluation)
        conda:
            "../../environment.yml"
        threads: cpus(evaluate_needs, evaluation)
        resources:
            **resources(evaluate_needs, evaluation),
        params:
            # a parameter, as the command is evaluated when it runs: then the loop has passed
            evaluation=evaluation,
            arguments=evaluate_arguments(evaluation),
            recipe=settings_digest(SUITE.evaluations[evaluation]),
            code=evaluate_digest(SUITE.evaluations[evaluation].protocol),
        shell:
            "exec python -m ddcl evaluate {params.evaluation}"
            f" --run {RUN_FOLDER}"
            " --eval-dataset {wildcards.eval_dataset} --threads {threads} {params.arguments}"
            " > {log} 2>&1"
