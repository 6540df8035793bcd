"""Results as JSON with date and machine, written after every round: what was measured stays, whatever comes after."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench import machine, tools

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "bench" / "results"
QUICK = ROOT / ".mldr" / "bench"  # a quick run shows that it works; only a full one is worth keeping


class Results:
    """One section's samples. Each belongs to a step, and a step that is done is not measured again on resume."""

    def __init__(self, section: str, *, quick: bool, resume: bool) -> None:
        self._path = (QUICK if quick else KEPT) / f"{section}.json"
        before = json.loads(self._path.read_text()) if resume and self._path.exists() else {}
        if before.get("complete", True):
            before = {"measured": machine.now(), "machine": machine.describe(), "tools": machine.versions(tools.FOLDER)}
        empty: dict[str, Any] = {"samples": [], "steps": [], "problems": [], "problems_of_steps": 0}
        self.document: dict[str, Any] = empty | before | {"complete": False}
        # A step that was cut off is measured again; what hindered it then is no news.
        del self.document["problems"][self.document["problems_of_steps"] :]

    @property
    def samples(self) -> list[dict[str, Any]]:
        """Return everything that was measured so far."""
        return list(self.document["samples"])

    def done(self, step: str) -> bool:
        """Return whether a step was measured already."""
        return step in self.document["steps"]

    def add(self, step: str, samples: Iterable[dict[str, Any]]) -> None:
        """Keep the samples of one step, at once."""
        self.document["samples"] += list(samples)
        self.document["steps"].append(step)
        self.document["problems_of_steps"] = len(self.document["problems"])
        self._write()

    def problem(self, text: str) -> None:
        """Keep what could not be measured, by name."""
        if text not in self.document["problems"]:
            self.document["problems"].append(text)
            self._write()

    def finish(self) -> None:
        """Mark the section as complete."""
        self.document["complete"] = True
        self._write()

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".part")
        draft.write_text(json.dumps(self.document, indent=1, ensure_ascii=False) + "\n")
        draft.replace(self._path)


def load(section: str, *, quick: bool) -> dict[str, Any] | None:
    """Return what a section left, or None."""
    path = (QUICK if quick else KEPT) / f"{section}.json"
    found: dict[str, Any] | None = json.loads(path.read_text()) if path.exists() else None
    return found
