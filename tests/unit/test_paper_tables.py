"""The paper's tables from made-up records: what is in them, what is not, and how published numbers stand beside."""

from __future__ import annotations

import pandas as pd
import pytest

from ddcl.plan.plan import Plan
from ddcl.plan.suite import Suite
from ddcl.report.tables.build import build_table
from ddcl.report.tables.cells import expected_cells
from ddcl.report.tables.printing import layout, to_markdown
from ddcl.report.tables.published import differences
from ddcl.schema.places import CONFIG_DIR
from ddcl.schema.published import read_published
from ddcl.schema.setups import Setup
from ddcl.schema.tables import read_table

BLOCK = {"datasets": ["imagenet100"], "variants": ["ddcl", "simsiam"], "augmentations": ["baug"], "seeds": [0, 1]}
SUITE = {
    "suite": "t",
    "title": "t",
    "description": "t",
    "runs": [
        BLOCK | {"transfer": [{"to": ["cub200"], "evaluations": ["linear_b32", "finetune_b32"]}]},
        BLOCK | {"seeds": [0], "authors": True, "evaluations": ["linear_online", "semi_1pct_authors"]},
    ],
    "evaluations": ["linear", "linear_online", "semi_1pct"],
    "perturbations": ["none", "color", "common_corruptions_3"],
    "draws": 10,
    "random_subsets": {"draws": 5, "dir_frac": 0.8},
    "tables": ["published"],
}
PLAN = Suite(SUITE, "t.yaml").plan


def records(plan: Plan) -> pd.DataFrame:
    """Every cell measured: 0.80, less for perturbed images, more for the best test epoch and for seed 1."""
    none = pd.DataFrame(columns=["value", "sd_draws", "n", "n_draws", "status"])
    keys = [
        "dataset",
        "variant",
        "augmentation",
        "seed",
        "part",
        "evaluation",
        "eval_dataset",
        "perturbation",
        "metric",
    ]
    cells = expected_cells(none.reindex(columns=[*none.columns, *keys]).astype({"seed": int}), plan)
    kinds = list(plan.families)
    place = cells["perturbation"].map({name: 0.01 * i for i, name in enumerate(kinds)}).fillna(0)
    value = 0.80 + 0.02 * cells["seed"] + 0.01 * (cells["metric"] != "top1") - 0.1 * (cells["perturbation"] == "color")
    value -= place
    return cells.assign(value=value, n=5000, n_draws=10, sd_draws=0.004, status="ok")


def table(name: str, frame: pd.DataFrame | None = None) -> pd.DataFrame:
    found = records(PLAN) if frame is None else frame
    return build_table(found, pd.DataFrame(), PLAN, read_table(name))


def test_transfer_is_what_was_tested_elsewhere() -> None:
    frame = table("transfer")
    assert set(frame["eval_dataset"]) == {"cub200"}
    assert set(frame["evaluation"]) == {"linear_b32", "finetune_b32"}
    assert set(frame["metric"]) == {"top1"}
    assert set(frame.loc[frame["evaluation"] == "finetune_b32", "part"]) == {"full"}
    assert set(frame.loc[frame["evaluation"] == "linear_b32", "part"]) == {
        "full",
        "dir",
        "dvr",
        "random_dir",
        "random_dvr",
    }
    assert "cub200" not in set(table("linear")["eval_dataset"])


def test_numbers_selected_on_the_test_split_stand_in_their_own_table_only() -> None:
    for name in ("linear_online", "semi_supervised", "transfer", "robustness", "ablations"):
        frame = table(name)
        assert len(frame)
        assert not frame["metric"].str.contains("best_test").any()
        assert not frame["selection"].str.contains("test").any()
    frame = table("linear_best_test")
    assert set(frame["metric"]) == {"top1_best_test_epoch"}
    assert set(frame["selection"]) == {"best-test-epoch"}
    assert "TEST SPLIT" in read_table("linear_best_test").title


