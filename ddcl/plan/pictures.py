"""Which runs the pictures of a suite show: for each picture one of every data set that anything is trained on."""

from __future__ import annotations

from collections.abc import Iterable

from ddcl.plan.plan import Plan, PlannedPicture, PlannedRun
from ddcl.schema.pictures import DRAWINGS, read_picture
from ddcl.schema.registry import METHODS


def planned_pictures(pictures: Iterable[str], plan: Plan) -> list[PlannedPicture]:
    """Return what the plan says of the pictures; `plan` needs its runs, its labels and what figures show."""
    planned, datasets = [], dict.fromkeys(run.dataset for run in plan.runs if run.trains)
    for name in pictures:
        config = read_picture(name)
        for dataset in datasets:
            runs = _shown(plan, dataset, DRAWINGS[config.drawing].encoders)
            choice = _choice(plan, runs, DRAWINGS[config.drawing].encoders)
            planned.append(
                PlannedPicture(
                    name=f"{name}_{dataset}",
                    picture=name,
                    dataset=dataset,
                    drawing=config.drawing,
                    settings=config.settings,
                    caption=f"{config.caption} {choice}",
                    alt=config.alt,
                    runs=[run.name for run in runs],
                )
            )
    return planned


def _shown(plan: Plan, dataset: str, encoders: bool) -> list[PlannedRun]:
    """Return the runs that a picture shows: the first seed of each variant, or of each augmentation.

    Of the augmentations, encoders were trained under the last one that figures show; an untrained one has none.
    """
    runs = [run for run in plan.shown if run.dataset == dataset and METHODS[run.method].encodes]
    trained = [run for run in runs if run.trains]
    if not encoders:
        return _firsts(trained, "augmentation")
    last = list(dict.fromkeys(run.augmentation for run in trained))[-1:]
    runs = [run for run in runs if run.augmentation in last or not run.trains]
    return _firsts(runs, "variant")


def _firsts(runs: list[PlannedRun], key: str) -> list[PlannedRun]:
    """Return the first run of each name at a key, in the order of these names."""
    found: dict[str, PlannedRun] = {}
    for run in runs:
        found.setdefault(getattr(run, key), run)
    return list(found.values())


def _choice(plan: Plan, runs: list[PlannedRun], encoders: bool) -> str:
    """Return the sentence that says which of all runs a picture shows."""
    if not runs:
        return "The suite shows no such run."
    seeds = ", ".join(dict.fromkeys(str(run.seed) for run in runs))
    dataset = plan.label("dataset", runs[0].dataset)
    if not encoders:
        return (
            f"{dataset}; images and draws are the first of the first epoch of seed {seeds}, the same for all methods."
        )
    trained = [plan.label("augmentation", run.augmentation) for run in runs if run.trains]
    how = f"trained under {trained[0]}" if trained else "not trained"
    return f"{dataset}, {how}; of each method the first seed ({seeds})."
