"""Show results on the terminal, and write them into docs/performance.md between their markers."""

from __future__ import annotations

import re
import sys
from typing import Any

from rich.console import Console
from rich.table import Table as Shown

from bench import plots, results, tables
from bench.prices import PRICES
from bench.tables import MAKERS, Document, Table

PAGE = results.ROOT / "docs" / "performance.md"
IMAGES = results.ROOT / "docs" / "images"
WIDTH = 180  # columns of a log
MARKED = re.compile(r"(<!-- bench: ([a-z_]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def show(section: str, *, quick: bool) -> None:
    """Print a section's tables."""
    document = results.load(section, quick=quick)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    for make in MAKERS[section] if document else ():
        _print(console, make(document or {}))
    for problem in (document or {}).get("problems", ()):
        console.print(f"[red]{problem}[/red]", markup=True, highlight=False)


def _print(console: Console, table: Table) -> None:
    shown = Shown(title=table.title)
    for number, head in enumerate(table.heads):
        shown.add_column(head, justify="left" if number == 0 else "right")
    for row in table.rows:
        shown.add_row(*(cell.replace("**", "") for cell in row))
    console.print(shown)


def publish(*, quick: bool) -> None:
    """Draw the plot and, after a full run, write the tables into the page: what was not measured stays as it is."""
    copy = results.load("copy", quick=quick)
    folder = results.QUICK if quick else IMAGES
    if copy and copy["samples"]:
        folder.mkdir(parents=True, exist_ok=True)
        plots.race(copy, folder / "copy.png")
    if not quick:
        PAGE.write_text(MARKED.sub(_filled, PAGE.read_text()))


def _filled(found: re.Match[str]) -> str:
    begin, name, end = found.groups()
    text = _text(name)
    return f"{begin}\n{text}\n\n{end}" if text else found.group()


def _text(name: str) -> str:
    """Return what belongs between two markers; empty while nothing was measured."""
    if name == "prices":
        rows = [[what, f"{price.dollars:.10f}".rstrip("0"), price.unit, price.source] for what, price in PRICES.items()]
        return Table("", ("price", "$", "for one", "read at"), rows).markdown()
    maker = getattr(tables, name, None)
    section = "machine" if name == "machine" else _section(name)
    if name == "machine":
        return _machine()
    document = results.load(section, quick=False)
    if maker is None or not document or not document.get("samples"):
        return ""
    table: Table = maker(document)
    return "\n\n".join([table.markdown(), *(f"Not measured: {problem}" for problem in _short(document))])


def _section(name: str) -> str:
    return next(section for section, makers in MAKERS.items() if name in {make.__name__ for make in makers})


def _short(document: Document) -> list[str]:
    return [problem.splitlines()[0][:200] for problem in document["problems"]]


def _machine() -> str:
    lines = []
    for section in MAKERS:
        document: dict[str, Any] | None = results.load(section, quick=False)
        if document and "tools" in document:
            lines.append(_line(section, document))
    return "\n".join(lines)


def _line(section: str, document: Document) -> str:
    machine, used = document["machine"], document["tools"]
    where = f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_gib']} GiB, Linux {machine['kernel']}"
    said = ", ".join(f"{name} {version}" for name, version in used.items())
    kept = f"; {document['storage']}" if "storage" in document else ""
    whole = "" if document["complete"] else " **This run did not come to its end.**"
    return (
        f"- {section.replace('_', ' ')}: {document['measured']}, {where}, Python {machine['python']}, "
        f"load before the run {machine['load_before']}, {document.get('minutes', 0):g} minutes; {said}{kept}.{whole}"
    )
