"""`ddcl site`: the pages of several suites or archives as one static site, with an index of claims by suite.

Nothing is pooled and nothing is ranked: each column of the index is one suite of one place, and leads to its own page.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from ddcl.base.errors import UserError
from ddcl.base.files import remove, write_text
from ddcl.plan.plan import FILE, PAGE, Plan, text_of
from ddcl.report.claims.judged import JudgedClaim, read_judged
from ddcl.report.collect import FILES, RUNS
from ddcl.report.collected import Collected
from ddcl.report.exchange.unpack import unpack
from ddcl.report.numbers import interval
from ddcl.report.page.bars import colours
from ddcl.report.page.cards import anchor_of
from ddcl.report.page.claim_rows import Shown
from ddcl.report.tables.html import template
from ddcl.schema.marks import read_marks

FOLDERS = ("report", "tables", "figures")  # of results, that a site has; and the collected files
PARTS = ".ddcl-site"  # of a site: the folders that were made for it
OF_RUNS = ("config.json", "run.json", "history.csv", "on/*/*/*.json", "on/*/*.json")  # of each run: what is small


class Part(NamedTuple):
    """A suite of the site: its folder there, its plan and its judged claims. results: where it is copied from."""

    name: str
    results: Path
    plan: Plan
    claims: dict[str, JudgedClaim]


class Found(NamedTuple):
    """What a suite found of a claim: the verdict, and effect and interval of the check that it rests on."""

    verdict: Shown
    effect: str
    interval: str
    unit: str
    address: str


class Line(NamedTuple):
    """A claim of the index, and what each suite found; None where a suite does not have it."""

    name: str
    statement: str
    found: list[Found | None]


def write_site(sources: Sequence[Path], out: Path) -> Path:
    """Write the site to the folder `out`; return its index. sources: results folders, snapshots or archives.

    A site that is there is replaced, with all its parts. `UserError`, and nothing is changed, if a source has no page,
    or its verdicts are not those of its runs, if two have one name, if one lies in `out` or `out` in one, or if `out`
    has other files than those of a site.
    """
    former = _former(out)
    with ExitStack() as stack:
        parts = [_part(source, out, stack) for source in sources]
        names = [part.name for part in parts]
        _check_names(names, out, former)
        out.mkdir(parents=True, exist_ok=True)
        new = Path(stack.enter_context(TemporaryDirectory(dir=out, prefix=".new")))
        for part in parts:
            _copy(part, new / part.name)
        index = template("site.html.j2").render(parts=parts, lines=list(_lines(parts)), marks=colours(read_marks()))
        write_text(out / PARTS, "".join(f"{name}\n" for name in dict.fromkeys([*former, *names])))
        for name in former:
            remove(out / name)
        for name in names:
            (new / name).rename(out / name)
        write_text(out / "index.html", index)
        write_text(out / PARTS, "".join(f"{name}\n" for name in names))
    return out / "index.html"


def _check_names(names: list[str], out: Path, former: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{name}: two of the sources have this name; rename a folder or an archive")
        if (out / name).exists() and name not in former:
            raise UserError(f"{out / name}: is there, and `ddcl site` did not make it; name an empty or a new folder")


def _former(out: Path) -> list[str]:
    """Return the folders of the site that is in `out`; `UserError` if there is something else."""
    if (out / PARTS).is_file():
        return [name for name in text_of(out / PARTS).splitlines() if name == _plain(name)]
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: has files that `ddcl site` did not make; name an empty or a new folder")
    return []


def _part(source: Path, out: Path, stack: ExitStack) -> Part:
    """Read a source; an archive is unpacked for as long as `stack` is open."""
    if not source.exists():
        raise UserError(f"{source}: there is no such folder or archive")
    inner, outer = source.resolve(), out.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise UserError(f"{out}: the site must not contain {source}, which it is made from, nor lie in it")
    results = source
    if source.is_file():
        results = Path(stack.enter_context(TemporaryDirectory()))
        unpack(source, results, whole=True)
    if not (results / PAGE).exists():
        raise UserError(f"{source}: has no {PAGE}; `ddcl report` makes it")
    found = Collected.load(results)
    claims = {claim.name: claim for claim in read_judged(found)}
    return Part(_name(source, found.plan), results, found.plan, claims)


def _name(source: Path, plan: Plan) -> str:
    """Return the folder of a source: its own name, or the suite's where that says nothing."""
    own = source.stem if source.is_file() else source.resolve().name
    return _plain(plan.suite if own == "results" else own)


def _plain(name: str) -> str:
    """Return a name that is one folder, visible and without signs that mean something in an address."""
    return re.sub(r"[^\w.+-]+", "_", name).lstrip(".") or "_"


def _copy(part: Part, folder: Path) -> None:
    for name in FOLDERS:
        if (part.results / name).exists():
            shutil.copytree(part.results / name, folder / name)
    for name in (FILE, RUNS, *FILES):
        if (part.results / name).exists():
            shutil.copyfile(part.results / name, folder / name)
    for run in part.plan.runs:
        _copy_run(part.results / run.folder, folder / run.folder, run.name)


def _copy_run(source: Path, folder: Path, name: str) -> None:
    """Copy what is small of a run, and list it, as the cards of the page lead there."""
    found = sorted({path.relative_to(source) for pattern in OF_RUNS for path in source.glob(pattern)})
    for path in found:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, folder / path)
    files = [path.as_posix() for path in found]
    card = f"../../../../../{PAGE}#{anchor_of(name)}"  # five folders up: runs/DATASET/VARIANT/ARM/SEED
    write_text(folder / "index.html", template("run.html.j2").render(name=name, files=files, card=card))


def _lines(parts: Sequence[Part]) -> list[Line]:
    """Return a line for each claim of any suite, in the order in which they come."""
    statements = {name: claim.statement_short for part in reversed(parts) for name, claim in part.claims.items()}
    names = sorted(statements, key=lambda name: (name[0] != "C", [int(n) for n in re.findall(r"\d+", name)]))
    return [Line(name, statements[name], [_found(part, name) for part in parts]) for name in names]


def _found(part: Part, name: str) -> Found | None:
    if name not in part.claims:
        return None
    check = part.claims[name].forms[0].headline
    effect, between = interval(check.effect, check.ci_low, check.ci_high, check.smallest_effect)
    address = f"{part.name}/{PAGE}#claim-{name}"
    return Found(Shown(part.claims[name].verdict), effect, between, check.unit, address)
