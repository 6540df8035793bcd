"""How far a transfer is: as JSON, as one line that fits its terminal, and as what is missing."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from cli.output import err, size
from cli.regions import Place
from mldr.domain.transfers import Progress, WorkItem, progress

BAR = 24  # columns, where there is room
Told = dict[str, Any]
QUIET = 30.0  # seconds after which a log gets another line, whatever changed
STEP = 0.1  # of the whole, after which it gets one at once


def progress_of(place: Place, owner: str, name: str) -> Progress | None:
    """Return how far the plan in force for a recovery point or a snapshot is; None while there is none."""
    transfer = place.catalog.transfer(owner, name)
    if transfer is None:
        return None
    items = place.catalog.items(transfer)
    ends = [item.done_at for item in items if item.done_at]
    # What is complete has the rate at which it came, not one that falls for ever after.
    over = len(ends) == len(items) and bool(ends)
    return progress(transfer, items, max(ends) if over else dt.datetime.now(dt.UTC))


def told(found: Progress | None, *, missing: bool = False) -> Told | None:
    """Return the JSON object `transfer`."""
    if found is None:
        return None
    answer: Told = {
        "objects": found.objects,
        "objects_done": found.objects_done,
        "bytes": found.bytes,
        "bytes_done": found.bytes_done,
        "rate": round(found.rate) if found.rate else None,
        "expected_at": found.expected_at.isoformat() if found.expected_at else None,
        "complete": found.complete,
    }
    return answer | ({"missing": [_piece(item) for item in found.missing]} if missing else {})


def _piece(item: WorkItem) -> dict[str, Any]:
    return {"item": item.item, "first": item.first, "last": item.last, "objects": item.objects, "bytes": item.bytes}


def share(found: Told) -> float:
    """Return how much of what moves has arrived, from 0 to 1; of the objects, where nothing moves."""
    if found["complete"]:
        return 1.0
    done, whole = (found["bytes_done"], found["bytes"]) if found["bytes"] else (found["objects_done"], found["objects"])
    return float(min(done / whole, 1.0)) if whole else 0.0


def sentence(found: Told, width: int, *, bar: bool = True) -> str:
    """Return one line of at most `width` columns: what matters most comes first, what has no room is left out."""
    line = f"{share(found):.0%}"
    for piece in _pieces(found):
        if len(line) + 2 + len(piece) > width:
            break
        line += f"  {piece}"
    if bar and len(line) + 2 + BAR <= width:
        filled = int(share(found) * BAR)
        line = f"{'━' * filled}{'╌' * (BAR - filled)}  {line}"
    return line


def _pieces(found: Told) -> list[str]:
    objects = f"{found['objects_done']} of {found['objects']} objects"
    if found["complete"]:
        return [size(found["bytes"]), f"{found['objects']} objects"]
    moved = f"{size(found['bytes_done'])} of {size(found['bytes'])}" if found["bytes"] else "nothing to move"
    rate = [f"{size(found['rate'])}/s"] if found["rate"] else []
    end = [f"complete about {_clock(dt.datetime.fromisoformat(found['expected_at']))}"] if found["expected_at"] else []
    return [moved, objects, *rate, *end]


def _clock(at: dt.datetime) -> str:
    today = at.astimezone(dt.UTC).date() == dt.datetime.now(dt.UTC).date()
    return f"{at.astimezone(dt.UTC):%H:%M:%S UTC}" if today else f"{at.astimezone(dt.UTC):%d %b %H:%M UTC}"


@dataclass
class Ticker:
    """Shows how far it is while one waits: a line that moves on a terminal, now and then a line of a log elsewhere."""

    quiet: bool = False
    console: Console = field(default_factory=lambda: err)
    _live: Live | None = None
    _said: tuple[float, float] = (-1.0, 0.0)  # the share, and when it was told

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def phase(self, line: str) -> None:
        """Say something once and for all."""
        self.stop()
        if not self.quiet:
            self.console.print(line)

    def show(self, found: Told | None) -> None:
        """Show how far it is now."""
        if self.quiet or found is None:
            return
        if self.console.is_terminal:
            text = Text(sentence(found, self.console.width - 1), no_wrap=True, overflow="crop")
            if self._live is None:
                self._live = Live(console=self.console, transient=True, auto_refresh=False)
                self._live.start()
            self._live.update(text, refresh=True)
        elif share(found) - self._said[0] >= STEP or time.monotonic() - self._said[1] >= QUIET:
            self._said = (share(found), time.monotonic())
            self.console.print(sentence(found, 200, bar=False), highlight=False)

    def stop(self) -> None:
        """Take the moving line away."""
        if self._live:
            self._live.stop()
            self._live = None
