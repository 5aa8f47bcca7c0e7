"""What each column of the CSV files in results/tables means: results/tables/README.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

KEYS = {
    "dataset": "data set of pretraining",
    "variant": "method with all its numbers",
    "augmentation": "of pretraining",
    "part": "columns of the features: all (full), DIR, DVR, or as many random ones",
    "evaluation": "protocol with all its numbers",
    "eval_dataset": "data set that the evaluation trains and tests its classifier on",
    "perturbation": "of the test images; none: clean",
    "seen": "whether pretraining’s augmentation has all operations of the perturbation: clean, seen or unseen",
    "selection": "how hyperparameters were chosen",
    "metric": "what was measured",
    "unit": "of mean, sd and difference",
}
CELLS = KEYS | {
    "mean": "over the seeds that have a value",
    "sd": "sample standard deviation over seeds (ddof = 1); empty for one seed",
    "n_seeds": "seeds that have a value",
    "seeds_expected": "seeds that the suite plans",
    "n_draws": "random draws of the perturbation, or of random columns, whose mean a seed’s value is",
    "sd_draws": "standard deviation over these draws, mean over seeds",
    "n_images": "test images",
    "status": "ok, or how many seeds are missing, failed, collapsed or diverged",
    "code": "empty, or that other code than this checkout’s made it",
    "baseline": "variant that the cell is set against, same in all other columns; DIR against its whole features",
    "difference": "cell minus baseline, mean over paired seeds; points where the unit is %",
    "ci_low": "lower end of the 95 % interval of the difference or effect",
    "ci_high": "upper end",
    "p": "of no difference, not corrected",
    "p_holm": "p after Holm’s correction: over the table, over the family of a comparison, or over deciding checks",
    "n_pairs": "seeds that cell and baseline both have",
    "emphasis": "better or worse than the baseline (p_holm below 0.05), else empty",
}
PUBLISHED = {
    "source": "of the published number; of a claim: where the paper makes it",
    "locator": "exact place in the source",
    "published_protocol": "how it was measured there",
    "protocol_matches": "yes where nothing is known to differ",
    "differs": "in what the two experiments are known to differ",
    "note": "what else must be known",
}
CLAIMS = {
    "claim": "name of the claim and form: a asymmetric, b symmetric",
    "form": "asymmetric (the paper’s) or symmetric",
    "verdict": "by the rule of docs/statistics.md",
    "statement": "what would be true if it held",
    "effect": "positive in favour of the claim, pooled over comparisons",
    "n_comparisons": "comparisons that the effect is pooled over",
    "smallest_effect": "the smallest that matters, in the unit",
    "minimum_detectable_effect": "that this evidence would have found with 80 % power",
    "seeds_needed": "to find the smallest that matters; inf: more test images are needed",
    "check": "falsifiable statement of the claim",
    "decides": "whether the verdict rests on it",
    "ci_method": "how the interval was made",
    "gate": "state of the gates of the arms; in claim_gates.csv the gate’s name",
    "comparison": "check and number",
    "treatment": "arm that the claim says is better",
    "control": "arm that it is compared with",
    "arm": "data set, variant and augmentation of the gate",
    "state": "passed, failed or undecided",
    "least": "points that the mean must reach",
    "reference": "published accuracy that must be reached, percent",
    "reported_value": "the paper’s value of the same difference, points",
}
COLUMNS = CELLS | PUBLISHED | CLAIMS


def dictionary(files: Mapping[str, Sequence[str]]) -> str:
    """Return the Markdown of README.md. files: the columns of each CSV file, in order."""
    rows = "Made by `ddcl report`. One row per cell and metric, claim, check, comparison or gate."
    lines = ["# What the columns mean", "", rows]
    used = dict.fromkeys(name for columns in files.values() for name in columns)
    lines += ["", "| column | meaning | in |", "|---|---|---|"]
    for name in used:
        own = [file for file, columns in files.items() if name in columns]
        where = "all" if len(own) == len(files) else ", ".join(f"`{file}`" for file in own)
        lines.append(f"| `{name}` | {COLUMNS[name]} | {where} |")
    return "\n".join(lines) + "\n"
