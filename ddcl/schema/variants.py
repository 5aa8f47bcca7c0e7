"""Variants: which there are, and their numbers on top of those that they are based on. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ddcl.base.errors import UserError, check_name, did_you_mean, shown
from ddcl.base.yaml_files import merge, parse, read_yaml
from ddcl.schema.bases import Named, on_its_base
from ddcl.schema.marks import Group
from ddcl.schema.names import check_word
from ddcl.schema.places import config_folders, config_names, existing_files, no_such_file
from ddcl.schema.registry import GIVEN_METHODS, METHODS
from ddcl.schema.suites import AnyScaleVariant, DatasetConfig, VariantConfig
from ddcl.schema.tuning import Setting, read_choices

FOLDER = "variants"
ANY_SCALE = f"{FOLDER}/any.yaml"  # the variants that change something at every scale


def authors_name(name: str) -> str:
    """Return the name of the runs of a variant with the quirks of the official code."""
    return f"{name}_authors"


def scales() -> list[str]:
    """Return the folders of variants."""
    entries = (entry for folder in config_folders() for entry in (folder / FOLDER).glob("*"))
    return sorted({entry.name for entry in entries if entry.is_dir()})


def variant_names(scale: str) -> list[str]:
    """Return the names of all variants that a scale has, its own and those of any scale."""
    return sorted({*config_names(f"{FOLDER}/{scale}"), *_of_any_scale()})


def _of_any_scale() -> dict[str, Named]:
    """Return what config/variants/any.yaml says of each variant; of equal names, that of the folder searched first."""
    found: dict[str, Named] = {}
    for path in existing_files(ANY_SCALE):
        for name, values in read_yaml(path).items():
            check_word("variant", name, str(path))
            found.setdefault(name, Named(f"{path}: {name}", values))
    return found


def _find(scale: str, name: str) -> Named:
    """Return what a variant's YAML says: of the scale, else of any scale."""
    check_word("variant", name)
    relative = f"{FOLDER}/{scale}/{name}.yaml"
    for path in existing_files(relative):
        return Named(str(path), read_yaml(path))
    common = _of_any_scale()
    if name not in common:
        known = did_you_mean(name, variant_names(scale))
        raise UserError(f"{no_such_file(relative)}, and no {name!r} in {ANY_SCALE}{known}")
    where, values = common[name]
    parse(AnyScaleVariant, values, where)
    return common[name]


def variant_label(name: str) -> str:
    """Return how a variant is printed that no run has: its label at any scale that has it, else its name."""
    if name.endswith(authors_name("")):
        return _as_published(variant_label(name.removesuffix(authors_name(""))))
    common = _of_any_scale()
    own = [path for scale in scales() for path in existing_files(f"{FOLDER}/{scale}/{name}.yaml")]
    values = common[name].values if name in common else read_yaml(own[0]) if own else {}
    return str(values.get("label", name))


def _as_published(label: str) -> str:
    return f"{label} (as published)"


def _finder(dataset: DatasetConfig) -> Callable[[str], Named]:
    """Return what finds a variant's own numbers: of its YAML, or what was chosen on the data set in their place."""
    chosen = read_choices(dataset.tuned) if dataset.tuned else {}
    for own in chosen:
        check_name("variant", own, variant_names(dataset.scale), f"config/tuned/{dataset.tuned}.yaml")

    def find(name: str) -> Named:
        found = _find(dataset.scale, name)
        changes = chosen[name].changes if name in chosen else {}
        return Named(found.where, merge(found.values, changes, f"{found.where}: "))

    return find


def read_variant(
    dataset: DatasetConfig,
    name: str,
    overrides: dict[str, Any],
    authors: bool = False,
    setting: Setting | None = None,
) -> VariantConfig:
    """Read and check the variant `name` of the data set's scale.

    Its own numbers are what its YAML says, or what was chosen for it on the data set (`tuned`). On top of them come, in
    this order, what the data set needs otherwise, the variant's `authors` section if `authors` is asked for, a block's
    `overrides` of the training settings, and the `setting` that a tuning suite tries.
    """
    check_name("scale", dataset.scale, scales(), " or ".join(str(folder / FOLDER) for folder in config_folders()))
    where, values = on_its_base(name, _finder(dataset))
    sections = {key: _section(values, key, where) for key in ("training", "authors")}
    sections["training"] = merge(sections["training"], dataset.training_overrides, f"{where}: training.")
    values |= sections
    if authors:
        if not values["authors"]:
            raise UserError(f"{where}: has no section `authors`, but a block with `authors: true` names it")
        values = merge(values, values["authors"], f"{where}: ")
    values["training"] = merge(values["training"], overrides, f"{where}: training.")
    if setting:
        values = merge(values, setting.changes, f"{where}: ") | {"label": f"{values.get('label')}, {setting.text}"}
    full = _with_changes(where, dataset, overrides, setting)
    variant = parse(VariantConfig, values, full)
    METHODS.check(variant.method, where, without=GIVEN_METHODS)
    method = METHODS[variant.method]
    misfit = parse(method.settings, variant.settings, f"{full if setting else where}: settings").misfit(
        variant.training
    )
    if misfit:
        raise UserError(f"{full}: settings.{misfit}")
    if method.trains and not variant.training.epochs:
        raise UserError(f"{full}: training.epochs: {variant.method} is trained, so expected 1 or more, found 0")
    return variant.model_copy(update={"label": _as_published(variant.label)}) if authors else variant


def group_of(dataset: DatasetConfig, name: str, variant: VariantConfig) -> Group:
    """Return the table that a variant belongs to: what its YAML says, else `main` where it is the method itself.

    It is where it has the method's name; of a plugin, whose name no variant can have, where its own YAML names it.
    """
    plugin = ":" in variant.method and "method" in _find(dataset.scale, name).values
    return variant.group or ("main" if plugin or name == variant.method else "ablation")


def _with_changes(where: str, dataset: DatasetConfig, overrides: dict[str, Any], setting: Setting | None) -> str:
    """Return, for messages, where a variant stands and what was changed of it."""
    of_data = f"training_overrides of data set {dataset.label}"
    changed = {of_data: dataset.training_overrides, "the block's overrides": overrides}
    changed |= {setting.text: setting.changes} if setting else {}
    names = " and ".join(name for name, change in changed.items() if change)
    where += f" and config/tuned/{dataset.tuned}.yaml" if dataset.tuned else ""
    return f"{where} with {names}" if names else where


def _section(values: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    """Return the mapping at a key of a variant's YAML; {} where there is none."""
    found = values.get(key) or {}
    if not isinstance(found, dict):
        raise UserError(f"{where}: {key}: expected a mapping of keys to values, found {shown(found)}")
    return found
