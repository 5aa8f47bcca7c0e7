"""What a claim's YAML may say, and what statistics rest on. Imports no numpy: Snakemake reads it at every start."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Literal

from pydantic import Field, model_validator

from ddcl.base.errors import check_name
from ddcl.base.yaml_files import Model, parse, read_yaml
from ddcl.schema.gates import Cell, GateSpec, Key, read_gate
from ddcl.schema.known import check_known
from ddcl.schema.places import config_names, config_path

MONITOR = "monitor"  # "evaluation" of what comes from training histories
Form = Literal["asymmetric", "symmetric"]
# Of a claim's rows: C1a, C1b. The first form is the one whose code and numbers were published: its verdict is that of
# the paper's claim.
LETTERS: dict[Form, str] = {"asymmetric": "a", "symmetric": "b"}
Condition = Literal["backbone", "epochs", "extra_warmup_epochs", "batch_size", "authors"]
JUDGED = "claims.json"  # below results/tables: the judged claims, from which these files are made, and LaTeX commands
FRAMES = ("claims", "claim_checks", "claim_comparisons", "claim_gates")  # of which there are CSV files
FILES = (*(f"{name}.csv" for name in FRAMES), "claims.md", "claims.tex", JUDGED)
MACROS = "macros.tex"


class PairSpec(Model):
    """Two arms to compare: the cells' keys that `over` does not give, or gives otherwise."""

    treatment: Cell = Field(description="the arm that the claim says is better")
    control: Cell = Field(description="the arm that it is compared with")
    treatment_minus: Cell = Field(
        default_factory=dict, description="the treatment's value is its difference from the cell that these keys change"
    )
    control_minus: Cell = Field(default_factory=dict, description="the same for the control")


class Smallest(Model):
    """The smallest effect that matters, in the unit of its check, and why."""

    value: float = Field(gt=0, description="in the unit of the check")
    reason: str = Field(min_length=10, description="why no smaller effect matters")


class Reported(Model):
    """What the paper reports of a check's effect: one run each, so no interval."""

    low: float = Field(description="the lowest, in the unit, positive in favour of the claim")
    high: float = Field(description="the highest")
    n: int = Field(ge=1, description="how many values there are")
    same_quantity: bool = Field(description="whether it is the same difference under the same protocol")

    @model_validator(mode="after")
    def _ordered(self) -> Reported:
        if self.low > self.high:
            raise ValueError(f"low must not be above high, found {self.low} and {self.high}")
        return self


class CheckSpec(Model):
    """One falsifiable statement: pairs of arms, compared over some conditions, with one effect per form of DDCL."""

    name: str = Field(pattern="^[a-z]+(_[a-z]+)*$", description="unique in the claim; letters, as LaTeX commands have")
    label: str = Field(max_length=24, description="in the figure of claims")
    statement: str = Field(description="what would be true if the claim is")
    decides: bool = Field(default=True, description="whether the claim's verdict rests on it; else it is reported only")
    why: str = Field(default="", description="why it does not decide")
    kind: Literal["cells", "ended"] = Field(
        default="cells", description="differences of cells, or of the share of runs that collapsed or diverged"
    )
    forms: dict[Form, list[PairSpec]] = Field(
        min_length=1, description="arms to compare, by the form of DDCL that they test; those that the suite has are"
    )
    over: list[dict[Key, list[str]]] = Field(
        min_length=1, description="cells of both arms: the union of these products; each cell is a comparison"
    )
    evaluation: list[str] = Field(default=[], description="protocols of the claim; the first that a suite has is taken")
    instead: list[str] = Field(
        default=[],
        description="what is shown, as `protocol differs`, where a suite has none of these; and what may be a data "
        "set's `probe`",
    )
    tested_on: Literal["own", "others"] = Field(
        default="own", description="test images of the data set of pretraining, or of others (transfer)"
    )
    direction: Literal["higher", "lower"] = Field(default="higher", description="which sign is for the claim")
    unit: str = Field(description="of the effect, positive in favour of the claim")
    scale: float = Field(default=1.0, gt=0, description="the effect is the difference times this: 100 for points")
    bounded: bool = Field(
        default=True, description="whether the values are shares or cosines, in [0, 1]: so are intervals then"
    )
    smallest_effect: Smallest = Field(description="the smallest one that matters")
    smallest_effects: dict[str, Smallest] = Field(
        default={}, description="of data sets, by name, on which another one matters"
    )
    gates: list[str] = Field(default=[], description="names in config/gates: what must hold in the arms themselves")
    reported_values: Reported | None = Field(default=None, description="the paper's, where it has any")
    family: str = Field(description="comparisons of the claim's checks with the same family share Holm's correction")
    conditions: list[Condition] = Field(
        default=["backbone", "epochs", "extra_warmup_epochs", "batch_size", "authors"],
        description="what the claim is not about, so that both arms must share it; else `protocol differs`",
    )

    @model_validator(mode="after")
    def _evaluated(self) -> CheckSpec:
        if self.kind == "cells" and not self.evaluation:
            raise ValueError(f"check {self.name}: needs evaluation")
        if self.decides == bool(self.why):
            raise ValueError(f"check {self.name}: why is for a check that does not decide, and needed there")
        for keys, pair in product(self.over, self.pairs):
            for arm in (pair.treatment, pair.control):
                if not {"variant", "augmentation"} <= {*keys, *arm}:
                    raise ValueError(f"check {self.name}: each arm needs a variant and an augmentation, found {arm}")
        return self

    @property
    def pairs(self) -> list[PairSpec]:
        """The pairs of all forms."""
        return [pair for pairs in self.forms.values() for pair in pairs]

    def protocols(self, probe: str | None) -> list[str]:
        """Return the evaluations by which the claim is judged, the first that a suite has.

        probe: that of the data set of the test images in place of the paper's (`DatasetConfig.probe`), if it has one.
        """
        return [*([probe] if probe in self.instead else []), *self.evaluation]


