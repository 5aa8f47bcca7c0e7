# Features once per run, then every evaluation on them: all parts and perturbations in one job each.
rule extract:
    input:
        recipe=RUN + "/config.json",
        checkpoint=RUN + "/checkpoint.pt",
        manifest="results/data/{dataset}/manifest.json",
        arrays="results/data/{dataset}/arrays",
    output:
        directory(RUN + "/features"),
    log:
        LOG + "/extract.log",
    benchmark:
        BENCHMARK + "/extract.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
    params:
        run=RUN,
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
            recipe=RUN + "/config.json",
            features=RUN + "/features",
        output:
            record=RUN + f"/{evaluation}.json",
            predictions=RUN + f"/{evaluation}_predictions.npz",
        log:
            LOG + f"/{evaluation}.log",
        benchmark:
            BENCHMARK + f"/{evaluation}.tsv"
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            mem_mb=1000,
        params:
            run=RUN,
            evaluation=evaluation,
            names=list(SUITE.perturbations),
            recipe=SUITE.evaluations[evaluation].model_dump(),
            code=evaluate_digest(SUITE.evaluations[evaluation].protocol),
        shell:
            "exec python -m ddcl evaluate {params.evaluation} --run {params.run} --threads {threads}"
            " --perturbations {params.names} > {log} 2>&1"
