"""Which names a cell's keys may have: those that config/ has, whatever the suite at hand has. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ddcl.base.errors import check_name
from ddcl.base.yaml_files import read_yaml
from ddcl.schema.encoders import KIND as ENCODERS
from ddcl.schema.metrics import ACCURACY, OF_TRAINING
from ddcl.schema.names import NO_AUGMENTATION
from ddcl.schema.op_recipes import perturbation_names
from ddcl.schema.places import config_names, config_path
from ddcl.schema.registry import EVALUATIONS, PARTS
from ddcl.schema.variants import authors_name, scales, variant_names

NEIGHBOURS = re.compile(rf"{ACCURACY.name}_k[1-9][0-9]*")  # accuracy with a further number of neighbours
MEASURED = {metric.name for entry in EVALUATIONS.values() for metric in entry.metrics}


def is_measured(metric: str) -> bool:
    """Return whether an evaluation may report the metric."""
    return metric in MEASURED or NEIGHBOURS.fullmatch(metric) is not None or metric in _of_plugins()


def _of_plugins() -> set[str]:
    """Return the metrics of the plugins that evaluations of config/ name."""
    protocols = {read_yaml(config_path("evaluations", name)).get("protocol") for name in config_names("evaluations")}
    plugins = [protocol for protocol in protocols if isinstance(protocol, str) and ":" in protocol]
    return {metric.name for protocol in plugins for metric in EVALUATIONS[protocol].metrics}


def check_known(key: str, names: Iterable[str], where: str) -> None:
    """Raise `UserError` for a name that a cell's key (of `ddcl.schema.tables.Key`) cannot have anywhere."""
    left = [name for name in names if not (key == "metric" and is_measured(name))]
    known = _known(key) if left else []
    for name in left:
        check_name(key, name, known, where)


def _known(key: str) -> list[str]:
    if key == "variant":
        variants = [name for scale in scales() for name in variant_names(scale)]
        return [*variants, *map(authors_name, variants), *config_names(ENCODERS)]
    if key == "metric":
        return [*MEASURED, *_of_plugins(), *(metric.name for metric in OF_TRAINING)]
    if key == "part":
        return list(PARTS)
    if key == "perturbation":
        return perturbation_names()
    names = config_names({"eval_dataset": "datasets"}.get(key, f"{key}s"))
    return [*names, NO_AUGMENTATION] if key == "augmentation" else names
