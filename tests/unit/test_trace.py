"""Every number in every table can be followed to the files of the runs, and these alone give it again."""

from __future__ import annotations

import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ddcl.__main__ import main
from ddcl.base.errors import UserError
from ddcl.report.collect import collect
from ddcl.report.collected import Collected
from ddcl.report.exchange.trace import Tracer, restricted
from ddcl.report.sources import SOURCES
from ddcl.report.tables.build import build_table
from ddcl.report.tables.cells import expected_cells
from ddcl.report.tables.csv_files import COUNTS, DIGITS, FLOATS, MORE_FLOATS, read_csv
from ddcl.report.tables.differences import COLUMNS as DIFFERENCES
from ddcl.report.tables.html import to_html
from ddcl.report.tables.latex import tex_escape
from ddcl.report.tables.printing import Printed, layout, write_table
from ddcl.schema import record
from tests.unit import written
from tests.unit.synthetic import record_of

PLAN = written.plan()
TABLES = list(PLAN.tables)
DDCL = "imagenet100/ddcl/baug/seed0"
RECORD = record_of(PLAN, DDCL, "linear")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results in which everything was run, collected and made into tables."""
    results = tmp_path_factory.mktemp("whole") / "results"
    written.write_results(PLAN, results)
    assert collect(PLAN, results, partial=False).problems == []
    return results


def write_tables(results: Path) -> dict[str, pd.DataFrame]:
    """Collect, write all tables and return the long frame of each, with its sources."""
    collect(PLAN, results, partial=True)
    found = Collected.load(results)
    cells, frames = expected_cells(found.records, found.plan), {}
    for name in TABLES:
        spec = found.spec(name)
        frames[name] = build_table(found.records, found.histories, found.plan, spec, cells)
        write_table(frames[name], spec, found.plan, results / "tables" / name)
    return frames


@pytest.fixture(scope="module")
def frames(whole: Path) -> dict[str, pd.DataFrame]:
    """The long frame of each table of `whole`."""
    return write_tables(whole)


@pytest.fixture
def results(whole: Path, frames: dict[str, pd.DataFrame], tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return shutil.copytree(whole, tmp_path / "results")


# --- trace


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.usefixtures("frames")
def test_every_row_is_made_again_from_its_sources_alone(name: str, whole: Path) -> None:
    tracer = Tracer(whole / "tables" / f"{name}.csv")
    assert len(tracer.rows)
    for number in range(1, len(tracer.rows) + 1):
        text = tracer.describe(number)
        assert text.startswith(f"row {number}: ")
        assert text.endswith(("sources: the same", "made again from 1 source: the same"))


@pytest.mark.usefixtures("frames")
def test_what_is_said_of_a_source(whole: Path) -> None:
    text = Tracer(whole / "tables/robustness.csv").describe(1)
    run = PLAN.run(DDCL)
    value = written.scattered(run, "none", "full")
    assert f"{RECORD} part full, perturbation none, metric top1: {value} (n = 450, 1 draws)" in text
    assert f"recipe {run.recipe_digest}, checkpoint c" in text
    assert f"commit {'f' * 40}" in text
    assert f"snakemake --cores all --configfile FILE_OF_t --force results/{RECORD}" in text
    assert text.count("linear.json part") == 2


def test_a_record_that_was_changed_since_is_noticed(results: Path) -> None:
    path = results / RECORD
    cells = tuple(each.model_copy(update={"value": (each.value or 0) + 0.001}) for each in record.load(path).cells)
    written.change_record(path, cells=cells)
    with pytest.raises(UserError, match=r"row 1 says mean .* the files of its sources .*ddcl table robustness"):
        Tracer(results / "tables/robustness.csv").describe(1)


def test_a_table_of_other_collected_files_is_noticed(results: Path) -> None:
    records = pd.read_parquet(results / "records.parquet")
    written.change_frame(results, "records.parquet", records.assign(value=records["value"] + 0.001))
    with pytest.raises(UserError, match=r"row 1 says mean .* what was collected"):
        Tracer(results / "tables/robustness.csv").describe(1)


@pytest.mark.usefixtures("frames")
def test_a_row_that_is_not_there(whole: Path) -> None:
    with pytest.raises(UserError, match="row 9999 asked for; allowed: 1 to"):
        Tracer(whole / "tables/linear.csv").describe(9999)
    with pytest.raises(UserError, match="missing table"):
        Tracer(whole / "tables/liner.csv")


@pytest.mark.usefixtures("frames")
def test_the_verb(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = str(results / "tables/linear.csv")
    assert main(["trace", table, "--row", "2"]) == 0
    assert capsys.readouterr().out.startswith("row 2: ")
    assert main(["trace", table, "--all"]) == 0
    rows = read_csv(Path(table))
    assert capsys.readouterr().out.count("made again from") == len(rows)
    for wrong in ([], ["--all", "--row", "1"]):
        assert main(["trace", table, *wrong]) == 2
        assert "expected either --row N or --all" in capsys.readouterr().err
    (results / RECORD).unlink()
    assert main(["trace", table, "--all"]) == 2
    output = capsys.readouterr()
    parts = int(((rows["variant"] == "ddcl") & (rows["augmentation"] == "baug")).sum())
    assert output.err.count("the files of its sources") == parts >= 3
    assert output.out.count("made again from") == len(rows) - parts


def test_the_restricted_plan_has_the_records_of_the_sources_and_no_others() -> None:
    plan = restricted(PLAN, [RECORD])
    (run,) = plan.runs
    (target,) = run.targets
    assert (run.variant, run.seed, target.evaluation) == ("ddcl", 0, "linear")


# --- a deleted record


def printed(frame: pd.DataFrame, name: str) -> Printed:
    return layout(frame, PLAN.tables[name], PLAN)


class Texts(HTMLParser):
    """The texts of a table's cells, in order, without what they are set against."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.inside = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside |= tag == "td"
        self.inside &= ("class", "df") not in attrs  # the difference follows the level and ends the cell
        self.texts += [""] * (tag == "td")

    def handle_endtag(self, tag: str) -> None:
        self.inside &= tag != "td"

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts[-1] += data


