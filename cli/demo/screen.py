"""The demo while it runs: one line per act, the clients' traffic below; plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from cli.demo import strip
from cli.demo.scene import MODELS
from cli.demo.traffic import Request, of_model
from cli.output import seconds

SHOWN = 60.0  # seconds of traffic below the acts
Say = Callable[[str], None]


class Screen:
    """Shows acts as they begin, speak and end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._done: list[tuple[str, str, float]] = []
        self._now: tuple[str, str, float] | None = None
        self._spinner = Spinner("dots", style="cyan")
        self.traffic: Callable[[], list[Request]] | None = None
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=8, transient=False)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._live.stop()

    @property
    def act_name(self) -> str:
        """The act that runs now, or ran last."""
        return self._now[0] if self._now else self._done[-1][0] if self._done else "the start"

    @contextmanager
    def act(self, title: str) -> Iterator[Say]:
        """Run one act; what it says last stays beside it."""
        started = time.monotonic()
        self._now = (title, "", started)
        self._plain(f"• {title}")

        def say(text: str) -> None:
            if self._now and self._now[1] != text:
                self._now = (title, text, started)
                self._plain(f"    {text}")

        yield say
        took = time.monotonic() - started
        self._done.append((title, self._now[1], took))
        self._now = None

    def _plain(self, line: str) -> None:
        if not self._console.is_terminal:
            self._console.print(f"{time.monotonic() - self._began:6.1f} s  {line}", markup=False, highlight=False)

    def _render(self) -> RenderableType:
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(width=1)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        table.add_column(width=8, justify="right", no_wrap=True)
        for title, said, took in self._done:
            table.add_row(Text("✓", "green"), _line(title, said, "dim"), Text(seconds(took), "dim"))
        if self._now:
            title, said, started = self._now
            table.add_row(self._spinner, _line(title, said, "cyan"), Text(seconds(time.monotonic() - started), "cyan"))
        return Group(table, *self._traffic())

    def _traffic(self) -> list[RenderableType]:
        requests = self.traffic() if self.traffic else []
        if not requests:
            return []
        now = time.time()
        good = sum(request.good for request in requests)
        said = Text(f"\n  the clients: {len(requests)} requests, {good} good, {len(requests) - good} failed", "dim")
        wide = max(len(model.name) for model in MODELS)
        lines = []
        for model in MODELS:
            columns = strip.slices(of_model(requests, model), now - SHOWN, now, self._columns(wide))
            lines.append(Text(f"  {model.name:<{wide}} ", "dim") + strip.availability(columns))
        return [said, *lines]

    def _columns(self, wide: int) -> int:
        """Return how many columns the strip of a model may take beside its name."""
        return max(10, min(int(SHOWN), self._console.width - wide - 4))


def _line(title: str, said: str, style: str) -> Text:
    return Text(title) + Text(f"  {said}" if said else "", style)
