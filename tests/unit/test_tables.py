"""Tables whose numbers one can see by hand; what is missing or went wrong must show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ddcl.report.figures.registry import FIGURES
from ddcl.report.tables.build import COLUMNS, build_table
from ddcl.report.tables.convergence import AGAINST, curve_metrics
from ddcl.report.tables.differences import COLUMNS as DIFFERENCES
from ddcl.report.tables.html import to_html
from ddcl.report.tables.latex import tex_escape, to_latex
from ddcl.report.tables.printing import NOTHING, UNSEEN, cell_text, layout, to_markdown, write_table
from ddcl.report.tables.statistics import aggregate, paired_status, status_of
from ddcl.schema.figures import WORDS
from ddcl.schema.tables import RUN, TableSpec, read_table
from tests.unit import synthetic

PLAN = synthetic.suite()
# The tables that the synthetic suite has cells for; the others have tests of their own.
TABLES = ["ablations", "augmentation", "augmentation_ablation", "convergence", "knn", "linear", "robustness"]
TABLES += ["robustness_seen"]


def table(
    name: str, records: pd.DataFrame | None = None, histories: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, TableSpec]:
    spec = read_table(name)
    found = synthetic.records(PLAN) if records is None else records
    curves = synthetic.histories(PLAN) if histories is None else histories
    return build_table(found, curves, PLAN, spec), spec


def of(frame: pd.DataFrame, variant: str, seed: int = 1) -> pd.Series:
    """Which rows are those of a run after BAug."""
    return (frame[RUN] == pd.Series(dict(zip(RUN, ("digits", variant, "baug", seed), strict=True)))).all(axis=1)


def one(frame: pd.DataFrame, **keys: str) -> pd.Series:
    """The single row with the given keys."""
    for key, wanted in keys.items():
        frame = frame[frame[key] == wanted]
    assert len(frame) == 1, frame
    return frame.iloc[0]


def test_figure_names_are_the_figures() -> None:
    assert tuple(FIGURES) == tuple(WORDS)


def test_mean_sd_and_n_by_hand() -> None:
    frame = pd.DataFrame({"key": "a", "value": [0.1, 0.2, 0.3], "n": [10, 10, 10], "status": "ok"})
    row = aggregate(frame, ["key"]).iloc[0]
    assert row["mean"] == pytest.approx(0.2)
    assert row["sd"] == pytest.approx(0.1)  # sample; the population's would be 0.0816
    assert (row["n_seeds"], row["seeds_expected"], row["n_images"], row["status"]) == (3, 3, 10, "ok")


def test_status_counts_what_is_not_ok() -> None:
    assert status_of(["ok", "ok"]) == "ok"
    assert status_of(["ok", "missing"]) == "1 of 2 missing"
    assert status_of(["collapsed", "missing", "missing"]) == "1 of 3 collapsed, 2 of 3 missing"


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_its_columns_and_every_form(name: str, tmp_path: Path) -> None:
    frame, spec = table(name)
    assert list(frame.columns) == COLUMNS
    assert len(frame)
    write_table(frame, spec, PLAN, tmp_path / name)
    again = pd.read_csv(tmp_path / f"{name}.csv", keep_default_na=False)
    assert list(again.columns) == COLUMNS[:-1]  # without the sources
    assert frame["sources"].map(len).all()
    assert again["mean"].astype(float).to_numpy() == pytest.approx(frame["mean"].to_numpy(), abs=1e-4)
    assert spec.title in (tmp_path / f"{name}.md").read_text()
    assert "\\toprule" in (tmp_path / f"{name}.tex").read_text()


def test_accuracy_is_in_percent_over_seeds() -> None:
    frame, _ = table("knn")
    row = one(frame, variant="ddcl", augmentation="baug", part="full", perturbation="none")
    assert (row["mean"], row["sd"]) == pytest.approx((92.0, 100 * 0.04 / np.sqrt(2)))
    assert (row["unit"], row["n_seeds"], row["n_images"], row["selection"]) == ("%", 2, 450, "fixed")


def test_relative_drop_is_per_run_against_its_own_clean_value() -> None:
    frame, _ = table("robustness")
    drops = frame[frame["metric"] == "relative_drop"]
    assert set(drops["perturbation"]) == {"color_rotate"}
    assert drops["mean"].to_numpy() == pytest.approx(50.0)
    assert drops["sd"].to_numpy() == pytest.approx(0.0, abs=1e-9)


def test_change_is_paired_by_seed_and_has_no_floor() -> None:
    frame, _ = table("augmentation")
    changes = frame[frame["metric"] == "change"]
    assert set(changes["augmentation"]) == {"caug"}
    assert changes["mean"].to_numpy() == pytest.approx(-2.0)
    assert changes["sd"].to_numpy() == pytest.approx(0.0, abs=1e-9)  # unpaired it would be 4
    assert set(changes["unit"]) == {"points"}


def test_seen_is_what_pretraining_had() -> None:
    frame, spec = table("robustness")
    seen = {(row["augmentation"], row["perturbation"]): row["seen"] for row in frame.to_dict("records")}
    assert seen == {
        ("baug", "none"): "clean",
        ("baug", "color_rotate"): "unseen",
        ("caug", "none"): "clean",
        ("caug", "color_rotate"): "seen",
        ("none", "none"): "clean",
        ("none", "color_rotate"): "unseen",
    }
    printed = layout(frame, spec, PLAN)
    assert printed.headers == ["clean", "color + rotate"]
    cells = {tuple(labels): [cell.text for cell in cells] for labels, cells in printed.rows}
    assert cells["BAug", "DDCL", "full"] == ["92.0 ± 2.8", "46.0 ± 1.4 °"]
    assert cells["CAug", "DDCL", "full"] == ["90.0 ± 2.8", "45.0 ± 1.4"]
    assert "° unseen: pretraining's augmentation lacks an operation of this distortion" in printed.notes
    assert not any("°" in note for note in layout(frame[frame["seen"] != "unseen"], spec, PLAN).notes)


def test_seen_and_unseen_are_means_of_each_run_and_lack_what_one_member_lacks() -> None:
    name = "color_flip"  # seen by all
    perturbations = [*PLAN.perturbations, name]
    runs = [
        run.model_copy(update={"targets": synthetic.targets(run.parts, perturbations=perturbations)})
        for run in PLAN.runs
    ]
    seen = {augmentation: known | {name: "seen"} for augmentation, known in PLAN.seen.items()}
    plan = PLAN.changed(runs=runs, seen=seen, perturbations=perturbations)
    records = synthetic.records(PLAN)
    flipped = records[records["perturbation"] == "none"].assign(perturbation=name)
    flipped["value"] -= 0.10
    whole = pd.concat([records, flipped])
    spec = read_table("robustness_seen")
    caug = {"variant": "ddcl", "augmentation": "caug", "part": "full", "perturbation": "seen"}
    frame = build_table(whole, synthetic.histories(plan), plan, spec)
    # seed 0: (0.44 + 0.78) / 2 of 0.88 clean, seed 1: (0.46 + 0.82) / 2 of 0.92
    assert one(frame, **caug, metric="top1")["mean"] == pytest.approx(100 * (0.61 + 0.64) / 2)
    drop = 100 * (1 - (0.61 / 0.88 + 0.64 / 0.92) / 2)
    assert one(frame, **caug, metric="relative_drop")["mean"] == pytest.approx(drop)
    baug = caug | {"augmentation": "baug", "perturbation": "unseen"}
    assert one(frame, **baug, metric="top1")["mean"] == pytest.approx(46.0)
    lost = (whole["augmentation"] == "caug") & (whole["seed"] == 1) & (whole["perturbation"] == name)
    frame = build_table(whole[~lost], synthetic.histories(plan), plan, spec)
    row = one(frame, **caug, metric="top1")
    assert (row["mean"], row["n_seeds"], row["status"]) == (pytest.approx(61.0), 1, "1 of 2 missing")


def test_convergence_by_hand() -> None:
    frame, _ = table("convergence")
    chosen = {"variant": "ddcl", "augmentation": "baug"}
    # trapezoids: (.5+.7)/2·2 + (.7+.76)/2·2 + (.76+.9)/2·2 = 4.32, over 6 epochs
    assert one(frame, **chosen, metric="knn_auc")["mean"] == pytest.approx(72.0)
    assert one(frame, **chosen, metric="final_knn_top1")["mean"] == pytest.approx(90.0)
    # against SimSiam's final 0.80: 0.76 is the first that is not below 0.95 · 0.80
    assert one(frame, **chosen, metric="epochs_to_95")["mean"] == 4
    # SimSiam gains 0.3 on its 0.5: 0.77 is reached at 0.90; seconds are as many as epochs in the made-up histories
    assert one(frame, **chosen, metric="epochs_to_90_gain")["mean"] == 6
    assert one(frame, **chosen, metric="seconds_to_95")["mean"] == 4
    assert set(frame.loc[frame["metric"] == "seconds_to_95", "unit"]) == {"s"}
    assert "random_init" not in set(frame["variant"])


def test_a_baseline_that_gains_nothing_is_no_target() -> None:
    histories = synthetic.histories(PLAN)
    flat = of(histories, "simsiam")
    histories.loc[flat & histories["knn_top1"].notna(), "knn_top1"] = 0.5
    row = one(table("convergence", None, histories)[0], variant="ddcl", augmentation="baug", metric="epochs_to_90_gain")
    assert (row["n_seeds"], row["status"]) == (1, "1 of 2 no gain")
    assert "∅" in cell_text(row, PLAN.metrics["epochs_to_90_gain"])


def test_a_curve_that_never_gets_there_has_no_epoch() -> None:
    low = pd.DataFrame({"epoch": [0, 2], "seconds": [0.0, 9.0], "knn_top1": [0.1, 0.2]})
    high = pd.DataFrame({"epoch": [0, 2], "seconds": [0.0, 9.0], "knn_top1": [0.1, 0.9]})
    assert np.isnan(curve_metrics(low, high)["epochs_to_95"])
    assert np.isnan(curve_metrics(None, high)["knn_auc"])


@pytest.mark.parametrize("name", TABLES)
def test_losing_any_one_run_shows_in_every_table_that_it_is_in(name: str) -> None:
    records = synthetic.records(PLAN)
    lost = (records["variant"] == "simsiam") & (records["augmentation"] == "baug") & (records["seed"] == 1)
    records.loc[lost, ["value", "n", "status"]] = [np.nan, 0, "missing"]
    frame, spec = table(name, records)
    rows = frame[(frame["variant"] == "simsiam") & (frame["augmentation"] == "baug")]
    assert len(rows)
    assert set(rows["status"]) == {"1 of 2 missing"}
    text = to_markdown(layout(frame, spec, PLAN), spec)
    assert "- … a seed was not run yet" in text
    assert set(rows["n_seeds"]) == {1}
    assert "(n=1/2)" in text
    whole, _ = table(name)
    untouched = (frame["variant"] != "simsiam") & ~frame["metric"].isin(AGAINST)  # DDCL's are against SimSiam
    apart = DIFFERENCES  # from what it is set against
    pd.testing.assert_frame_equal(frame[untouched].drop(columns=apart), whole[untouched].drop(columns=apart))


def test_a_change_against_a_lost_reference_is_not_silently_dropped() -> None:
    records = synthetic.records(PLAN)
    lost = (records["variant"] == "simsiam") & (records["augmentation"] == "baug")
    records.loc[lost, ["value", "status"]] = [np.nan, "diverged"]
    row = one(table("augmentation", records)[0], variant="simsiam", metric="change", evaluation="knn")
    assert (row["n_seeds"], row["status"]) == (0, "2 of 2 diverged")


@pytest.mark.parametrize("name", ["linear", "knn", "robustness", "augmentation"])
def test_a_row_that_is_not_even_in_the_records_shows(name: str) -> None:
    records = synthetic.records(PLAN)
    frame, _ = table(name, records[~of(records, "simsiam")])
    rows = frame[(frame["variant"] == "simsiam") & (frame["augmentation"] == "baug")]
    assert set(rows["status"]) == {"1 of 2 missing"}
    assert set(rows["seeds_expected"]) == {2}


def test_a_value_that_is_not_there_is_missing_whatever_its_status_says() -> None:
    records = synthetic.records(PLAN)
    records.loc[of(records, "simsiam"), "value"] = np.nan
    row = one(table("knn", records)[0], variant="simsiam", augmentation="baug", perturbation="none")
    assert (row["n_seeds"], row["status"]) == (1, "1 of 2 missing")


def test_no_change_against_an_augmentation_that_is_not_in_the_suite() -> None:
    plan = PLAN.changed(runs=[run for run in PLAN.runs if run.augmentation != "baug"])
    frame = build_table(synthetic.records(plan), synthetic.histories(plan), plan, read_table("augmentation"))
    assert set(frame["metric"]) == {"top1"}


def test_a_paired_value_has_the_status_that_explains_it() -> None:
    assert paired_status("ok", "ok") == "ok"
    assert paired_status("collapsed", "ok") == "collapsed"
    assert paired_status("ok", "collapsed") == "collapsed"
    assert paired_status("collapsed", "diverged") == "diverged"  # not "collapsed; its value is included"
    assert paired_status("missing", "collapsed") == "missing"


def epochs_of_ddcl(records: pd.DataFrame, histories: pd.DataFrame) -> tuple[int, str]:
    """n and status of DDCL's epochs to 95 % of SimSiam's final accuracy."""
    frame, _ = table("convergence", records, histories)
    row = one(frame, variant="ddcl", augmentation="baug", metric="epochs_to_95")
    return row["n_seeds"], row["status"]


def test_epochs_to_95_says_what_is_wrong_with_the_reference() -> None:
    records, histories = synthetic.records(PLAN), synthetic.histories(PLAN)
    assert epochs_of_ddcl(records, histories[~of(histories, "simsiam")]) == (1, "1 of 2 missing")
    records.loc[of(records, "simsiam"), "status"] = "collapsed"
    assert epochs_of_ddcl(records, histories) == (2, "1 of 2 collapsed")
    records.loc[of(records, "simsiam"), ["value", "status"]] = [np.nan, "diverged"]
    assert epochs_of_ddcl(records, histories) == (1, "1 of 2 diverged")


def test_epochs_to_95_are_not_reached_only_if_both_curves_are_there() -> None:
    records, histories = synthetic.records(PLAN), synthetic.histories(PLAN)
    histories.loc[of(histories, "ddcl"), "knn_top1"] /= 2
    assert epochs_of_ddcl(records, histories) == (2, "1 of 2 not reached")
    frame, _ = table("convergence", records, histories)
    row = one(frame, variant="ddcl", augmentation="baug", metric="epochs_to_95")
    reached = one(table("convergence", records)[0], variant="ddcl", augmentation="baug", metric="epochs_to_95")
    assert (
        row["mean"] > reached["mean"]
    )  # the seed that never got there counts with the last epoch, and is not left out
    assert cell_text(row, synthetic.metrics()["epochs_to_95"]) == f"≥ {row['mean']:.1f} ± {row['sd']:.1f} ∞"


def test_the_history_of_a_diverged_run_is_in_no_mean() -> None:
    records, histories = synthetic.records(PLAN), synthetic.histories(PLAN)
    records.loc[of(records, "ddcl"), ["value", "status"]] = [np.nan, "diverged"]
    cut = histories[~(of(histories, "ddcl") & (histories["epoch"] > 2))]
    frame, _ = table("convergence", records, cut)
    rows = frame[(frame["variant"] == "ddcl") & (frame["augmentation"] == "baug")]
    assert set(rows["n_seeds"]) == {1}
    assert set(rows["status"]) == {"1 of 2 diverged"}
    assert one(rows, metric="knn_auc")["mean"] == pytest.approx(72.0)


def test_a_trained_run_with_one_missing_evaluation_converged() -> None:
    records = synthetic.records(PLAN)
    lost = of(records, "ddcl") & (records["evaluation"] == "linear")
    records.loc[lost, ["value", "n", "status"]] = [np.nan, 0, "missing"]
    frame, _ = table("convergence", records)
    assert set(frame["status"]) == {"ok"}


def cell(metric: str = "top1", **changes: Any) -> str:
    base = {"mean": 82.25, "sd": 0.31, "n_seeds": 2, "seeds_expected": 2, "status": "ok", "code": ""}
    return cell_text(pd.Series(base | changes), PLAN.metrics[metric])


def test_cells_print_what_they_are() -> None:
    assert cell() == "82.2 ± 0.3"
    assert cell(n_seeds=1, sd=np.nan, seeds_expected=1) == "82.2"
    assert cell(n_seeds=1, sd=np.nan, status="1 of 2 missing") == "82.2 (n=1/2) …"
    assert cell(status="1 of 2 collapsed") == "82.2 ± 0.3 †"
    assert cell(n_seeds=0, mean=np.nan, status="2 of 2 diverged") == "‡"
    assert cell(code="made by other code") == "82.2 ± 0.3 §"
    assert cell("change", mean=-2.04) == "−2.0 ± 0.3"
    assert cell("change", mean=2.04) == "+2.0 ± 0.3"
    assert cell("readout_angle", mean=0.5) == "0.50 ± 0.31"


def test_notes_appear_only_where_their_mark_is_used() -> None:
    frame, spec = table("knn")
    assert layout(frame, spec, PLAN).notes == [" ".join(UNSEEN)]  # two seeds: nothing is marked
    plain = frame[frame["seen"] != "unseen"]
    assert layout(plain, spec, PLAN).notes == []
    records = synthetic.records(PLAN)
    records.loc[records["variant"] == "ddcl", "status"] = "collapsed"
    printed = layout(table("knn", records)[0].assign(seen="clean"), spec, PLAN)
    assert printed.notes == ["† a seed collapsed; its value is included"]
    assert "†" in to_html(printed)


def test_failed_and_missing_have_marks_of_their_own() -> None:
    records = synthetic.records(PLAN)
    for variant, status in (("ddcl", "failed"), ("simsiam", "missing")):
        records.loc[of(records, variant), ["value", "status"]] = [np.nan, status]
    frame, spec = table("knn", records)
    assert layout(frame.assign(seen="clean"), spec, PLAN).notes == [
        "✗ a seed failed or was interrupted; it has no value",
        "… a seed was not run yet, or is out of date; it has no value",
    ]


def test_layout_follows_the_suite_and_drops_constant_labels() -> None:
    frame, spec = table("knn")
    printed = layout(frame, spec, PLAN)
    assert printed.row_keys == ["augmentation", "variant", "part"]
    assert printed.headers == ["clean", "color + rotate"]
    assert [labels for labels, _ in printed.rows[:2]] == [["BAug", "SimSiam & co_", "full"], ["BAug", "DDCL", "full"]]
    assert printed.rows[-1][0] == ["no training", "Random init", "full"]


def test_what_is_not_in_the_suite_prints_as_nothing() -> None:
    frame, spec = table("linear")
    floor = next(cells for labels, cells in layout(frame, spec, PLAN).rows if labels[0] == "Random init")
    assert [cell.text for cell in floor].count(NOTHING) == 2


def test_special_characters_are_escaped() -> None:
    assert tex_escape("50 % & a_b") == r"50 \% \& a\_b"
    assert tex_escape("~^") == r"\textasciitilde{}\textasciicircum{}"
    frame, spec = table("linear")
    tex = to_latex(layout(frame, spec, PLAN), spec, "linear")
    assert r"SimSiam \& co\_" in tex
    assert not re.search(r"(?<!\\)[%_]", tex.split("\\begin{table*}")[1].replace("tab:linear", ""))
    assert "SimSiam &amp; co_" in to_html(layout(frame, spec, PLAN))
