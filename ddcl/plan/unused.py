"""`ddcl clean --unused`: results that no plan which was ever run here asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ddcl.base.errors import UserError
from ddcl.base.files import remove
from ddcl.plan.addresses import cost_folder, log_folder
from ddcl.plan.plan import FILE, Plan, read_plan_file

PATTERNS = ("data/*", "runs/*/*/*/seed*", "runs/*/*/*/seed*/on/*/*", "logs/*/*/*/seed*", "costs/*/*/*/seed*")


@dataclass(frozen=True)
class Unused:
    """Folders below the results folder that nothing asks for, and the bytes in each; the plans that were read."""

    folders: dict[str, int]
    plans: list[Plan]

    @property
    def bytes(self) -> int:
        """The bytes in all of them."""
        return sum(self.folders.values())


def unused(results: Path) -> Unused:
    """Return the folders of data sets, runs, features and records that neither the plan shown nor a former one names.

    `UserError` where no plan is left: then everything would look unused.
    """
    files = [*sorted((results / "plans").glob("*.json")), *results.glob(FILE)]
    plans = list({plan.digest: plan for plan in map(read_plan_file, files)}.values())
    if not plans:
        raise UserError(f"{results / 'plans'}: no plan there; without one everything would look unused")
    used = {folder for plan in plans for folder in used_folders(plan)}
    folders: dict[str, int] = {}
    for pattern in PATTERNS:
        for path in sorted(results.glob(pattern)):
            name = path.relative_to(results).as_posix()
            if path.is_dir() and name not in used and not any(name.startswith(f"{other}/") for other in folders):
                folders[name] = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return Unused(folders, plans)


def used_folders(plan: Plan) -> set[str]:
    """Return the folders below the results folder that a plan names."""
    used = set(plan.data_folders)
    for run in plan.runs:
        used |= {run.folder, log_folder(run.folder), cost_folder(run.folder)}
        for target in run.targets:
            used.add(str(Path(run.record(target)).parent))
            features = run.features(target)
            used |= {str(Path(features).parent)} if features else set()
    return used


def describe(found: Unused, results: Path) -> str:
    """Return the lines that `ddcl clean --unused` asks about."""
    lines = [f"{size / 1e6:10.1f} MB  {results / name}" for name, size in found.folders.items()]
    names = ", ".join(f"{plan.suite}-{plan.digest}" for plan in found.plans)
    lines.append(f"{found.bytes / 1e6:10.1f} MB in {len(found.folders)} folders that none of these plans uses: {names}")
    lines.append(f"To delete what only one plan uses, first delete that plan from {results / 'plans'}.")
    return "\n".join(lines)


def delete(found: Unused, results: Path) -> None:
    """Delete the unused folders, and folders that become empty by it."""
    for name in found.folders:
        remove(results / name)
        parent = (results / name).parent
        while parent != results and not any(parent.iterdir()):
            parent.rmdir()
            parent = parent.parent
