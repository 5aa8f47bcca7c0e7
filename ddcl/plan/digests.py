"""Which code can move which stage's numbers: the roots of the digests in the rules' parameters and in the records."""

from __future__ import annotations

from collections.abc import Iterable

from ddcl.base.files import digest_text
from ddcl.base.fingerprint import ROOT, code_digest
from ddcl.schema.ops import OPS
from ddcl.schema.pictures import DRAWINGS
from ddcl.schema.registry import EVALUATIONS, METHODS, READERS

OF_FEATURES = "ddcl.encoders.stages"  # what is done with encoders of which only features are here


def _module(target: str) -> str:
    return target.split(":")[0]


def _modules(ops: Iterable[str]) -> list[str]:
    """Return the modules of operations; sorted, so that a digest is made once whatever their order."""
    return sorted({OPS[name].module for name in ops})


def _stage(method: str, usual: str) -> str:
    """Return the module of a stage: the usual one, or that of encoders of which only features are here."""
    return usual if METHODS[method].encodes else OF_FEATURES


def prepare_digest(reader: str) -> str:
    """Return the digest of the code that prepares a data set."""
    return code_digest("ddcl.data.prepare", _module(READERS[reader].target))


def pretrain_digest(method: str, ops: Iterable[str]) -> str:
    """Return the digest of the code that trains `method` under an augmentation of the operations `ops`."""
    return code_digest(_stage(method, "ddcl.training"), _module(METHODS[method].target), *_modules(ops))


def extract_digest(method: str, ops: Iterable[str]) -> str:
    """Return the digest of the code that extracts features of `method` under perturbations of the operations `ops`."""
    return code_digest(_stage(method, "ddcl.evaluate.features"), _module(METHODS[method].target), *_modules(ops))


def evaluate_digest(method: str, protocol: str) -> str:
    """Return the digest of the code that evaluates `method` by `protocol`."""
    entry = EVALUATIONS[protocol]
    given = [] if METHODS[method].encodes else [OF_FEATURES]
    return code_digest("ddcl.evaluate.record", *given, _module(entry.target), *_modules(entry.ops))


def picture_digest(drawing: str, methods: Iterable[str], ops: Iterable[str]) -> str:
    """Return the digest of the code that draws a picture of trained `methods`; `ops`: of their augmentations."""
    entry = DRAWINGS[drawing]
    roots = [_module(entry.target), *sorted({_module(METHODS[method].target) for method in methods})]
    return code_digest("ddcl.pictures.render", *roots, *_modules([*entry.ops, *ops]))


def collect_digest() -> str:
    """Return the digest of the code that gathers records."""
    return code_digest("ddcl.report.collect")


def report_digest() -> str:
    """Return the digest of the code that turns gathered records into tables, figures and the page."""
    return code_digest("ddcl.render")


def page_digest() -> str:
    """Return the digest of the same code and of the templates: what writes HTML."""
    templates = sorted((ROOT / "ddcl/report/templates").iterdir())
    return digest_text("\n".join([report_digest(), *(path.read_bytes().hex() for path in templates)]))
