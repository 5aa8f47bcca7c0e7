"""How to cite the paper and this suite, as BibTeX made from CITATION.cff."""

from __future__ import annotations

from typing import Any

from ddcl.schema.paper import read_citation


def bibtex() -> str:
    """Return one entry for each work that CITATION.cff names: the references (the paper), then the suite itself."""
    suite = read_citation()
    works = [*suite["references"], suite]
    return "\n\n".join(_entry(work) for work in works) + "\n"


def sources() -> list[tuple[str, str]]:
    """Return text and address of the paper and of its official code."""
    (paper,) = read_citation()["references"]
    names = ", ".join(author["family-names"] for author in paper["authors"])
    venue = paper["collection-title"].rpartition("(")[2].rstrip(")")
    return [(f"Paper: {names}, {venue} {paper['year']}", paper["url"]), ("official code", paper["repository-code"])]


def _entry(work: dict[str, Any]) -> str:
    """Return the entry of a work in the Citation File Format."""
    paper = work["type"] == "conference-paper"
    numbers = [item["value"] for item in work.get("identifiers", [])]
    fields = {
        "title": f"{{{work['title']}}}",  # braces keep the capitals
        "author": " and ".join(map(_author, work["authors"])),
        "booktitle": work.get("collection-title"),
        "year": work.get("year"),
        "version": work.get("version"),
        "note": ", ".join(numbers) or None,
    }
    first = work["authors"][0]
    key = f"{first['family-names'].lower()}{work['year']}" if paper else "ddcl_suite"
    lines = [f"  {name:9} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{'inproceedings' if paper else 'software'}{{{key},", *lines, "}"])


def _author(author: dict[str, str]) -> str:
    """Return `Family, Given`, or a name that is not taken apart in braces."""
    if "name" in author:
        return f"{{{author['name']}}}"
    return f"{author['family-names']}, {author['given-names']}"