class ClaimSpec(Model):
    """A claim of the paper as data."""

    statement: str = Field(description="the claim, in our words")
    statement_short: str = Field(max_length=60, description="the same in a line")
    source: str = Field(description="where the paper makes it")
    reported: str = Field(description="what the paper or its repository reports")
    reported_short: str = Field(max_length=90, description="the same in a line")
    decided_by: Literal["all", "any"] = Field(
        description="the claim holds if all of its deciding checks do, or if any does (then with Holm's correction)"
    )
    checks: list[CheckSpec] = Field(min_length=1, description="falsifiable statements")

    @model_validator(mode="after")
    def _unique_names(self) -> ClaimSpec:
        names = [check.name for check in self.checks]
        if len(set(names)) < len(names) or not any(check.decides for check in self.checks):
            raise ValueError(f"checks: names must be unique and one must decide, found {names}")
        return self

    @property
    def forms(self) -> list[Form]:
        """The forms of DDCL that its deciding checks test, the paper's first."""
        deciding = [check for check in self.checks if check.decides]
        return [form for form in LETTERS if any(form in check.forms for check in deciding)]

    @property
    def variants(self) -> list[str]:
        """The variants that its checks compare."""
        arms = [arm for check in self.checks for pair in check.pairs for arm in (pair.treatment, pair.control)]
        return list(dict.fromkeys(arm["variant"] for arm in arms))

    @property
    def evaluations(self) -> list[str]:
        """The evaluations that its checks may rest on, but for the training histories."""
        names = [name for check in self.checks for name in (*check.evaluation, *check.instead)]
        return [name for name in dict.fromkeys(names) if name != MONITOR]

    def row(self, name: str, form: Form) -> str:
        """Return how the row of a form is called, of the claim of this name: ``C1a``; the name where there is one."""
        return f"{name}{LETTERS[form]}" if len(self.forms) > 1 else name


class PlannerSpec(Model):
    """Guesses of `ddcl plan --effect` where nothing was measured."""

    seed_sd: float = Field(gt=0, description="standard deviation over seeds of an accuracy, points")
    pair_correlation: float = Field(ge=-1, lt=1, description="of two methods' accuracies over the same seeds")
    discordance: float = Field(gt=0, le=100, description="percent of test images that one of two methods gets right")
    discordance_shared: float = Field(ge=0, le=1, description="share of its variance that all seeds have in common")
    group_correlation: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="of that share, between two test images of a group; 0: grouping costs nothing",
    )


class StatisticsSpec(Model):
    """config/statistics.yaml: what intervals, tests and the planner rest on."""

    confidence: float = Field(gt=0.5, lt=1, description="of every interval; 1 minus it is the level of every test")
    power: float = Field(gt=0, lt=1, description="of the smallest effect that is called detectable")
    planner: PlannerSpec


def read_statistics() -> StatisticsSpec:
    """Read and check config/statistics.yaml."""
    path = config_path("", "statistics")
    return parse(StatisticsSpec, read_yaml(path), str(path))


def read_claim(name: str) -> ClaimSpec:
    """Read and check config/claims/`name`.yaml; a name that config/ does not have is an error."""
    path = config_path("claims", name)
    claim = parse(ClaimSpec, read_yaml(path), str(path))
    for check in claim.checks:
        where = f"{path}: check {check.name}"
        cells = [cell for pair in check.pairs for cell in pair.model_dump().values()]
        named = [(key, name) for cell in cells for key, name in cell.items()]
        named += [(key, name) for keys in check.over for key, names in keys.items() for name in names]
        named += [("dataset", name) for name in check.smallest_effects]
        _check_names(named, [*check.evaluation, *check.instead], where)
        for gate in check.gates:
            check_name("gate", gate, config_names("gates"), where)
    return claim


def read_gates(claims: Iterable[ClaimSpec]) -> dict[str, GateSpec]:
    """Read and check the gates that the claims name; a name that config/ does not have is an error."""
    names = dict.fromkeys(name for claim in claims for check in claim.checks for name in check.gates)
    gates = {name: read_gate(name) for name in names}
    for name, gate in gates.items():
        named: list[tuple[str, str]] = [*gate.treatment.items(), *gate.control.items()]
        named += [(key, each) for key, several in gate.when.items() for each in several]
        _check_names(named, gate.evaluation, str(config_path("gates", name)))
    return gates


def _check_names(named: list[tuple[str, str]], evaluations: list[str], where: str) -> None:
    """Raise `UserError` for the first name that nothing has. named: keys of cells, with names that stand at them."""
    for key in dict.fromkeys(key for key, _ in named):
        check_known(key, dict.fromkeys(name for own, name in named if own == key), where)
    check_known("evaluation", (name for name in evaluations if name != MONITOR), where)
