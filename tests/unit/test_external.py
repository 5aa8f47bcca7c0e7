"""Features from elsewhere: what is measured of them, and what the message says when a file is not as it should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ddcl.__main__ import main
from ddcl.base.errors import UserError
from ddcl.evaluate.external import diagnose
from ddcl.schema.evaluations import LinearSettings

N = 900
SETTINGS = LinearSettings(l2_weights=[1e-4, 1e-2, 1.0, 10.0], holdout_frac=0.2, max_iterations=200)
Arrays = dict[str, Any]


def arrays() -> Arrays:
    """DIR knows the class; DVR the angle and what the views do."""
    rng = np.random.default_rng(0)
    angle, kind = rng.uniform(-180, 180, N), rng.integers(0, 3, N)
    dir_part = 3 * np.eye(3)[kind] + rng.normal(size=(N, 3))
    turn = np.deg2rad(angle)
    dvr = np.stack((np.sin(turn), np.cos(turn)), 1) + 0.05 * rng.normal(size=(N, 2))
    views = np.stack([np.concatenate((dir_part, rng.normal(size=(N, 2))), 1) for _ in range(3)])
    parts = {"part_dir": np.array([0, 3]), "part_dvr": np.array([3, 5])}
    known = {"factor_angle_deg": angle, "factor_class": kind, "factor_size": rng.normal(size=N)}
    return {"features": np.concatenate((dir_part, dvr), 1), "views": views} | parts | known


def write(path: Path, content: Arrays) -> Path:
    np.savez(path, **content)
    return path


def values(frame: pd.DataFrame) -> dict[tuple[str, str], float]:
    return {(row["part"], row["metric"]): row["value"] for _, row in frame.iterrows()}


def test_what_is_planted_in_a_file_is_found(tmp_path: Path) -> None:
    frame = diagnose(write(tmp_path / "f.npz", arrays()), SETTINGS, draws=20, seed=0)
    found = values(frame)
    assert found["dvr", "readout_angle_deg"] > 0.9
    assert abs(found["dir", "readout_angle_deg"]) < 0.05
    assert abs(found["dvr", "readout_angle_deg_shuffled"]) < 0.05
    assert found["dir", "readout_class"] > 0.9
    assert found["dvr", "readout_class"] == pytest.approx(1 / 3, abs=0.1)
    assert abs(found["full", "readout_size"]) < 0.05
    assert found["dir", "invariance"] == 0.0
    assert found["dvr", "invariance"] == pytest.approx(1.0, abs=0.1)
    assert found["dvr", "cka_dir_dvr"] < 0.1
    assert set(frame["n"]) == {N - round(0.75 * N)}
    controls = frame[frame["part"] == "random_dvr"]
    assert set(controls["n_draws"]) == {20}
    assert (controls["sd_draws"] >= 0).all()
    assert frame.loc[frame["part"] == "dvr", "sd_draws"].isna().all()


def test_features_alone_and_rows_of_ones_own(tmp_path: Path) -> None:
    content = {"features": arrays()["features"], "train": np.arange(N) < 100}
    frame = diagnose(write(tmp_path / "f.npz", content), SETTINGS, draws=20, seed=0)
    assert set(frame["part"]) == {"full"}
    assert set(frame["metric"]) == {"effective_rank", "std_ratio", "uniformity"}
    assert set(frame["n"]) == {N - 100}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feature": 1.0}, "unknown arrays feature; allowed are features, labels, views, train, part_"),
        ({"features": None}, r"no array `features` \[N, D\]; found views, part_dir"),
        ({"features": np.zeros(4)}, r"features: expected floats with 2 axes, found float64 \[4\]"),
        ({"features": np.full((N, 5), np.nan)}, "features: 4500 values are not finite"),
        ({"views": np.zeros((1, N, 5))}, r"views: expected \[2 or more, 900, 5\], found \[1, 900, 5\]"),
        (
            {"part_dvr": np.array([3, 6])},
            r"part_dvr: expected \[start, stop\] with .* ≤ 5, found \[3, 6\]",
        ),
        ({"part_": np.array([0, 3])}, "part_: the part has no name"),
        ({"part_full": np.array([0, 3])}, r"part_full: full \(all columns\)"),
        ({"part_random_dvr": np.array([0, 3])}, "part_random_dvr: .* are reserved names"),
        ({"factor_size": np.zeros(3)}, r"factor_size: expected 900 numbers, found float64 \[3\]"),
        ({"train": np.arange(N)}, r"train: expected 900 bools, found int64 \[900\]"),
        ({"train": np.ones(N, bool)}, "900 rows to fit to and 0 to score on; each needs 4"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(changes: Arrays, message: str, tmp_path: Path) -> None:
    content = {name: own for name, own in (arrays() | changes).items() if own is not None}
    with pytest.raises(UserError, match=message):
        diagnose(write(tmp_path / "f.npz", content), SETTINGS, draws=2, seed=0)


def test_labels_are_a_factor(tmp_path: Path) -> None:
    """So one file serves `ddcl diagnose` and `ddcl encoder add --features`."""
    content = arrays()
    content["labels"] = content.pop("factor_class")
    found = values(diagnose(write(tmp_path / "f.npz", content), SETTINGS, draws=2, seed=0))
    assert found["dir", "readout_label"] > 0.9
    content["labels"] = content["labels"][:-1]
    with pytest.raises(UserError, match=r"labels: expected 900 integers, found int64 \[899\]"):
        diagnose(write(tmp_path / "g.npz", content), SETTINGS, draws=2, seed=0)


def test_the_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "f.npz", arrays())
    assert main(["diagnose", str(path), "--output", str(tmp_path / "out.csv"), "--subsets", "2"]) == 0
    printed = capsys.readouterr().out.splitlines()
    frame = pd.read_csv(tmp_path / "out.csv")
    assert list(frame.columns) == ["part", "metric", "value", "sd_draws", "n_draws", "n"]
    assert len(printed) == 1 + len(frame)
    assert main(["diagnose", str(tmp_path / "none.npz")]) == 2
    assert "missing npz file" in capsys.readouterr().err


def moved(**changes: Any) -> Arrays:
    return {name: array for name, array in (arrays() | changes).items() if name != "views" and array is not None}


def test_seconds_since_1970_and_other_units_move_no_number(tmp_path: Path) -> None:
    plain, content = arrays(), {}
    known = {"features": plain["features"][:, 3:] + 0.1, "factor_time": plain["factor_angle_deg"]}
    for name, time, scale in (("plain", 0, 1), ("far", 1.7e9, 1), ("huge", 0, 1e300), ("tiny", 0, 1e-300)):
        changed = {"features": known["features"] * scale, "factor_time": (known["factor_time"] + time) * scale}
        frame = diagnose(write(tmp_path / f"{name}.npz", changed), SETTINGS, draws=0, seed=0)
        content[name] = values(frame)
    for name, found in content.items():
        assert found == pytest.approx(content["plain"], abs=1e-4), name
    assert content["plain"]["full", "readout_time"] > 0.5


def test_features_far_from_zero_are_read_as_well(tmp_path: Path) -> None:
    found = [
        values(diagnose(write(tmp_path / "f.npz", moved(features=arrays()["features"] + far)), SETTINGS, 0, 0))
        for far in (0.0, 1e8)
    ]
    for part, metric in (("dir", "readout_class"), ("dvr", "readout_angle_deg")):
        assert found[1][part, metric] == pytest.approx(found[0][part, metric], abs=0.02)


ONE = np.zeros(N, int)
TRAIN = np.arange(N) < 600


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"factor_size": np.full(N, 3.0)}, "factor_size: is 3.0 in all rows that are fitted to; nothing to read"),
        ({"factor_class": ONE}, "factor_class: is 0 in all rows that are fitted to; nothing to read"),
        ({"factor_class": np.arange(N)}, r"class \d+ has \d rows for fitting; 2 are needed"),
        ({"factor_class": np.where(TRAIN, ONE, 1), "train": TRAIN}, "is 0 in all rows that are fitted to"),
        ({"features": np.full((N, 5), 1.7e308) * np.sign(np.arange(N) - 9.5)[:, None]}, "too large to compute"),
        ({"features": np.zeros((N, 0))}, r"expected at least one column, found \[900, 0\]"),
        ({"features": np.array([{}], dtype=object)}, "npz file cannot be read"),
    ],
)
def test_what_cannot_be_meant_has_no_number(changes: Arrays, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        diagnose(write(tmp_path / "f.npz", moved(**changes)), SETTINGS, 0, 0)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY", b"PK\x03\x04" + b"x" * 90])
def test_a_file_that_is_no_npz_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "f.npz").write_bytes(content)
    with pytest.raises(UserError, match="npz file cannot be read"):
        diagnose(tmp_path / "f.npz", SETTINGS, 0, 0)
