"""What a command prints: JSON on standard output for machines, tables for people, complaints on standard error."""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

PIPED = 200  # columns: what goes into a pipe or a file is not folded at the width of a terminal that is not there
GAP, LEGIBLE = 2, 40  # columns between two of a table; columns that a paragraph wants to be read in
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")]

PHASE_COLOURS = {"SEALED": "green", "FAILED": "red", "withdrawn": "yellow"}


def table(*headers: str) -> Table:
    """Return an empty table that loses no letter, however narrow the terminal."""
    made = Table(box=None, header_style="dim", pad_edge=False, padding=(0, GAP, 0, 0))
    for header in headers:
        made.add_column(header, overflow="fold")
    return made


def width() -> int:
    """Return the columns to print: those of the terminal, or as many as one likes where there is none."""
    said = os.environ.get("COLUMNS", "")
    return int(said) if said.isdigit() else out.width if out.is_terminal else PIPED


def print_table(made: Table) -> None:
    """Print a table as wide as `width` says: the columns that do not fit stand under their row, each with its name."""
    out.width = width()  # rich never prints wider than its console is
    kept = _fitting(made.columns, out.width) if made.show_header else len(made.columns)
    for column in made.columns[: kept - 1]:
        column.no_wrap = made.show_header
    if kept == len(made.columns):
        out.print(made)
        return
    cells = [list(column.cells) for column in made.columns]
    for number in range(made.row_count):
        row = [str(column[number]) for column in cells]
        _print_row(made.columns, row, kept, first=number == 0)


def _fitting(columns: Sequence[Column], room: int) -> int:
    """Return how many columns a row has room for, with no word folded; the last of them may be a paragraph."""
    for kept in range(len(columns), 1, -1):
        left = room - sum(_longest(column) + GAP for column in columns[: kept - 1])
        last = columns[kept - 1]
        if left >= _longest(last) or left >= max(LEGIBLE, _longest(last, words=True)):
            return kept
    return 1


def _longest(column: Column, *, words: bool = False) -> int:
    texts = [Text.from_markup(str(cell)).plain for cell in (column.header, *column.cells)]
    return max((cell_len(part) for text in texts for part in (text.split() if words else text.splitlines())), default=0)


def _print_row(columns: Sequence[Column], row: list[str], kept: int, *, first: bool) -> None:
    shown = table()
    shown.show_header = first
    room = out.width
    for column in columns[:kept]:
        shown.add_column(column.header, overflow="fold", width=min(_longest(column), room))
        room -= _longest(column) + GAP
    shown.add_row(*row[:kept])
    out.print(shown)
    rest = zip(columns[kept:], row[kept:], strict=True)
    under = "  ".join(f"[dim]{column.header}[/] {cell}" for column, cell in rest if cell)
    if under:
        out.print(Padding(Text.from_markup(under), (0, 0, 0, 2)), soft_wrap=False)


def print_json(value: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def size(count: int) -> str:
    """Return a number of bytes as people read it."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return ""


def seconds(span: float | None) -> str:
    """Return a time span as people read it."""
    if span is None:
        return "-"
    if abs(span) < 120:
        return f"{span:.1f} s"
    minutes, rest = divmod(round(span), 60)
    return f"{minutes} min {rest:02d} s"


def moment(at: dt.datetime | None) -> str:
    """Return a time as people read it, in UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else "-"


def phase(name: str) -> str:
    """Return a phase in its colour."""
    colour = PHASE_COLOURS.get(name, "cyan")
    return f"[{colour}]{name}[/]"
