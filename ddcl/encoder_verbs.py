"""`ddcl encoder inspect` and `ddcl encoder add`: encoders from elsewhere. Heavy imports happen inside."""

from __future__ import annotations

from argparse import Namespace, _SubParsersAction
from pathlib import Path
from typing import Any

from ddcl.argument_types import pixel_value, positive
from ddcl.help_examples import verb_parser

ROOT = Path("results/encoders")


def inspect(args: Namespace) -> None:
    """Say what is in a file of weights: which layout, which network, what is missing. Nothing in it is executed."""
    from ddcl.encoders.inspect import inspect

    print(inspect(args.file))


def add(args: Namespace) -> None:
    """Convert the encoder in a file of weights, and write config/encoders/NAME.yaml."""
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
    config, path = add(args.name, args.file, told, args.encoder_root)
    stem = f", stem {config.stem}" if config.stem else ""
    left = f"; left out: {', '.join(config.origin.left_out)}" if config.origin.left_out else ""
    print(f"{path}: {config.network}{stem}, {config.feature_dim} features, layout {config.origin.layout}{left}")
    print(f"{config.file}: {config.origin.n_used} tensors, sha256 {config.sha256}")
    print(f"in a suite: encoders: [{args.name}]")


def add_parsers(subparsers: _SubParsersAction[Any]) -> None:
    """Add the parsers of both verbs, below `encoder`."""
    doc = "Encoders from elsewhere: look into a file of weights, or make it an arm of a suite."
    verbs = subparsers.add_parser("encoder", help=doc, description=doc).add_subparsers(required=True, metavar="VERB")
    inspecting, adding = (verb_parser(verbs, f"encoder {each.__name__}", each) for each in (inspect, add))
    file = "checkpoint or file of weights, written by torch.save or as safetensors"
    inspecting.add_argument("file", metavar="FILE", type=Path, help=file)
    option = adding.add_argument
    option("name", metavar="NAME", help="name of the encoder in suites")
    option("file", metavar="FILE", type=Path, help=file)
    option("--layout", help="whose file it is, where that is not clear; `ddcl encoder inspect` lists them")
    option("--network", help="torchvision/NAME or timm/NAME (default: the usual ResNet or ViT of these weights)")
    option("--stem", help="first layers of a ResNet, if file and layout do not tell: 7x7, 3x3, …")
    for name in ("mean", "std"):
        what = f"{name} of each channel, in [0, 1], that images were normalised with (default: as timm or the run says)"
        option(f"--{name}", nargs=3, type=pixel_value, metavar=("R", "G", "B"), help=what)
    option("--side", type=positive, metavar="PX", help="resize images to this side (default: timm's, else as they are)")
    option("--dir-width", type=positive, metavar="N", help="the first N features are DIR, the others DVR")
    option("--label", default="", help="name in tables and figures (default: NAME)")
    option("--source", default="", help="where the file was found; kept in the YAML")
    option("--licence", default="", help="licence of the weights; kept in the YAML")
    option("--with-labels", action="store_true", help="it was trained with labels; tables say so")
    option(
        "--trained-on",
        nargs="+",
        default=[],
        metavar="DATASET",
        help="data sets on whose images it was trained; tables say so",
    )
    option("--encoder-root", type=Path, default=ROOT, help=f"folder of converted weights (default: {ROOT})")
