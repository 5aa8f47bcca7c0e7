# Features once per run, then every evaluation on them: all parts and perturbations in one job each.
rule extract:
    input:
        recipe=f"{RUN}/config.json",
        checkpoint=f"{RUN}/checkpoint.pt",
        manifest="results/data/{dataset}/manifest.json",
        arrays="results/data/{dataset}/arrays",
    output:
        directory(f"{RUN}/features"),
    log:
        f"{LOG}/extract.log",
    benchmark:
        f"{BENCHMARK}/extract.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        run=run_folder,
        names=list(SUITE.perturbations),
        recipes=perturbation_recipes,
        code=extract_code,
    shell:
        "exec python -m ddcl extract --run {params.run} --manifest {input.manifest} --threads {threads}"
        " --perturbations {params.names} > {log} 2>&1"


# One rule per evaluation of the suite, with its name (linear, knn, …).
for evaluation in SUITE.evaluations:

    rule:
        name:
            evaluation
        input:
            recipe=f"{RUN}/config.json",
            features=f"{RUN}/features",
        output:
            record=f"{RUN}/{evaluation}.json",
            predictions=f"{RUN}/{evaluation}_predictions.npz",
        log:
            f"{LOG}/{evaluation}.log",
        benchmark:
            f"{BENCHMARK}/{evaluation}.tsv"
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            mem_mb=1000,
        params:
            run=run_folder,
            evaluation=evaluation,
            names=list(SUITE.perturbations),
            recipe=SUITE.evaluations[evaluation].model_dump(),
            code=evaluate_digest(SUITE.evaluations[evaluation].protocol),
        shell:
            "exec python -m ddcl evaluate {params.evaluation} --run {params.run} --threads {threads}"
            " --perturbations {params.names} > {log} 2>&1"
