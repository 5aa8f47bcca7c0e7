"""`ddcl encoder inspect` and `ddcl encoder add`: encoders from elsewhere. Heavy imports happen inside."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace, _SubParsersAction
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddcl.argument_types import count, line, pixel_value, positive, seed, side
from ddcl.base.errors import UserError, visible
from ddcl.help_examples import verb_parser

if TYPE_CHECKING:
    from ddcl.schema.encoders import EncoderConfig

ROOT = Path("results/encoders")


def inspect(args: Namespace) -> None:
    """Say what is in a file of weights: which layout, which network, what is missing. Nothing in it is executed."""
    from ddcl.encoders.inspect import inspect

    print(visible(inspect(args.file)))


def add(args: Namespace) -> None:
    """Convert an encoder, or features of one that cannot be loaded, and write config/encoders/NAME.yaml."""
    from ddcl.encoders.add import Told, add

    told = Told(
        layout=args.layout,
        network=args.network,
        stem=args.stem,
        mean=args.mean,
        std=args.std,
        side_px=args.side,
        dir_width=args.dir_width,
        label=args.label,
        source=args.source,
        licence=args.licence,
        with_labels=args.with_labels,
        trained_on=tuple(args.trained_on),
    )
    _check_kind(args)
    if args.features:
        from ddcl.encoders.features import Files, add_features

        files = Files(args.dataset, args.features[0], args.features[1], tuple(args.perturbed))
        config, path = add_features(args.name, files, told, args.encoder_root, args.results)
    else:
        config, path = add(args.name, args.file, told, args.encoder_root)
    _print_added(args.name, config, path)


def images(args: Namespace) -> None:
    """Write a data set's images as evaluations show them, clean and perturbed, for a model that cannot be loaded."""
    from ddcl.encoders.images import write_images
    from ddcl.schema.op_recipes import on_images, read_perturbations
    from ddcl.schema.recipes import read_dataset

    asked = [read_perturbations(name, args.draws) for name in args.perturbations]
    overrides = read_dataset(args.dataset).op_overrides
    perturbations = [on_images(recipe, overrides) for members in asked for _, recipe in members.values()]
    files = write_images(args.dataset, perturbations, args.seed, args.results, args.folder)
    print(f"{args.folder}: {', '.join(file.name for file in files)}")


def _check_kind(args: Namespace) -> None:
    """Raise `UserError` unless the options are those of a file of weights, or those of files of features."""
    command = f"ddcl encoder add {args.name}"
    if bool(args.features) == (args.file is not None):
        found = "both" if args.features else "neither"
        raise UserError(f"{command}: expected FILE, or --features TRAIN TEST; found {found}")
    others = ("layout", "network", "stem", "mean", "std", "side") if args.features else ("dataset", "perturbed")
    given = ", ".join(f"--{name}" for name in others if getattr(args, name))
    if given:
        kind = "--features" if args.features else "a file of weights"
        raise UserError(f"{command}: {given}: means nothing for {kind}; leave it out")
    if args.features and not args.dataset:
        raise UserError(f"{command}: --features: name their data set with --dataset")


def _print_added(name: str, config: EncoderConfig, path: Path) -> None:
    """Say what was read, and what was written."""
    stem = f", stem {config.stem}" if config.stem else ""
    left = f"; left out: {', '.join(config.origin.left_out)}" if config.origin.left_out else ""
    what = f"{config.network}{stem}, {config.feature_dim} features, layout {config.origin.layout}{left}"
    if config.features:
        own = config.features
        draws = ", ".join(f"{each} ({n} draw{'s' if n > 1 else ''})" for each, n in own.draws.items())
        what = f"features of {own.dataset}, width {config.feature_dim}, perturbed: {draws or 'none'}"
        what += f", {own.n_views or 'no'} views"
    print(f"{path}: {what}")
    print(f"{config.file}: {config.origin.n_used} tensors, sha256 {config.sha256}")
    print(f"in a suite: encoders: [{name}]")


