"""The published numbers: one row per number, in the words of the suite, so that a measured cell can be joined to it."""

from __future__ import annotations

import csv
from collections import Counter

import pytest

from ddcl.schema.places import CONFIG_DIR

PATH = CONFIG_DIR / "published.csv"
COLUMNS = [
    *("source", "locator", "dataset", "method_label", "variant", "augmentation", "evaluation_kind", "eval_dataset"),
    *("perturbation", "part", "backbone", "epochs", "batch_size", "same_as", "selection", "metric", "value_percent"),
    *("protocol", "note"),
]
ROWS = 490
VALUES = {"value_percent", "note"}  # what a row says; all other columns say of what
WORDS = {
    "dataset": {"cifar10", "cifar100", "stl10", "tiny_imagenet", "imagenet100", "imagenet", "imagenette"},
    "variant": {
        "simsiam",
        "barlow_twins",
        "ddcl",
        "ddcl_preg",
        "ddcl_sym",
        "simsiam_reza",
        "barlow_twins_igor",
        "byol",
        "simclr",
        "vicreg",
        "supcon",
        "equimod",
        "e_ssl",
        "",
    },
    "augmentation": {"baug", "caug", "caug_plus", "baug_no_blur", ""},
    "same_as": {"linear_online", "linear_lars", "linear_b32", "knn", "knn200", ""},
    "evaluation_kind": {"linear", "knn", "finetune", ""},
    "perturbation": {"none", "color", "color_flip", "color_rotate", "color_rotate_elastic"},
    "part": {"full", "dir", "dvr"},
    "selection": {"best-test-epoch", "last-epoch", "max-over-epochs", "unknown"},
    "metric": {"top1", "top5", "top1_std"},
}
DOWNSTREAM = {"cub200", "flowers102", "food101", "pets"}
AUTHORS = {"DDCL paper", "DDCL official README"}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with PATH.open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    assert lines[0] == COLUMNS
    assert {len(line) for line in lines} == {len(COLUMNS)}, "a row has other columns than the header"
    return [dict(zip(COLUMNS, line, strict=True)) for line in lines[1:]]


def test_no_row_is_lost_or_doubled(rows: list[dict[str, str]]) -> None:
    assert len(rows) == ROWS
    keys = Counter(tuple(row[column] for column in COLUMNS if column not in VALUES) for row in rows)
    assert [key for key, count in keys.items() if count > 1] == []


def test_rows_are_sorted(rows: list[dict[str, str]]) -> None:
    assert rows == sorted(rows, key=lambda row: (row["dataset"], row["source"], row["locator"]))


@pytest.mark.parametrize(
    "column", ["source", "locator", "dataset", "method_label", "eval_dataset", "metric", "protocol"]
)
def test_column_is_never_empty(rows: list[dict[str, str]], column: str) -> None:
    assert all(row[column].strip() for row in rows)


def test_cells_have_no_stray_space(rows: list[dict[str, str]]) -> None:
    assert all(text == " ".join(text.split()) for row in rows for text in row.values())


@pytest.mark.parametrize("column", WORDS)
def test_column_uses_the_words_of_the_suite(rows: list[dict[str, str]], column: str) -> None:
    assert {row[column] for row in rows} <= WORDS[column]


@pytest.mark.parametrize(
    ("column", "folder"),
    [("augmentation", "augmentations"), ("perturbation", "perturbations"), ("same_as", "evaluations")],
)
def test_words_exist_in_the_configuration(rows: list[dict[str, str]], column: str, folder: str) -> None:
    known = {path.stem for path in (CONFIG_DIR / folder).glob("*.yaml")}
    assert {row[column] for row in rows} - {""} <= known


def test_probe_is_on_the_same_data_or_downstream(rows: list[dict[str, str]]) -> None:
    assert all(row["eval_dataset"] in DOWNSTREAM | {row["dataset"]} for row in rows)


def test_numbers_are_numbers(rows: list[dict[str, str]]) -> None:
    for row in rows:
        spread = row["metric"] == "top1_std"  # of a few runs, which may be 0.0 as printed
        assert (0 if spread else 0.01) <= float(row["value_percent"]) <= 100, row
        for column in ("epochs", "batch_size"):
            assert row[column] == "" or int(row[column]) > 0, row


def test_only_rows_of_the_authors_have_our_augmentations_and_parts(rows: list[dict[str, str]]) -> None:
    for row in rows:
        assert (row["augmentation"] in ("", "baug_no_blur")) == (row["source"] not in AUTHORS), row
        assert row["part"] == "full" or row["variant"] == "ddcl", row
        assert row["source"] not in AUTHORS or row["selection"] == "best-test-epoch", row


@pytest.mark.parametrize(
    ("variant", "label", "value"),
    [("simsiam", "SimSiam", "81.9"), ("ddcl", "DDCL", "82.2"), ("ddcl_preg", "DDCL+PReg", "82.3")],
)
def test_clean_numbers_of_the_readme(rows: list[dict[str, str]], variant: str, label: str, value: str) -> None:
    key = {
        "source": "DDCL official README",
        "dataset": "imagenet100",
        "eval_dataset": "imagenet100",
        "variant": variant,
        "augmentation": "baug",
        "evaluation_kind": "linear",
        "perturbation": "none",
        "part": "full",
        "backbone": "ResNet-50",
        "epochs": "500",
        "metric": "top1",
    }
    found = [row for row in rows if row.items() >= key.items()]
    assert [(row["method_label"], row["value_percent"]) for row in found] == [(label, value)]


@pytest.mark.parametrize(
    ("variant", "augmentation", "perturbation", "readme", "table"),
    [
        ("simsiam", "baug", "color_rotate", "50.3", "50.18"),
        ("ddcl", "caug", "color_rotate", "77.2", "77.32"),
        ("ddcl", "caug_plus", "color_rotate_elastic", "74.2", "74.27"),
    ],
)
def test_readme_and_paper_are_both_kept_where_they_disagree(
    rows: list[dict[str, str]], variant: str, augmentation: str, perturbation: str, readme: str, table: str
) -> None:
    key = {
        "dataset": "imagenet100",
        "eval_dataset": "imagenet100",
        "variant": variant,
        "augmentation": augmentation,
        "perturbation": perturbation,
        "part": "full",
    }
    found = {row["source"]: row for row in rows if row["source"] in AUTHORS and row.items() >= key.items()}
    assert {source: row["value_percent"] for source, row in found.items()} == {
        "DDCL official README": readme,
        "DDCL paper": table,
    }
    assert table in found["DDCL official README"]["note"]
    assert readme in found["DDCL paper"]["note"]
