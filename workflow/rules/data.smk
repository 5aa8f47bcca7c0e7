# From a data set's own files to arrays and a manifest. The only rule that may touch the network.
rule prepare:
    output:
        manifest=f"{DATA}/manifest.json",
        splits=directory(f"{DATA}/splits"),
    log:
        "results/logs/{dataset}/prepare.log",
    conda:
        "../../environment.yml"
    threads: cpus(prepare_needs)
    resources:
        **resources(prepare_needs),
    params:
        recipe=dataset_recipe,
        code=prepare_code,
    shell:
        "exec python -m ddcl prepare {wildcards.dataset} > {log} 2>&1"
