"""CPU time of a cold start: every function against a bare handler with one S3 client, in one run, interleaved.

A cold start here is a new Python process that imports the door and makes the adapters (so the clients) that the door
uses. The time is user + system CPU of that process less that of bare Python; a ratio of 1 is the bare handler.
"""

from __future__ import annotations

import os
import re
import resource
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROUNDS = 9
BUDGET = 2.0

BARE_PYTHON = "pass"
BARE_HANDLER = "import boto3; client = boto3.client('s3'); handler = lambda event, context: None"
DOOR = """
import sys
sys.path.insert(0, {folder!r})
import app
from mldr import wiring
world = wiring.world()
for name in {names!r}:
    getattr(world, name)
for service in {lazy!r}:
    world._client(service)
"""
# Clients that an adapter makes on its first call, and that the door always makes.
ON_FIRST_CALL = {
    "restore_serving": ["sagemaker"],
    "warm_serving": ["sagemaker-runtime"],
    "verify_serving": ["sagemaker-runtime"],
    "predict_gateway": ["sagemaker", "sagemaker-runtime"],
    "onboard_model": ["ssm"],
}
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_REGION": "ap-southeast-3",
    "AWS_DEFAULT_REGION": "ap-southeast-3",
    "ENVIRONMENT_NAME": "bench",
    "PEER_REGION": "ap-southeast-1",
    "VAULT_BUCKET": "vault",
    "VAULT_KEY_ARN": "arn:aws:kms:ap-southeast-3:123456789012:key/1",
    "CATALOG_TABLE": "catalog",
    "BUS_NAME": "mldr",
    "POLICY_LOCATION": "s3://config/policy.yaml",
    "STATE_MACHINE_ARN": "arn:aws:states:ap-southeast-3:123456789012:stateMachine:mldr-bench-protect",
    "PAGES_TOPIC_ARN": "arn:aws:sns:ap-southeast-3:123456789012:pages",
    "GATEWAY_SECRET": "mldr/bench/gateway-token",
    "PREDICTION_TABLE": "mldr-bench-predictions",
    "PREDICTION_QUEUE_URL": "https://sqs.ap-southeast-3.amazonaws.com/123456789012/mldr-bench-predictions",
    "ZONE_NAME": "models.mldr.test",
}


def measure() -> dict[str, float]:
    """Return the median CPU seconds of each program, bare Python and the bare handler included."""
    programs = {"bare python": BARE_PYTHON, "bare handler": BARE_HANDLER} | {
        app.parent.name: _door(app) for app in sorted((ROOT / "functions").glob("*/app.py"))
    }
    taken: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(ROUNDS):
        for name, program in programs.items():
            taken[name].append(_cpu(program))
    return {name: statistics.median(times) for name, times in taken.items()}


def _door(app: Path) -> str:
    used = sorted(set(re.findall(r"world(?:\(\))?\.([a-z_]+)", app.read_text())) - {"env"})
    return DOOR.format(folder=str(app.parent), names=used, lazy=ON_FIRST_CALL.get(app.parent.name, []))


def _cpu(program: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(ROOT / "layers/core")}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def table(medians: dict[str, float]) -> list[tuple[str, float, float]]:
    """Return (function, CPU milliseconds over bare Python, ratio to the bare handler), the slowest first."""
    base = medians["bare python"]
    bare = medians["bare handler"] - base
    rows = [
        (name, (value - base) * 1000, (value - base) / bare) for name, value in medians.items() if name != "bare python"
    ]
    return sorted(rows, key=lambda row: -row[2])
