"""What a command prints: JSON on standard output for machines, tables for people, complaints on standard error."""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

PIPED = 200  # columns: what goes into a pipe or a file is not folded at the width of a terminal that is not there
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")]

PHASE_COLOURS = {"SEALED": "green", "FAILED": "red", "withdrawn": "yellow"}


def table(*headers: str) -> Table:
    """Return an empty table that loses no letter, however narrow the terminal."""
    made = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for header in headers:
        made.add_column(header, overflow="fold")
    return made


def width() -> int:
    """Return the columns to print: those of the terminal, or as many as one likes where there is none."""
    said = os.environ.get("COLUMNS", "")
    return int(said) if said.isdigit() else out.width if out.is_terminal else PIPED


def print_table(made: Table) -> None:
    """Print a table as wide as `width` says."""
    out.width = width()  # rich never prints wider than its console is
    out.print(made)


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
