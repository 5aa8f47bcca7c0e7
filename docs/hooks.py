"""What MkDocs adds to the pages of this folder: the reference, which is made from the code."""

from __future__ import annotations

from typing import Any

from mkdocs.structure.files import File, Files

from ddcl.reference import PAGES


def on_files(files: Files, config: Any) -> Files:
    """Add the reference pages."""
    for path, page in PAGES.items():
        files.append(File.generated(config, path, content=page()))
    return files
