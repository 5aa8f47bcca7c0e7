"""What `ddcl --help` and `ddcl VERB --help` show: the verb's docstring and examples."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter, _SubParsersAction
from collections.abc import Callable
from typing import Any

GENERAL = (
    "ddcl init my_project",
    "ddcl plan --suite cifar10",
    "ddcl status",
    "ddcl trace results/tables/knn.csv --row 3",
)
RUN = "--run digits/ddcl/caug/seed0"
OF_VERB: dict[str, tuple[str, ...]] = {
    "init": ("ddcl init my_project",),
    "prepare": ("ddcl prepare digits", "ddcl prepare cifar10 --data-root /scratch/data --no-download"),
    "resolve": ("ddcl resolve --check --suite cifar10", "ddcl resolve --suite config/suites/smoke.yaml"),
    "plan": ("ddcl plan --suite paper", "ddcl plan --suite cifar10 --effect 0.3", "ddcl plan --suite paper --json"),
    "status": ("ddcl status", "ddcl status --suite paper --json"),
    "schema": ("ddcl schema",),
    "write": ("ddcl write --json '{...}' --output results/runs/digits/ddcl/caug-3e0d3d5c/seed0/config.json",),
    "gate": ("ddcl gate --json '{...}' --output results/pilots/3e0d3d5c.json",),
    "subset": ("ddcl subset cifar10 --name 1pct --per-class 50 --available 5000",),
    "pretrain": (f"ddcl pretrain {RUN}", f"ddcl pretrain {RUN} --device cuda --threads 8"),
    "extract": (f"ddcl extract {RUN} --perturbations none color_rotate",),
    "evaluate": (f"ddcl evaluate knn {RUN} --perturbations none color_rotate",),
    "diagnose": ("ddcl diagnose mine.npz --output mine.csv",),
    "encoder inspect": ("ddcl encoder inspect model.ckpt",),
    "encoder add": (
        "ddcl encoder add mine model.ckpt --mean 0.485 0.456 0.406 --std 0.229 0.224 0.225",
        "ddcl encoder add mine --features train.npz test.npz --dataset digits --perturbed color=color.npz",
    ),
    "encoder images": ("ddcl encoder images digits images --perturbations color color_rotate",),
    "doctor": ("ddcl doctor --dataset digits", "ddcl doctor --dataset cifar10 --threads 8 --json"),
    "collect": ("ddcl collect", "ddcl collect --partial"),
    "table": ("ddcl table", "ddcl table knn robustness"),
    "trace": ("ddcl trace results/tables/knn.csv --row 3", "ddcl trace results/tables/claims.csv --all"),
    "snapshot": ("ddcl snapshot results/snapshots/mine", "ddcl snapshot mine --results old/results"),
    "export": ("ddcl export", "ddcl export --output mine.zip --checkpoints"),
    "import": ("ddcl import mine.zip",),
    "compare": ("ddcl compare results other.zip", "ddcl compare results other.zip --output cells.csv"),
    "site": ("ddcl site results other.zip --output site",),
    "adopt": ("ddcl adopt",),
    "clean": ("ddcl clean --unused",),
    "claims": ("ddcl claims", "ddcl claims --json"),
    "tune": ("ddcl tune",),
    "figure": ("ddcl figure", "ddcl figure knn_curves"),
    "picture": ("ddcl picture", "ddcl picture neighbours_digits"),
    "report": ("ddcl report",),
}


def epilog(lines: tuple[str, ...]) -> str:
    """Return the end of a help text."""
    return "\n".join([f"example{'s' * (len(lines) > 1)}:", *(f"  {line}" for line in lines)])


def verb_parser(subparsers: _SubParsersAction[Any], verb: str, function: Callable[[Namespace], None]) -> ArgumentParser:
    """Add the parser of a verb, whose help is the first line of its function's docstring.

    verb: as in `OF_VERB`; its last word is the parser's name.
    """
    doc = (function.__doc__ or "").partition("\n")[0]  # python -OO leaves none
    raw, examples = RawDescriptionHelpFormatter, epilog(OF_VERB[verb])
    name = verb.rpartition(" ")[2]
    parser: ArgumentParser = subparsers.add_parser(
        name, help=doc, description=doc, epilog=examples, formatter_class=raw
    )
    parser.set_defaults(function=function)
    return parser
