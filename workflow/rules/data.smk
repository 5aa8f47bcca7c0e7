# From a data set's own files to arrays and a manifest. The only rule that may touch the network.
rule prepare:
    output:
        manifest=f"results/{DATA}/manifest.json",
        splits=directory(f"results/{DATA}/splits"),
    log:
        f"results/logs/{DATA}/prepare.log",
    conda:
        "../../environment.yml"
    threads: RULES.cpus("prepare")
    resources:
        **RULES.resources("prepare"),
    params:
        dataset=RULES.dataset,
        folder=subpath(output.manifest, parent=True),
        code=RULES.data_code,
    shell:
        "exec python -m ddcl prepare {params.dataset} --output {params.folder:q} > {log:q} 2>&1"
