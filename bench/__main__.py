"""`make bench` and `make bench-quick`: measure, print, keep the results, and write them into the documents."""

from __future__ import annotations

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Callable

from bench import cold_start, report, s3_client
from bench.copy import correctness
from bench.copy import race as copies
from bench.results import Results
from bench.scale import measure as scale
from bench.server import Server, started
from bench.snapshots import race as snapshots

ON_SERVER: dict[str, Callable[[Server, Results, bool], None]] = {
    "copy": lambda server, results, quick: copies.run(server, results, quick=quick),
    "correctness": lambda server, results, quick: correctness.run(server, results),
    "snapshots": lambda server, results, quick: snapshots.run(server, results, quick=quick),
}
ALONE: dict[str, Callable[[Results, bool], None]] = {
    "scale": lambda results, quick: scale.run(results, quick=quick),
    "client": lambda results, quick: _client(results),
    "cold_start": lambda results, quick: _cold_start(results),
}

# Snapshots of 100,000 files take as long as half of the rest; CPU time alone needs neither server nor peers.
USUAL = ["copy", "correctness", "scale"]
QUICK = ["copy", "correctness", "snapshots", "scale"]


def main() -> int:
    """Run the named sections. One that fails is told, and the others go on; 0 when all are complete."""
    # Being told to stop must stop the server too, and leave nothing on the disk.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    options = _options()
    began = time.monotonic()
    failed: list[str] = []
    server_sections = [name for name in options.sections if name in ON_SERVER]
    if server_sections:
        with started() as server:
            for name in server_sections:
                _section(name, options, failed, lambda results, name=name: _on(server, name, results, options.quick))
    for name in options.sections:
        if name in ALONE:
            _section(name, options, failed, lambda results, name=name: ALONE[name](results, options.quick))
    report.publish(quick=options.quick)
    minutes = (time.monotonic() - began) / 60
    sys.stdout.write(f"{minutes:.1f} minutes; failed: {', '.join(failed) or 'none'}\n")
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("sections", nargs="*", choices=[*ON_SERVER, *ALONE, []], help=f"default: {', '.join(USUAL)}")
    parser.add_argument("--quick", action="store_true", help="smaller and fewer, to see that it works")
    parser.add_argument("--resume", action="store_true", help="go on where an incomplete run stopped")
    options = parser.parse_args()
    options.sections = options.sections or (QUICK if options.quick else USUAL)
    return options


def _section(name: str, options: argparse.Namespace, failed: list[str], run: Callable[[Results], None]) -> None:
    sys.stdout.write(f"{name} …\n")
    sys.stdout.flush()
    results = Results(name, quick=options.quick, resume=options.resume)
    began = time.monotonic()
    try:
        run(results)
    except Exception:  # noqa: BLE001 - one section's failure must not cost the others' results
        failed.append(name)
        results.problem(traceback.format_exc()[-2000:])
        traceback.print_exc()
        return
    results.document["minutes"] = round((time.monotonic() - began) / 60, 1)
    results.finish()
    report.show(name, quick=options.quick)


def _on(server: Server, name: str, results: Results, quick: bool) -> None:
    results.document["storage"] = server.storage
    ON_SERVER[name](server, results, quick)


def _client(results: Results) -> None:
    rows = s3_client.measure()
    results.add(
        "all", [{"work": row.work, "threads": row.threads, "boto3": row.boto3, "wire": row.wire} for row in rows]
    )


def _cold_start(results: Results) -> None:
    rows = cold_start.table(cold_start.measure())
    results.document["budget"] = cold_start.BUDGET
    results.add(
        "all", [{"function": name, "cpu_ms": round(ms, 1), "ratio": round(ratio, 2)} for name, ms, ratio in rows]
    )


if __name__ == "__main__":
    raise SystemExit(main())