def _perturbed(text: str) -> tuple[str, Path]:
    """Return perturbation and file of NAME=FILE."""
    name, equals, file = text.partition("=")
    if not (name and equals and file):
        raise ArgumentTypeError(f"expected PERTURBATION=FILE, found {text[:80]!r}")
    return name, Path(file)


def add_parsers(subparsers: _SubParsersAction[Any]) -> None:
    """Add the parsers of the verbs below `encoder`."""
    doc = "Encoders from elsewhere: inspect a file of weights, or make it an arm of a suite."
    verbs = subparsers.add_parser("encoder", help=doc, description=doc).add_subparsers(required=True, metavar="VERB")
    inspecting, adding = (verb_parser(verbs, f"encoder {each.__name__}", each) for each in (inspect, add))
    _add_options_of_images(verb_parser(verbs, "encoder images", images).add_argument)
    file = "checkpoint or file of weights, written by torch.save or as safetensors"
    inspecting.add_argument("file", metavar="FILE", type=Path, help=file)
    option = adding.add_argument
    option("name", metavar="NAME", help="name of the encoder in suites")
    option("file", metavar="FILE", type=Path, nargs="?", help=file)
    _add_options_of_features(option)
    option("--layout", help="layout of the file, if that is not clear; `ddcl encoder inspect` lists those that fit")
    option("--network", help="torchvision/NAME or timm/NAME (default: the usual ResNet or ViT of these weights)")
    option("--stem", help="first layers of a ResNet, if file and layout do not determine them: 7x7, 3x3, …")
    for name in ("mean", "std"):
        what = f"{name} of each channel, in [0, 1], that images were normalised with (default: as timm or the run says)"
        option(f"--{name}", nargs=3, type=pixel_value, metavar=("R", "G", "B"), help=what)
    option("--side", type=side, metavar="PX", help="resize images to this side (default: timm's, or no resizing)")
    option("--dir-width", type=positive, metavar="N", help="the first N features are DIR, the others DVR")
    option("--label", type=line, default="", help="name in tables and figures (default: NAME)")
    option("--source", type=line, default="", help="where the file was found; kept in the YAML")
    option("--licence", type=line, default="", help="licence of the weights; kept in the YAML")
    option("--with-labels", action="store_true", help="it was trained with labels; tables say so")
    option(
        "--trained-on",
        nargs="+",
        default=[],
        metavar="DATASET",
        help="data sets that it was trained on; tables say so",
    )
    option("--encoder-root", type=Path, default=ROOT, help=f"folder for converted weights (default: {ROOT})")


def _add_options_of_images(option: Callable[..., Any]) -> None:
    """Add the options of `ddcl encoder images`."""
    option("dataset", metavar="DATASET", help="name in config/datasets; must be prepared")
    option("folder", metavar="FOLDER", type=Path, help="folder to write: uint8 [N, 3, S, S] and labels [N] as .npy")
    option("--perturbations", nargs="+", default=[], metavar="NAME", help="perturbations of the test images")
    option("--draws", type=count, default=1, help="draws of each perturbation, as many as in the suite (default: 1)")
    option("--seed", type=seed, default=0, help="seed of the runs whose draws these are (default: 0)")
    option("--results", type=Path, default=Path("results"), help="where the data set was prepared (default: results)")


def _add_options_of_features(option: Callable[..., Any]) -> None:
    """Add the options for features of a model that cannot be loaded."""
    features = "instead of FILE: features of the training and test images, npz files as for `ddcl diagnose`"
    option("--features", nargs=2, type=Path, metavar=("TRAIN", "TEST"), help=features)
    option("--dataset", help="with --features: the data set that they belong to, in the order of its splits")
    perturbed = "features of the test images under a perturbation; repeat a name for further draws"
    option("--perturbed", nargs="+", default=[], type=_perturbed, metavar="NAME=FILE", help=perturbed)
    option("--results", type=Path, default=Path("results"), help="where the data set was prepared (default: results)")