def test_corruptions_are_the_mean_of_all_kinds_per_run() -> None:
    row = table("corruptions").query("variant == 'ddcl' and part == 'full'").iloc[0]
    assert row["mean"] == pytest.approx(100 * (0.81 - 0.01 * 7))  # fifteen kinds, 0 … 14 points down
    assert (row["perturbation"], row["n_seeds"]) == ("common_corruptions_3", 2)
    lost = records(PLAN)
    seed = (lost["seed"] == 0) & (lost["perturbation"] == "common_corruptions_3.fog_3") & (lost["part"] == "full")
    lost.loc[seed & (lost["variant"] == "ddcl"), ["value", "status"]] = [None, "missing"]
    row = table("corruptions", lost).query("variant == 'ddcl' and part == 'full'").iloc[0]
    assert (row["n_seeds"], row["status"]) == (1, "1 of 2 missing")


def test_members_of_a_family_are_in_no_table_that_does_not_name_it() -> None:
    assert set(table("robustness")["perturbation"]) == {"none", "color"}


def test_random_columns_are_not_evaluated_under_members_of_families() -> None:
    frame = records(PLAN)
    random = frame[frame["part"].str.startswith("random")]
    assert set(random["perturbation"]) == {"none", "color"}
    assert set(random["variant"]) == {"ddcl", "ddcl_authors", "simsiam", "simsiam_authors"}


def test_few_labels_fair_and_as_published() -> None:
    frame = table("semi_supervised")
    assert set(zip(frame["evaluation"], frame["variant"], strict=True)) == {
        ("semi_1pct", "ddcl"),
        ("semi_1pct", "simsiam"),
        ("semi_1pct_authors", "ddcl_authors"),
        ("semi_1pct_authors", "simsiam_authors"),
    }


# --- beside published numbers


def test_published_number_measured_value_and_difference_by_hand() -> None:
    """SimSiam, ImageNet-100, BAug: the official README says 81.8, of the best test epoch."""
    frame = table("published")
    chosen = frame[
        (frame["variant"] == "simsiam_authors")
        & (frame["source"] == "DDCL official README")
        & (frame["evaluation"] == "linear_online")
        & (frame["perturbation"] == "none")
    ].set_index("metric")
    wanted = {"source": "DDCL official README", "dataset": "imagenet100", "variant": "simsiam", "augmentation": "baug"}
    wanted |= {"perturbation": "none", "evaluation_kind": "linear", "eval_dataset": "imagenet100"}
    (number,) = (number for number in read_published() if number.model_dump().items() >= wanted.items())
    value = float(number.value_percent)
    assert chosen.loc["published", "mean"] == value
    assert chosen.loc["top1", "mean"] == pytest.approx(80.0)
    assert chosen.loc["top1_best_test_epoch", "mean"] == pytest.approx(81.0)
    assert chosen.loc["difference", "mean"] == pytest.approx(81.0 - value)
    assert set(chosen["differs"]) == {"classes not known"}  # which 100 of ImageNet's


def test_what_differs_is_said() -> None:
    frame = table("published").query("source == 'DDCL official README' and perturbation == 'none'")
    fair = frame[(frame["variant"] == "simsiam") & (frame["part"] == "full")]
    by_evaluation = {name: set(own["differs"]) for name, own in fair.groupby("evaluation")}
    assert by_evaluation["linear_online"] == {"extra warm-up 0, published 30; classes not known"}
    assert by_evaluation["linear"] == {
        "extra warm-up 0, published 30; classes not known; protocol, published linear probe on frozen backbone"
    }
    changes = {
        "source": "a blog",
        "backbone": "ResNet-18",
        "epochs": 800,
        "batch_size": 512,
        "augmentation": "",
        "same_as": "",
        "protocol": "by hand (at night)",
        "selection": "max-over-epochs",
        "setup": Setup(heads="none"),
    }
    number = read_published()[0].model_copy(update=changes)
    values = {"backbone": "ResNet-50", "epochs": 500, "batch_size": 256, "extra_warmup_epochs": 0}
    run = PLAN.runs[0].model_copy(update=values)
    assert differences(number, run, "linear") == (
        "backbone ResNet-50, published ResNet-18; epochs 500, published 800; batch 256, published 512; augmentation; "
        "heads projector 3 × 2048, predictor 512, published none; optimiser not known; normalisation not known; "
        "classes not known; "
        "protocol, published by hand; selection max-over-epochs"
    )


