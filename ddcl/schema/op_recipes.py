"""Augmentations and perturbations: lists of image operations with all their numbers, and the families of perturbations.

Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

from pydantic import BaseModel, Field

from ddcl.base.errors import UserError, check_name
from ddcl.base.yaml_files import Model, merge, parse, read_yaml
from ddcl.schema.identity import identity
from ddcl.schema.names import CLEAN, NO_AUGMENTATION, check_word
from ddcl.schema.ops import build_settings
from ddcl.schema.places import config_names, config_path
from ddcl.schema.suites import OpsConfig


class OpRecipe(Model):
    """One image operation with all its numbers."""

    op: str
    settings: dict[str, Any]

    def identity(self) -> dict[str, object]:
        """Return what digests are made of."""
        return {"op": self.op, "settings": identity(build_settings(self.op, self.settings, self.op))}


class PerturbationRecipe(Model):
    """A fixed recipe for test images."""

    perturbation: str
    ops: list[OpRecipe]
    draws: int = 1
    # Of a member of a family: whose it is, and the number in which the members differ, if it is one. What the member is
    # called, not what it does, so it is not part of what is compared.
    family: str | None = Field(default=None, exclude=True)
    strength: float | None = Field(default=None, exclude=True)

    def identity(self) -> dict[str, object]:
        """Return what digests are made of."""
        return identity(self) | {"ops": [item.identity() for item in self.ops]}


def read_ops(
    kind: str, name: str, overrides: dict[str, dict[str, Any]], chain: tuple[str, ...] = ()
) -> tuple[str, list[OpRecipe]]:
    """Return label and operations of config/`kind`/`name`.yaml (`kind`: augmentations or perturbations)."""
    path = config_path(kind, name)
    if name in chain:
        raise UserError(f"{path}: circular base: {' -> '.join((*chain, name))}")
    config = parse(OpsConfig, read_yaml(path), str(path))
    ops: list[OpRecipe] = []
    if (kind, name) == ("augmentations", NO_AUGMENTATION):
        raise UserError(f"{path}: rename it: {NO_AUGMENTATION} is the augmentation of runs that do not train")
    if config.family:
        raise UserError(f"{path}: a family stands for several perturbations; it has no operations of its own")
    if config.base is None and config.remove:
        raise UserError(f"{path}: remove: there is no base to remove {config.remove} from")
    if config.base is not None:
        ops = read_ops(kind, config.base, {}, (*chain, name))[1]
        for op in config.remove:
            check_name("operation to remove", op, [item.op for item in ops], f"{path}: remove")
        ops = [item for item in ops if item.op not in config.remove]
    for index, entry in enumerate(config.ops):
        if len(entry) != 1:
            raise UserError(f"{path}: ops.{index}: expected one operation per item, found {sorted(entry)}")
        ((op, values),) = entry.items()
        ops.append(OpRecipe(op=op, settings=values))
    if (name == CLEAN) != (not ops):
        wanted = "no operation: it leaves images as they are" if name == CLEAN else "at least one operation"
        raise UserError(f"{path}: ops: expected {wanted}, found {[item.op for item in ops]}")
    return config.label, [_complete(item, overrides, str(path)) for item in ops]


def on_images(recipe: PerturbationRecipe, overrides: dict[str, dict[str, Any]]) -> PerturbationRecipe:
    """Return a perturbation as it is for the images of a data set that has these overrides.

    The settings in which the members of a family differ stay as they are.
    """
    own = _lists_of(recipe.family, _read_ops_config("perturbations", recipe.family))[1] if recipe.family else {}
    others = {op: {key: value for key, value in given.items() if key not in own} for op, given in overrides.items()}
    ops = [_complete(item, others, recipe.perturbation) for item in recipe.ops]
    return recipe.model_copy(update={"ops": ops})


def _complete(item: OpRecipe, overrides: dict[str, dict[str, Any]], where: str) -> OpRecipe:
    """Return the operation with overrides and all defaults filled in, checked."""
    values = merge(item.settings, overrides.get(item.op, {}), f"{where}: {item.op}.")
    settings: BaseModel = build_settings(item.op, values, where)
    return OpRecipe(op=item.op, settings=settings.model_dump())


def _read_ops_config(kind: str, name: str) -> OpsConfig:
    path = config_path(kind, name)
    return parse(OpsConfig, read_yaml(path), str(path))


def read_perturbations(name: str, draws: int = 1) -> dict[str, tuple[str, PerturbationRecipe]]:
    """Return label and recipe of the perturbation `name`, by name; a family gives one for each combination.

    draws: of a perturbation with operations; members of a family are drawn once.
    """
    config = _read_ops_config("perturbations", name)
    if not config.family:
        label, ops = read_ops("perturbations", name, {})
        return {name: (label, PerturbationRecipe(perturbation=name, ops=ops, draws=draws if ops else 1))}
    op, lists = _lists_of(name, config)
    where = str(config_path("perturbations", name))
    found: dict[str, tuple[str, PerturbationRecipe]] = {}
    for values in product(*lists.values()):
        item = _complete(OpRecipe(op=op, settings=dict(zip(lists, values, strict=True))), {}, where)
        member = _member_name(name, values)
        check_word(f"{where}: family: member", member)
        if member in found:
            raise UserError(f"{where}: family: {member} is given twice")
        strength = float(values[0]) if len(values) == 1 and isinstance(values[0], int | float) else None
        recipe = PerturbationRecipe(perturbation=member, ops=[item], draws=1, family=name, strength=strength)
        text = " ".join(map(str, values)).replace("_", " ")
        found[member] = (text if any(isinstance(own, str) for own in values) else f"{config.label} {text}", recipe)
    return found


def _lists_of(family: str, config: OpsConfig) -> tuple[str, dict[str, list[Any]]]:
    """Return the operation of a family, and the lists of its settings."""
    lists = config.family
    if config.base is not None:
        lists = merge(_read_ops_config("perturbations", config.base).family, lists, f"{config.base}.yaml: family.")
    if len(lists) != 1 or config.ops or config.remove:
        path = config_path("perturbations", family)
        raise UserError(f"{path}: a family has exactly one operation, and neither ops nor remove")
    ((op, settings),) = lists.items()
    return op, settings


def _member_name(family: str, values: Iterable[Any]) -> str:
    """Return the name of a family's member with these settings; nothing takes it apart again."""
    return f"{family}.{'_'.join(map(str, values))}"


def _families() -> dict[str, str]:
    """Return the family of each member that config/perturbations stands for."""
    found: dict[str, str] = {}
    for family in config_names("perturbations"):
        config = _read_ops_config("perturbations", family)
        if config.family:
            settings = _lists_of(family, config)[1].values()
            found |= {_member_name(family, values): family for values in product(*settings)}
    return found


def perturbation_names() -> list[str]:
    """Return the names of all perturbations, of families, and of their members."""
    return [*config_names("perturbations"), *_families()]


def read_perturbation(name: str, draws: int = 1) -> PerturbationRecipe:
    """Return the recipe of one perturbation, or of one member of a family."""
    single, file = config_names("perturbations"), name
    if name not in single:
        families = _families()
        check_name("perturbation", name, [*single, *families], "config/perturbations")
        file = families[name]
    members, where = read_perturbations(file, draws), str(config_path("perturbations", file))
    if name == file and name not in members:
        first = next(iter(members))
        raise UserError(f"{where}: {name} is a family of {len(members)}; name its members, such as {first}")
    check_name("perturbation", name, members, where)
    return members[name][1]
