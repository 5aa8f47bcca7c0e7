"""The reference pages of the documentation, made from the models, the parser and the registry: nothing is typed twice.

Each function returns the Markdown of a page. `docs/hooks.py` gives them to MkDocs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from ddcl.__main__ import build_parser
from ddcl.help_examples import OF_VERB
from ddcl.plan.networks import Throughput
from ddcl.reference_columns import COLUMNS
from ddcl.schema.claims import ClaimSpec, StatisticsSpec
from ddcl.schema.encoders import EncoderConfig
from ddcl.schema.gates import GateSpec
from ddcl.schema.marks import Mark
from ddcl.schema.metrics import DERIVED, Metric
from ddcl.schema.names import LONGEST_NAME, NAME
from ddcl.schema.ops import OPS
from ddcl.schema.pictures import PictureConfig
from ddcl.schema.registry import EVALUATIONS, METHODS, READERS, Entry
from ddcl.schema.sets import SetsConfig
from ddcl.schema.setups import SetupsConfig
from ddcl.schema.suites import AnyScaleVariant, DatasetConfig, EvaluationConfig, OpsConfig, SuiteConfig, VariantConfig
from ddcl.schema.tables import TableSpec
from ddcl.schema.training import TrainingConfig
from ddcl.schema.tuning import TunedConfig

# What a YAML file may be, where it lies, and its model.
FILES: Sequence[tuple[str, str, type[BaseModel]]] = (
    ("Suite", "config/config.yaml, config/suites/NAME.yaml", SuiteConfig),
    ("Data set", "config/datasets/NAME.yaml", DatasetConfig),
    ("Variant", "config/variants/SCALE/NAME.yaml", VariantConfig),
    ("Training", "key training of a variant, overrides of a suite's block", TrainingConfig),
    ("Variant of every scale", "an entry of config/variants/any.yaml", AnyScaleVariant),
    ("Augmentation or perturbation", "config/augmentations/NAME.yaml, config/perturbations/NAME.yaml", OpsConfig),
    ("Evaluation", "config/evaluations/NAME.yaml", EvaluationConfig),
    ("Table", "config/tables/NAME.yaml", TableSpec),
    ("Claim", "config/claims/NAME.yaml", ClaimSpec),
    ("Gate", "config/gates/NAME.yaml", GateSpec),
    ("Picture", "config/pictures/NAME.yaml", PictureConfig),
    ("Encoder from elsewhere", "config/encoders/NAME.yaml, written by ddcl encoder add", EncoderConfig),
    ("Look of a method", "an entry of config/marks.yaml", Mark),
    ("Sets of names", "config/sets.yaml", SetsConfig),
    ("Statistics", "config/statistics.yaml", StatisticsSpec),
    ("Tuned settings", "config/tuned/NAME.yaml, written by ddcl tune", TunedConfig),
    ("Speeds", "config/throughput.yaml", Throughput),
    ("How published numbers were trained", "config/published_setups.yaml", SetupsConfig),
)
LIMITS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minItems": "at least {} of them",
    "maxItems": "at most {} of them",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "pattern": "pattern `{}`",
}
PATTERNS = {
    f"^{NAME}$": f"a name: letters, digits and `_ . + -`, at most {LONGEST_NAME}",
    r"^\S(.*\S)?$": "one line, without spaces at its ends",
    "^.+$": "not empty",
}


def _row(cells: Iterable[object]) -> str:
    return f"| {' | '.join(str(cell).replace('|', '&#124;').replace(chr(10), ' ') for cell in cells)} |"


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    return [_row(header), _row("---" for _ in header), *map(_row, rows), ""]


def shown_type(schema: Mapping[str, Any]) -> str:
    """Return the type that a JSON schema describes, in words."""
    if "$ref" in schema:
        return f"mapping: {schema['$ref'].rpartition('/')[2]}"
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(shown_type(each) for each in schema[several]))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {shown_type(schema.get('items', {}))}"
    if kind == "object":
        inner = schema.get("additionalProperties")
        return f"mapping of names to {shown_type(inner if isinstance(inner, dict) else {})}"
    return {"integer": "whole number", "string": "text", "boolean": "true or false"}.get(kind, str(kind))


def shown_limits(schema: Mapping[str, Any]) -> str:
    """Return what is allowed, beside the type."""
    inner = [each for several in ("anyOf", "oneOf") for each in schema.get(several, [])]
    inner += [schema["items"]] if isinstance(schema.get("items"), dict) else []
    if schema.get("pattern") in PATTERNS:
        return PATTERNS[schema["pattern"]]
    own = [text.format(schema[key]) for key, text in LIMITS.items() if key in schema]
    return ", ".join(dict.fromkeys([*own, *filter(None, (shown_limits(each) for each in inner))]))


def _keys(schema: Mapping[str, Any]) -> list[str]:
    required, rows = schema.get("required", []), []
    for name, field in schema.get("properties", {}).items():
        default = "needed" if name in required else f"`{json.dumps(field['default'])}`" if "default" in field else ""
        rows.append((f"`{name}`", field.get("description", ""), shown_type(field), shown_limits(field), default))
    if not rows:
        return ["No keys.", ""]
    return _table(("key", "what", "type", "allowed", "default"), rows)


def model_section(title: str, where: str, model: type[BaseModel], level: int = 2) -> list[str]:
    """Return a model's keys, and those of the models in it; units stand in the keys' names and descriptions."""
    schema = model.model_json_schema()
    lines = [f"{'#' * level} {title}", "", *([f"{where}.", ""] if where else []), *_keys(schema)]
    for name, nested in schema.get("$defs", {}).items():
        if "properties" in nested:
            lines += [f"**{name}**", "", *_keys(nested)]
    return lines


def yaml_page() -> str:
    """Return the page of all YAML keys."""
    text = "An unknown key is an error. Names end in the unit where they have one."
    lines = ["# Every key of the YAML files", "", text, ""]
    for title, where, model in FILES:
        lines += model_section(title, where, model)
    registries: Sequence[tuple[str, str, Mapping[str, Entry]]] = (
        ("Settings of methods", "Key settings of a variant, by its method", METHODS),
        ("Settings of protocols", "Key settings of an evaluation, by its protocol", EVALUATIONS),
        ("Settings of readers", "Key settings of a data set, by its reader", READERS),
    )
    for title, where, entries in registries:
        lines += [f"## {title}", "", f"{where}.", ""]
        for name, entry in entries.items():
            lines += model_section(f"`{name}`", "", entry.settings, 3)
    lines += ["## Settings of image operations", "", "In the list ops of an augmentation or perturbation.", ""]
    for name, operation in OPS.items():
        lines += model_section(f"`{name}`", "", operation.settings, 3)
    return "\n".join(lines)


def verb_parsers(parser: argparse.ArgumentParser, before: str = "") -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each verb, by what is typed: ``plan``, ``encoder add``."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                found |= verb_parsers(inner, f"{before}{name} ") or {f"{before}{name}": inner}
    return found


def commands_page() -> str:
    """Return the page of all verbs of the command line."""
    text = "Exit status: 0 done, 2 invalid input (a one-line message), 75 rerun to resume."
    lines = ["# Every command", "", text, ""]
    for verb, parser in verb_parsers(build_parser()).items():
        lines += [f"## ddcl {verb}", "", parser.description or "", ""]
        rows = [
            (f"`{', '.join(action.option_strings) or action.metavar or action.dest}`", action.help or "")
            for action in parser._actions
            if action.dest != "help"
        ]
        lines += _table(("argument", "what"), rows) if rows else []
        lines += ["```sh", *OF_VERB[verb], "```", ""]
    return "\n".join(lines)


def metrics() -> list[Metric]:
    """Return all metrics: those of each protocol with its default settings, and those that tables compute."""
    found = {metric.name: metric for entry in EVALUATIONS.values() for metric in entry.metrics}
    return [*(found | {metric.name: metric for metric in DERIVED}).values()]


def metrics_page() -> str:
    """Return the page of all metrics."""
    rows = [
        (
            f"`{metric.name}`",
            metric.heading,
            metric.unit or "none",
            metric.decimals,
            metric.better or "",
            "" if metric.chance is None else metric.chance,
        )
        for metric in metrics()
    ]
    text = (
        "Shares are fractions in files and percent in printed tables. An evaluation with other settings may have more."
    )
    return "\n".join(
        [
            "# Every metric",
            "",
            text,
            "",
            *_table(("metric", "printed as", "unit", "decimals", "better", "chance"), rows),
        ]
    )


def columns_page() -> str:
    """Return the page of the columns of the tables' CSV files."""
    rows = [(f"`{name}`", what) for name, what in COLUMNS.items()]
    text = "Each file has those of them that it needs; in the tables of accuracies a row is a cell and a metric."
    return "\n".join(["# Columns of the tables", "", text, "", *_table(("column", "what"), rows)])


PAGES = {
    "reference/yaml.md": yaml_page,
    "reference/commands.md": commands_page,
    "reference/metrics.md": metrics_page,
    "reference/columns.md": columns_page,
}
