"""Digests of code: blind to layout and words, awake to every statement that is reached."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ddcl.base import fingerprint
from ddcl.plan import digests as stages
from ddcl.schema.registry import EVALUATIONS, METHODS, READERS

ROOT = Path(__file__).resolve().parents[2]

FILES = {
    "mini/__init__.py": '"""A package."""\n',
    "mini/root.py": '''
        """The root."""

        import json

        from mini.middle import double
        from mini.words import WORD


        class Thing:
            """A thing."""

            def run(self, x: int) -> int:
                """Run."""
                return double(x)  # twice
        ''',
    "mini/middle.py": '''
        """In between."""

        def double(x):
            from mini import leaf

            return leaf.add(x, x)
        ''',
    "mini/leaf.py": "def add(a, b):\n    return a + b\n",
    "mini/words.py": 'from mini.behind import B\n\nWORD = "label"\n',
    "mini/behind.py": "B = 1\n",
    "mini/apart.py": "A = 1\n",
}


@pytest.fixture
def mini(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small package in a folder of its own, in place of the project."""
    import textwrap

    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))
    monkeypatch.setattr(fingerprint, "ROOT", tmp_path)
    monkeypatch.setattr(fingerprint, "PACKAGES", ("mini",))
    monkeypatch.setattr(fingerprint, "NEUTRAL", ("mini.words",))
    forget()
    yield tmp_path / "mini"
    forget()


def forget() -> None:
    """Forget what was read, as a new process does."""
    for function in (fingerprint.module_path, fingerprint._read, fingerprint.code_digest):
        function.cache_clear()


def digest(*roots: str) -> str:
    """Return the digest as a new process would."""
    forget()
    return fingerprint.code_digest(*(roots or ("mini.root",)))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_closure_follows_imports_without_the_neutral_modules(mini: Path) -> None:
    """`from mini import leaf` inside a function counts; what only a neutral module imports does not."""
    assert fingerprint.closure(["mini.root"]) == ["mini", "mini.leaf", "mini.middle", "mini.root"]
    assert fingerprint.closure(["mini.apart", "mini.leaf"]) == ["mini.apart", "mini.leaf"]


def test_comments_docstrings_and_layout_keep_the_digest(mini: Path) -> None:
    before = digest()
    edit(mini / "root.py", "  # twice", "  # two times")
    edit(mini / "root.py", '"""The root."""', '"""The root,\n\nin more words."""')
    edit(mini / "root.py", '"""A thing."""\n', '"""Another thing."""\n\n\n\n')
    edit(mini / "root.py", '        """Run."""\n', "")
    edit(mini / "root.py", "return double(x)", "return double(\n            x,\n        )")
    edit(mini / "leaf.py", "a + b", "(a  +  b)")
    edit(mini / "__init__.py", "A package", "The package")
    assert digest() == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("root.py", "double(x)", "double(x + 1)"),
        ("middle.py", "leaf.add(x, x)", "leaf.add(x, -x)"),
        ("leaf.py", "a + b", "a - b"),
        ("leaf.py", "return a + b", "print(a)\n    return a + b"),
        ("__init__.py", '"""A package."""', "X = 1"),
    ],
)
def test_a_changed_statement_changes_the_digest_however_deep(mini: Path, name: str, old: str, new: str) -> None:
    before = digest()
    edit(mini / name, old, new)
    assert digest() != before


def test_a_string_that_is_no_docstring_counts(mini: Path) -> None:
    edit(mini / "leaf.py", "return a + b", 'c = "x"\n    return a + b')
    before = digest()
    edit(mini / "leaf.py", '"x"', '"y"')
    assert digest() != before


def test_other_modules_and_neutral_ones_keep_the_digest(mini: Path) -> None:
    before = digest()
    edit(mini / "apart.py", "A = 1", "A = 2")
    edit(mini / "words.py", '"label"', '"another label"')
    edit(mini / "behind.py", "B = 1", "B = 2")
    assert digest() == before


def test_a_new_import_brings_its_module_in(mini: Path) -> None:
    before = digest()
    edit(mini / "leaf.py", "def add", "import mini.apart\n\n\ndef add")
    after = digest()
    assert after != before
    edit(mini / "apart.py", "A = 1", "A = 2")
    assert digest() != after


def test_digest_does_not_depend_on_the_order_of_roots(mini: Path) -> None:
    assert digest("mini.leaf", "mini.apart") == digest("mini.apart", "mini.leaf") != digest("mini.leaf")


def test_unknown_module_is_an_error(mini: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"mini\.nothing"):
        digest("mini.nothing")


# --- the project's own modules


@pytest.mark.parametrize("name", METHODS)
def test_pretraining_digest_covers_engine_method_losses_and_draws(name: str) -> None:
    own = METHODS[name].target.split(":")[0]
    reached = fingerprint.closure(["ddcl.training", own])
    expected = {own, "ddcl.training", "ddcl.build", "ddcl.core.pretrain", "ddcl.core.optim", "ddcl.core.seeds"}
    expected |= {"ddcl.core.encoders", "ddcl.core.checkpoint", "ddcl.core.losses", "ddcl.data.loader"}
    expected |= {"ddcl.data.views", "ddcl.data.fused_kernels"}
    if METHODS[name].trains and name != "cross_entropy":  # whose head is one linear layer
        expected.add("ddcl.core.heads")
    assert expected <= set(reached)
    of_this_file = [entry.load() for entry in METHODS.values() if entry.target.split(":")[0] == own]
    built_on = {base.__module__ for cls in of_this_file for base in cls.__mro__}  # methods that are another and more
    others = {entry.target.split(":")[0] for entry in METHODS.values()} - {own, *built_on}
    assert not others & set(reached)  # another method's edit retrains nothing of this one


def test_evaluation_digests_cover_their_protocol_and_not_the_others() -> None:
    linear = fingerprint.closure(["ddcl.evaluate.record", "ddcl.evaluate.linear"])
    assert {"ddcl.evaluate.record", "ddcl.evaluate.linear", "ddcl.evaluate.store"} <= set(linear)
    assert "ddcl.evaluate.knn" not in linear
    assert "ddcl.core.pretrain" not in linear


def test_stages_have_different_digests_of_the_right_form() -> None:
    digests = [
        *(stages.pretrain_digest(name, ops) for name in METHODS for ops in ([], ["rotation"])),
        *(stages.extract_digest(name, ops) for name in METHODS for ops in ([], ["rotation"])),
        *(stages.evaluate_digest("ddcl", name) for name in EVALUATIONS),
        *{stages.prepare_digest(name) for name in READERS},  # those that live in one file share theirs
        stages.collect_digest(),
        stages.report_digest(),
        stages.page_digest(),
    ]
    assert all(len(text) == 16 and int(text, 16) >= 0 for text in digests)
    # methods that live in one file, as both DDCL forms do, share their four digests; where only features are here, both
    # stages lie in one file
    files = {(entry.target.split(":")[0], entry.encodes) for entry in METHODS.values()}
    assert len(set(digests)) == len(digests) - 4 * (len(METHODS) - len(files)) - 2
