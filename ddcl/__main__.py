"""The command line: one verb per stage, each usable without Snakemake (`ddcl.verbs`).

Exit status: 0 done, 1 a defect of the suite (with a traceback), 2 wrong input, or what the machine does not give (one
line that says what and where), 75 not done and nothing lost: interrupted by a signal with the state saved, or another
process is at the same work, 130 ended by Ctrl-C with nothing to save, 141 nobody reads the output any more.
(Where torchrun starts several processes, its own status 1 takes the place of all but the first two.)
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ddcl import encoder_verbs, verbs, warm
from ddcl.argument_types import above_zero, correlation, count, minutes, natural, positive, seed, share
from ddcl.base.checkout import told_of_folder
from ddcl.base.errors import TemporaryError, UserError, explained, visible
from ddcl.base.interrupt import MINUTES
from ddcl.base.version import VERSION
from ddcl.help_examples import GENERAL, epilog, verb_parser

Options = dict[str, Any]
PATH: Options = {"type": Path}
RESULTS: Options = {"type": Path, "default": Path("results"), "help": "folder of all results (default: results)"}
RUN: Options = {
    "type": Path,
    "required": True,
    "help": "the run's folder, or its name in the plan: DATASET/VARIANT/AUGMENTATION/seedN",
}
THREADS: Options = {
    "type": count,
    "default": 1,
    "help": "CPU threads, and processes that decode images (default: 1)",
}
CHECKPOINT_MINUTES: Options = {
    "type": minutes,
    "default": os.environ.get("DDCL_CHECKPOINT_MINUTES", str(MINUTES)),
    "help": "save the state of a training this often (default: the environment's DDCL_CHECKPOINT_MINUTES, else 10)",
}
DEVICE: Options = {
    "choices": ["auto", "cpu", "cuda"],
    "default": "auto",
    "help": "where to compute; if there are several GPUs, on a free one (default: auto)",
}
NAMES: Options = {"nargs": "+", "required": True, "help": "names in config/perturbations"}
SUITE: Options = {
    "default": verbs.DEFAULT_SUITE,
    "help": "suite file, or name in config/suites (default: config/config.yaml)",
}
EVAL_DATASET: Options = {"help": "name in config/datasets (default: the data set that the run was trained on)"}
DATA_ROOT: Options = {**PATH, "help": "folder with the data sets (default: the environment's DDCL_DATA, else data)"}
SUBSETS: Options = {"type": natural, "default": 0, "help": "random sets of columns, as controls for width (default: 0)"}
DIR_FRAC: Options = {"type": share, "default": 0.8, "help": "share of the features in random_dir (default: 0.8)"}
PARTIAL: Options = {"action": "store_true", "help": "write what exists; list and mark what is missing"}
ANY: Options = {"nargs": "*"}
JSON: Options = {"action": "store_true", "help": "print one JSON object, for scripts"}
NO_DOWNLOAD: Options = {"action": "store_true", "help": "use only files that are there already, never the network"}


def _name(what: str) -> Options:
    return {"metavar": "NAME", "help": what}


def _dashed(options: dict[str, Options]) -> dict[str, Options]:
    """Return the options with the names that they have on the command line; those with a metavar are positional."""
    return {name if "metavar" in option else f"--{name.replace('_', '-')}": option for name, option in options.items()}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs; a verb's help is its function's docstring."""
    parser = argparse.ArgumentParser(
        prog="ddcl",
        description="Benchmark of Distortion-Disentangled Contrastive Learning.",
        epilog=f"{epilog(GENERAL)}\n\n`ddcl VERB --help` explains each command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ddcl {VERSION}")
    subparsers = parser.add_subparsers(required=True, metavar="VERB")

    def verb(function: Callable[[argparse.Namespace], None], **options: Options) -> None:
        sub = verb_parser(subparsers, function.__name__.rstrip("_"), function)
        for name, option in _dashed(options).items():
            sub.add_argument(name, **option)

    verb(verbs.init, folder={**_name("folder to write, new or empty"), **PATH, "metavar": "FOLDER"})
    dataset = _name("name in config/datasets")
    verb(
        verbs.prepare,
        dataset=dataset,
        output={**PATH, "help": "folder to write"},
        data_root=DATA_ROOT,
        no_download=NO_DOWNLOAD,
        results=RESULTS,
    )
    verb(
        verbs.resolve, suite=SUITE, results=RESULTS, check={"action": "store_true", "help": "check only, write nothing"}
    )
    verb(
        verbs.plan,
        suite=SUITE,
        data_root=DATA_ROOT,
        results=RESULTS,
        effect={"type": above_zero, "help": "difference of two accuracies to detect, in points"},
        sd={"type": above_zero, "help": "standard deviation of an accuracy over seeds, in points (default: measured)"},
        pairs_correlation={
            "type": correlation,
            "help": "correlation of two methods over the same seeds (default: measured)",
        },
        power={"type": share, "help": "probability of detecting it (default: from config/statistics.yaml)"},
        json=JSON,
    )
    shown = "suite file, or name in config/suites (default: that of the results, else config/config.yaml)"
    verb(verbs.status, suite={"help": shown}, results=RESULTS, json=JSON)
    verb(verbs.schema)
    verb(
        verbs.write,
        json={"required": True, "help": "a recipe as JSON, or - for a plan from standard input"},
        output={**PATH, "required": True, "help": "file to write"},
    )
    verb(
        verbs.gate,
        json={"required": True, "help": "the pilot as JSON"},
        results=RESULTS,
        output={**PATH, "required": True, "help": "file to write"},
    )
    verb(
        verbs.subset,
        dataset=dataset,
        name={"required": True, "help": "name of the list, such as 1pct"},
        per_class={"type": positive, "required": True, "help": "images to draw of each class"},
        available={"type": positive, "required": True, "help": "number of images that every class has at least"},
        seed={"type": seed, "default": 0, "help": "seed of the draw (default: 0)"},
    )
    verb(
        verbs.pretrain, run=RUN, results=RESULTS, device=DEVICE, threads=THREADS, checkpoint_minutes=CHECKPOINT_MINUTES
    )
    verb(
        verbs.extract,
        run=RUN,
        eval_dataset=EVAL_DATASET,
        results=RESULTS,
        perturbations=NAMES,
        draws={"type": count, "default": 1, "help": "seeded draws of each random perturbation (default: 1)"},
        device=DEVICE,
        threads=THREADS,
    )
    verb(
        verbs.evaluate,
        evaluation=_name("name in config/evaluations"),
        run=RUN,
        eval_dataset=EVAL_DATASET,
        results=RESULTS,
        perturbations=NAMES,
        features={**PATH, "help": "folder of stored features (default: the only one that has these perturbations)"},
        subsets=SUBSETS,
        dir_frac=DIR_FRAC,
        device=DEVICE,
        threads=THREADS,
        checkpoint_minutes=CHECKPOINT_MINUTES,
    )
    verb(
        verbs.diagnose,
        features={**PATH, "metavar": "FILE", "help": "npz file with features [N, D] and what is known of the images"},
        output={**PATH, "help": "CSV file to write"},
        subsets={**SUBSETS, "default": 20, "help": "random sets of columns, as controls for each part (default: 20)"},
        seed={"type": seed, "default": 0, "help": "seed of the rows and columns that are drawn (default: 0)"},
    )
    encoder_verbs.add_parsers(subparsers)
    verb(
        verbs.doctor,
        dataset={
            "default": "cifar10",
            "help": "data set whose network is tried, on its images if prepared (default: cifar10)",
        },
        results=RESULTS,
        variant={"default": "ddcl", "help": "name in config/variants (default: ddcl)"},
        augmentation={"default": "caug", "help": "name in config/augmentations (default: caug)"},
        device=DEVICE,
        threads=THREADS,
        json=JSON,
    )
    verb(verbs.collect, results=RESULTS, partial=PARTIAL)
    verb(verbs.table, names=_name("names of the suite's tables (default: all)") | ANY, results=RESULTS)
    verb(
        verbs.trace,
        table=_name("CSV below <results>/tables") | PATH,
        row={"type": positive, "help": "row of the table; the first below the header is 1"},
        all={"action": "store_true", "help": "every row"},
    )
    verb(
        verbs.export,
        output={**PATH, "help": "archive to write (default: SUITE.zip)"},
        checkpoints={"action": "store_true", "help": "include the trained encoders, which are large"},
        results=RESULTS,
    )
    verb(
        verbs.snapshot,
        folder=_name("folder to write: a new one, or that of an earlier snapshot") | PATH,
        results=RESULTS,
    )
    verb(verbs.import_, archive=_name("archive of `ddcl export`") | PATH, results=RESULTS)
    side = "results folder, snapshot or archive of `ddcl export`"
    verb(
        verbs.compare,
        a={**_name(side), **PATH, "metavar": "A"},
        b={**_name(side), **PATH, "metavar": "B"},
        output={**PATH, "help": "CSV file to write, with one row per cell that both have"},
    )
    verb(
        verbs.site,
        sources={**_name("results folders, snapshots or archives of `ddcl export`"), **PATH, "nargs": "+"},
        output={**PATH, "required": True, "help": "folder to write; an existing site is replaced"},
    )
    verb(verbs.adopt, results=RESULTS)
    verb(
        verbs.clean,
        unused={"action": "store_true", "help": "runs, features, records, data, logs and costs that no plan needs"},
        yes={"action": "store_true", "help": "do not ask before deleting"},
        results=RESULTS,
    )
    verb(verbs.claims, results=RESULTS, json=JSON)
    verb(verbs.tune, results=RESULTS)
    verb(verbs.figure, names=_name("names of the suite's figures (default: all)") | ANY, results=RESULTS)
    verb(
        verbs.picture,
        names=_name("PICTURE_DATASET, names of the suite's pictures (default: all)") | ANY,
        results=RESULTS,
        device=DEVICE,
        threads=THREADS,
    )
    verb(verbs.report, results=RESULTS)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may be no text, or not in the terminal's set
    try:
        return _ended(argv)
    except BrokenPipeError:
        _let_go_of_output()
        return 141
    except OSError as error:  # of writing to standard output: a full disk behind it
        _let_go_of_output()
        print(f"ddcl: error: standard output: {explained(error)}", file=sys.stderr)
        return 2


def _ended(argv: Sequence[str] | None) -> int:
    """Run one verb and say how it ended; what standard output says when it is written out is raised."""
    said, status = "", 0
    try:
        args = build_parser().parse_args(argv)
        if told := told_of_folder(Path.cwd()):
            print(f"ddcl: warning: {told}", file=sys.stderr)
        args.function(args)
    except UserError as error:
        said, status = f"ddcl: error: {visible(str(error))}", 2
    except TemporaryError as error:
        said, status = f"ddcl: {error}", 75
    except KeyboardInterrupt:
        said, status = "ddcl: interrupted; rerun the command to start from its beginning", 130
    except BrokenPipeError:
        raise
    except (OSError, MemoryError, RuntimeError) as error:
        if not explained(error):
            raise
        said, status = f"ddcl: error: {explained(error)}", 2
    finally:
        if sys.stdout:
            sys.stdout.flush()
    if said:
        print(said, file=sys.stderr)
    return status


def _let_go_of_output() -> None:
    """Lead standard output nowhere, so that Python's end does not try to write there again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    status = warm.run(sys.argv[1:])
    sys.exit(main() if status is None else status)
