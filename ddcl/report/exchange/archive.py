"""`ddcl export`: one archive of a suite's results, with checksums and a description that others' tools can read.

A ZIP of the files below the results folder, `checksums.sha256` (for ``sha256sum -c``) and `ro-crate-metadata.json`
(RO-Crate 1.1, https://w3id.org/ro/crate/1.1). The same files give the same bytes: no times but the date of the newest.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from ddcl.base.errors import UserError
from ddcl.base.files import write_atomic
from ddcl.plan.plan import Plan, read_plan
from ddcl.report.collect import RUNS
from ddcl.report.collected import Collected
from ddcl.report.exchange.adopt import check
from ddcl.schema import run_summary

CHECKSUMS, CRATE = "checksums.sha256", "ro-crate-metadata.json"
COLLECTED = ("suite.json", "runs.json", "records.parquet", "histories.parquet")
RUN_FILES = ("config.json", "run.json", "history.csv")
CHECKPOINT = "checkpoint.pt"
PACKED = (".npz", ".png", ".pdf", ".parquet", ".pt", ".svg")  # compressed already, or nearly
FORMATS = {".json": "application/json", ".csv": "text/csv", ".md": "text/markdown", ".html": "text/html"}
FORMATS |= {".tex": "application/x-tex", ".png": "image/png", ".pdf": "application/pdf", ".svg": "image/svg+xml"}
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a ZIP can hold


@dataclass(frozen=True)
class Packed:
    """What went into an archive: files, records of the suite that are in it, and those that the suite expects."""

    files: int
    records: int
    expected: int


def export(results: Path, output: Path, checkpoints: bool) -> Packed:
    """Write the archive of the suite whose plan is in `results`. checkpoints: with the encoders, which are large.

    `UserError` for what is damaged or does not belong together, here too: no other site would take it.
    """
    plan = read_plan(results)
    if (results / RUNS).exists():
        Collected.load(results)
    of_plan = {*plan.data_folders, *(run.folder for run in plan.runs)}
    problems = check(results, of_plan, large=checkpoints).problems
    if problems:
        raise UserError(f"nothing was exported; {len(problems)} problems:\n  " + "\n  ".join(problems))
    names = [name for name in archived(plan, checkpoints) if (results / name).is_file()]
    begun = {run.folder for run in plan.runs if f"{run.folder}/{run_summary.FILE}" not in names}
    # of a run that is not finished there is the recipe alone
    names = [name for name in names if name.endswith("/config.json") or not begun & {*map(str, Path(name).parents)}]
    have = set(names)
    records = [run.record(target) for run in plan.runs for target in run.targets]
    packed = Packed(len(names), sum(name in have for name in records), len(records))
    if not packed.records:
        raise UserError(f"{results}: has none of the {len(records)} records of suite {plan.suite}; nothing to export")
    sums = {name: _sha256(results / name) for name in names}
    crate = json.dumps(describe(plan, results, sums, packed), indent=1, sort_keys=True).encode() + b"\n"
    sums[CRATE] = hashlib.sha256(crate).hexdigest()
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))

    def write(path: Path) -> None:
        with ZipFile(path, "w") as archive:
            for name, content in ((CRATE, crate), (CHECKSUMS, lines.encode())):
                archive.writestr(_entry(name), content)
            for name in names:
                with archive.open(_entry(name), "w", force_zip64=True) as target, open(results / name, "rb") as source:
                    shutil.copyfileobj(source, target)

    write_atomic(output, write)
    return packed


def archived(plan: Plan, checkpoints: bool) -> list[str]:
    """Return the names below `results` of all files that belong to the suite, there or not, sorted."""
    names = list(COLLECTED)
    for run in plan.runs:
        names += [f"{run.folder}/{name}" for name in (*RUN_FILES, *[CHECKPOINT] * checkpoints)]
        names += [name for target in run.targets for name in (run.record(target), run.predictions(target))]
    names += [f"{folder}/manifest.json" for folder in plan.data_folders]
    return sorted({*names, *plan.made()})


def describe(plan: Plan, results: Path, sums: dict[str, str], packed: Packed) -> dict[str, object]:
    """Return the RO-Crate: what the archive is, how it was made, and each file with its size and checksum."""
    newest = max((results / name).stat().st_mtime for name in sums)
    summaries = [run_summary.load(results / name) for name in sums if name.endswith("/run.json")]
    commits = sorted({each.provenance.git_commit for each in summaries if each.provenance.git_commit})
    text = f"{plan.description} {packed.records} of {packed.expected} records."
    root: dict[str, object] = {
        "@id": "./",
        "@type": "Dataset",
        "name": plan.title,
        "description": text,
        "license": {"@id": "#license"},
    }
    root |= {"datePublished": datetime.fromtimestamp(newest, UTC).date().isoformat()}
    root |= {"hasPart": [{"@id": name} for name in sums], "mentions": {"@id": "#made"}}
    license = {"@id": "#license", "@type": "CreativeWork", "name": "not stated: ask those who made this archive"}
    made = {"@id": "#made", "@type": "CreateAction", "instrument": {"@id": "#ddcl"}, "result": {"@id": "./"}}
    made |= {"name": f"suite {plan.suite}: training, evaluation, tables and figures"}
    software = {"@id": "#ddcl", "@type": "SoftwareApplication", "name": "ddcl-suite", "softwareVersion": commits}
    about = {"@id": CRATE, "@type": "CreativeWork", "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"}}
    files = [
        {"@id": name, "@type": "File", "sha256": digest, "contentSize": str((results / name).stat().st_size)}
        | {"encodingFormat": FORMATS.get(Path(name).suffix, "application/octet-stream")}
        for name, digest in sums.items()
    ]
    context = ["https://w3id.org/ro/crate/1.1/context", {"sha256": "https://schema.org/sha256"}]
    return {"@context": context, "@graph": [about | {"about": {"@id": "./"}}, root, license, made, software, *files]}


def _entry(name: str) -> ZipInfo:
    entry = ZipInfo(name, EPOCH)
    entry.compress_type = ZIP_STORED if name.endswith(PACKED) else ZIP_DEFLATED
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    entry.create_system = 3  # Unix, whatever this is
    return entry


def _sha256(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