def in_files(stem: Path, printed: Printed) -> dict[str, list[str]]:
    """The texts of the cells of a table in each printed form, without their emphasis."""
    columns = len(printed.row_keys)
    skipped = {tuple(printed.headers), tuple(map(tex_escape, printed.headers)), ("---:",) * len(printed.headers)}
    plain = {"md": ("**", " ▲", " ▼"), "tex": (r"$^{\uparrow}$", r"$^{\downarrow}$", r"\textbf{", "}")}
    found = {"html": Texts(to_html(printed)).texts}
    for suffix, marks in plain.items():
        lines = stem.with_suffix(f".{suffix}").read_text().splitlines()
        split = {"md": " | ", "tex": " & "}[suffix]
        own = [line.strip("| \\").split(split)[columns:] for line in lines if line.count(split) > columns - 1]
        own = [texts for texts in own if len(texts) == len(printed.headers) and tuple(texts) not in skipped]
        found[suffix] = [text.strip() for texts in own for text in texts]
        for mark in marks:
            found[suffix] = [text.replace(mark, "") for text in found[suffix]]
    return found


RECORDS = [  # run, data set and evaluation
    ("ddcl/baug/seed0", "imagenet100", "linear"),
    ("simsiam_authors/baug/seed1", "imagenet100", "linear_online"),  # the only one of its run
    pytest.param(("simsiam/baug/seed1", "imagenet100", "knn"), marks=pytest.mark.slow),
    pytest.param(("ddcl/caug/seed1", "cub200", "linear_b32"), marks=pytest.mark.slow),
    pytest.param(("random_init/none/seed0", "imagenet100", "linear"), marks=pytest.mark.slow),
]


@pytest.mark.parametrize("names", RECORDS, ids="/".join)
def test_without_a_record_its_cells_say_so_and_no_others(
    names: tuple[str, str, str], whole: Path, results: Path, frames: dict[str, pd.DataFrame]
) -> None:
    run, eval_dataset, evaluation = names
    record = record_of(PLAN, f"imagenet100/{run}", evaluation, eval_dataset)
    (results / record).unlink()
    after, n_affected = write_tables(results), 0
    for name in TABLES:
        own = frames[name][SOURCES].map(lambda sources: any(text.startswith(f"{record}#") for text in sources))
        n_affected += own.sum()
        old, new = (read_csv(folder / "tables" / f"{name}.csv") for folder in (whole, results))
        changed = (old.fillna(0) != new.fillna(0)).to_numpy()
        apart = old.columns.isin(DIFFERENCES)  # from what a cell is set against
        assert list(changed[:, ~apart].any(axis=1)) == list(own), name
        if "baseline" in old:
            of_pair = old.columns.isin(["difference", "ci_low", "ci_high", "p", "n_pairs"])  # not of the table
            against = old["baseline"].isin(old.loc[own, "variant"])
            assert not (changed[:, of_pair].any(axis=1) & ~own & ~against).any(), name
        assert new.loc[own, "status"].str.contains("missing").all()
        _check_printed(name, record, (whole, frames[name]), (results, after[name]))
    assert n_affected


def _check_printed(name: str, record: str, old: tuple[Path, pd.DataFrame], new: tuple[Path, pd.DataFrame]) -> None:
    """In Markdown, LaTeX and HTML, the cells made of the record, and no others, are marked as missing."""
    before, after = (printed(frame, name) for _, frame in (old, new))
    cells = [cell for _, row in before.rows for cell in row]
    own = [any(text.startswith(f"{record}#") for text in cell.sources) for cell in cells]
    texts_before, texts_after = in_files(old[0] / "tables" / name, before), in_files(new[0] / "tables" / name, after)
    for form, mark in (("md", "…"), ("tex", r"\dots{}"), ("html", "…")):
        assert len(texts_before[form]) == len(texts_after[form]) == len(cells), (name, form)
        for was, now, affected in zip(texts_before[form], texts_after[form], own, strict=True):
            assert (was != now) == affected, (name, form, was, now)
            assert not affected or mark.rstrip("{}") in now


# --- CSV


@pytest.mark.parametrize("name", TABLES)
def test_a_csv_reads_back_as_the_same_frame(name: str, whole: Path, frames: dict[str, pd.DataFrame]) -> None:
    frame = frames[name]
    again = read_csv(whole / "tables" / f"{name}.csv")
    assert list(again.columns) == [column for column in frame.columns if column != SOURCES]
    dtypes: dict[str, Any] = {
        column: {**COUNTS, **FLOATS, **MORE_FLOATS}.get(column, "str") for column in again.columns
    }
    assert {column: str(dtype) for column, dtype in again.dtypes.items()} == dtypes
    expected = frame.drop(columns=SOURCES).round(dict.fromkeys([*FLOATS, *MORE_FLOATS], DIGITS))
    pd.testing.assert_frame_equal(again, expected.astype(dtypes), rtol=0, atol=1e-9)
