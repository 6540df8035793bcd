"""`make bench`: measure, print, and keep the results with their date and machine."""

from __future__ import annotations

import datetime as dt
import json
import platform
import sys
from pathlib import Path

from bench import cold_start

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run every measurement."""
    rows = cold_start.table(cold_start.measure())
    sys.stdout.write(f"{'cold start':24} {'CPU ms':>8} {'ratio':>6}   budget {cold_start.BUDGET}\n")
    for name, milliseconds, ratio in rows:
        mark = "over" if ratio > cold_start.BUDGET else ""
        sys.stdout.write(f"{name:24} {milliseconds:8.0f} {ratio:6.2f}   {mark}\n")
    _keep(
        "cold_start", [{"function": name, "cpu_ms": round(ms, 1), "ratio": round(ratio, 2)} for name, ms, ratio in rows]
    )


def _keep(name: str, rows: list[dict[str, object]]) -> None:
    RESULTS.mkdir(exist_ok=True)
    machine = f"{platform.machine()}, Python {platform.python_version()}, {platform.system()}"
    document = {"measured": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), "machine": machine, "rows": rows}
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
