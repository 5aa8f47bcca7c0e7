# What views, features and neighbours look like: from images and the checkpoints of a few runs. Needs torch, unlike figures.
rule picture:
    input:
        RULES.picture_input,
        plan="results/suite.json",
    output:
        report(
            "results/figures/{picture}.png",
            caption="../report/picture.rst",
            category="Pictures",
            labels={"picture": "{picture}"},
        ),
        "results/figures/{picture}.pdf",
        "results/figures/{picture}.csv",
    log:
        "results/logs/picture_{picture}.log",
    conda:
        "../../environment.yml"
    threads: RULES.cpus("picture")
    resources:
        **RULES.resources("picture"),
    params:
        code=RULES.picture_code,
        results=subpath(output[0], ancestor=2),
    shell:
        "exec python -m ddcl picture {wildcards.picture} --results {params.results:q}"
        " --threads {threads} > {log:q} 2>&1"