def test_a_missing_measurement_leaves_the_published_number() -> None:
    frame = records(PLAN)
    frame[["value", "status"]] = [None, "missing"]
    found = table("published", frame)
    assert found.loc[found["metric"] == "published", "mean"].notna().all()
    assert found.loc[found["metric"] != "published", "mean"].isna().all()


def test_a_suite_without_published_numbers_says_so() -> None:
    plan = Suite(SUITE | {"runs": [BLOCK | {"datasets": ["digits"], "evaluations": ["knn"]}]}, "t.yaml").plan
    frame = build_table(records(plan), pd.DataFrame(), plan, read_table("published"))
    assert frame.empty
    text = to_markdown(layout(frame, read_table("published"), plan), read_table("published"))
    assert "- nothing in the suite belongs here" in text


def test_every_table_of_the_paper_prints() -> None:
    for name in (
        "linear",
        "linear_online",
        "linear_best_test",
        "transfer",
        "semi_supervised",
        "published",
        "ablations",
    ):
        frame = table(name)
        text = to_markdown(layout(frame, read_table(name), PLAN), read_table(name))
        assert len(text.splitlines()) > 6, name
        assert "nan" not in text


# --- selection

PHRASES = {"train-holdout": "held-out training images", "fixed": "fixed beforehand", "last-epoch": "last epoch"}
FREE_OF_TEST = "othing chosen on"
NAMES = sorted(path.stem for path in (CONFIG_DIR / "tables").glob("*.yaml"))


@pytest.fixture(scope="module")
def everything() -> tuple[Plan, pd.DataFrame]:
    """A plan with every evaluation and nearly every perturbation there is, and its cells."""
    perturbations = sorted(path.stem for path in (CONFIG_DIR / "perturbations").glob("*.yaml"))
    asked = {"perturbations": [name for name in perturbations if name != "common_corruptions"]}  # _3 is there
    asked |= {"random_subsets": {"draws": 20, "dir_frac": 0.8}}
    evaluations = sorted(path.stem for path in (CONFIG_DIR / "evaluations").glob("*.yaml"))
    named = [name for name in evaluations if not name.endswith("_authors") and name != "factors"]
    block = BLOCK | {"evaluations": named, "augmentations": ["baug", "caug"]}
    others = BLOCK | {"evaluations": [name for name in evaluations if name.endswith("_authors")], "authors": True}
    drawn = BLOCK | {"datasets": ["shapes"], "evaluations": ["factors"]}  # whose factors are known
    transfer = {"transfer": [{"to": ["cub200"], "evaluations": ["linear", "linear_b32", "finetune_b32"]}]}
    plan = Suite(SUITE | asked | {"runs": [block | transfer, others, drawn]}, "t.yaml").plan
    return plan, records(plan)


@pytest.mark.parametrize("name", NAMES)
def test_the_title_names_the_selection_rule(name: str, everything: tuple[Plan, pd.DataFrame]) -> None:
    plan, cells = everything
    spec = read_table(name)
    frame = build_table(cells, pd.DataFrame(), plan, spec)
    printed = frame[frame["metric"].isin(spec.print)]
    assert len(printed)
    for rule in set(printed["selection"]):
        if rule in PHRASES:
            wanted = {PHRASES[rule], FREE_OF_TEST, "TEST SPLIT" if spec.kind == "published" else FREE_OF_TEST}
        else:  # best-test-epoch, and whatever published numbers were selected by
            wanted = {"SELECTED ON THE TEST SPLIT"}
        assert any(phrase in spec.title for phrase in wanted), (rule, spec.title)
    if spec.kind != "published":
        assert ("TEST SPLIT" in spec.title) == ("best-test-epoch" in set(printed["selection"]))
