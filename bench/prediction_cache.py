"""What the prediction cache adds to a prediction, what calls of its stores cost, and what fixed slots cost in hits.

`python -m bench.prediction_cache [--quick]`. The services are moto in a child process: times are those of the gateway's
own code, of botocore and of a server on this machine, and no word about AWS's. The endpoint answers at once, so the
ratio to a prediction without a cache is the worst there can be.
"""

from __future__ import annotations

import argparse
import base64
import datetime as dt
import itertools
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config

from bench.results import Results
from mldr.aws.catalog import DynamoCatalog
from mldr.aws.clock import SystemClock
from mldr.aws.prediction_cache import DynamoPredictionCache, QueuedOffers
from mldr.aws.serving import SageMakerServing
from mldr.domain.identity import ModelKey
from mldr.domain.policy import Policy
from mldr.domain.prediction_cache import Cached, Look, fingerprint, slot_of
from mldr.steps import serve_gateway
from mldr.steps.cache_predictions import Predictions, Question
from mldr.steps.know_leader import Leaders

REGION, ACCOUNT = "ap-southeast-1", "123456789012"
MODEL = ModelKey(registry="sagemaker", name="churn")
PACKAGE = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/churn/1"
LONG_AGO = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SIZES = (1_000, 16_000, 128 * 1024)
ENTRIES = 10_000
KEY = "any"
SERVER = """
import sys, time
from localcloud.server import Server, moto_application
server = Server(moto_application(), 0)
server.start()
print(server.url, flush=True)
sys.stdin.read()
"""
POLICY = """
version: 1
regions: [ap-southeast-1, ap-southeast-3]
models:
  - match: sagemaker/churn
"""


class Standing:
    """What does not change while it is measured: the policy, the token, and what the endpoint is made of."""

    def __init__(self, text: str) -> None:
        self._policy = Policy.parse(text)

    def load(self) -> tuple[Policy, str]:
        """Return the policy."""
        return self._policy, "1"

    def valid(self, _: str) -> bool:
        """Every token is right."""
        return True

    def present(self) -> str:
        """Nobody asks."""
        return ""

    def contents(self, _: str) -> frozenset[str]:
        """One version of the registry."""
        return frozenset({PACKAGE})

    def look(self, endpoint: str) -> Look:
        """In service, for long: SageMaker is asked once in five seconds, which is not measured here."""
        return Look(status="InService", config=endpoint, contents=self.contents(endpoint), models=1,
                    made_at=LONG_AGO, changed_at=LONG_AGO)  # fmt: skip


class Gateway:
    """The real gateway's step on real adapters."""

    def __init__(self, url: str) -> None:
        session = boto3.Session(aws_access_key_id="bench", aws_secret_access_key=KEY, region_name=REGION)

        def client(service: str) -> Any:
            once = Config(retries={"total_max_attempts": 1})
            return session.client(service, endpoint_url=url, config=once)  # type: ignore[call-overload]

        self.dynamodb, self.sqs, self.s3, self.events = map(client, ("dynamodb", "sqs", "s3", "events"))
        for table in ("catalog", "predictions"):
            self.dynamodb.create_table(
                TableName=table, BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            )  # fmt: skip
        self.queue = self.sqs.create_queue(QueueName="predictions")["QueueUrl"]
        self.s3.create_bucket(Bucket="cache", CreateBucketConfiguration={"LocationConstraint": REGION})
        self.catalog = DynamoCatalog(self.dynamodb, table="catalog")
        self.cache = DynamoPredictionCache(lambda: self.dynamodb, table="predictions")
        self.offers = QueuedOffers(lambda: self.sqs, queue_url=self.queue, region=REGION)
        runtime = client("sagemaker-runtime")
        self.serving = SageMakerServing(lambda: None, lambda: runtime, lambda: None, lambda: None)  # type: ignore[arg-type, return-value]
        nobody: Any = None
        self.leaders = Leaders(
            region=REGION, peer_region="ap-southeast-3", catalog=self.catalog, outside=nobody, fronts=nobody,
            clock=SystemClock(),
        )  # fmt: skip

    def ask(self, policies: Standing, body: bytes) -> serve_gateway.Answer:
        """One prediction."""
        predictions = Predictions(
            region=REGION, cache=self.cache, endpoints=policies, catalog=self.catalog, policies=policies,
            clock=SystemClock(),
        )  # fmt: skip
        front = serve_gateway.Front(
            tokens=policies, leaders=self.leaders, policies=policies, serving=self.serving, predictions=predictions,
            offers=self.offers,
        )  # fmt: skip
        return front.predict(MODEL, Question(body=body, content_type="application/json", accept=""), token=KEY)

    def keep(self, body: bytes, size: int) -> None:
        """What the keeper does with an offered answer."""
        self.cache.keep(entry(body, size))


def entry(body: bytes, size: int) -> Cached:
    """An answer of some bytes to a request."""
    from mldr.domain.prediction_cache import key_of

    now, request = dt.datetime.now(dt.UTC), fingerprint(body, "application/json", "")
    return Cached(
        model=MODEL, version=PACKAGE, key=key_of(MODEL, PACKAGE, request), slot=slot_of(request, ENTRIES), epoch=0,
        endpoint="churn", asked_at=now, answered_at=now, expires=now + dt.timedelta(hours=1),
        content_type="application/json", body=base64.b64encode(os.urandom(size)).decode(),
    )  # fmt: skip


@contextmanager
def gateway() -> Iterator[Gateway]:
    """A gateway on a moto of its own."""
    environment = {**os.environ, "PYTHONPATH": "layers/core:."}
    child = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        yield Gateway(child.stdout.readline().strip() if child.stdout else "")
    finally:
        child.kill()
        child.wait()


def cpu() -> float:
    """User and system seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def timed(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, dict[str, float]]:
    """Wall and CPU milliseconds of each call, medians, interleaved so that all see the same machine."""
    wall: dict[str, list[float]] = {name: [] for name in calls}
    busy: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            began, used = time.perf_counter(), cpu()
            call()
            wall[name].append(time.perf_counter() - began)
            busy[name].append(cpu() - used)
    return {
        name: {
            "wall_ms": round(statistics.median(wall[name]) * 1000, 2),
            "p90_ms": round(statistics.quantiles(wall[name], n=10)[8] * 1000, 2),
            "cpu_ms": round(statistics.fmean(busy[name]) * 1000, 2),
        }
        for name in calls
    }


def on_the_path(rounds: int) -> list[dict[str, Any]]:
    """A prediction without a cache, one that misses, and one that hits."""
    without, with_cache = Standing(POLICY), Standing(POLICY + "    cache: {ttl: 1h}\n")
    with gateway() as front:
        known = b'{"instances": [[1, 2, 3]]}'
        front.keep(known, 1_000)
        fresh = (f'{{"instances": [[{number}]]}}'.encode() for number in itertools.count())
        calls: dict[str, Callable[[], object]] = {
            "no cache": lambda: front.ask(without, known),
            "miss": lambda: front.ask(with_cache, next(fresh)),
            "hit": lambda: front.ask(with_cache, known),
        }
        marks = {name: (front.ask(with_cache, body).headers.get("x-mldr-cache")) for name, body in
                 (("hit", known), ("miss", b'{"instances": "warm"}'))}  # fmt: skip
        if marks != {"hit": "hit", "miss": "miss"}:
            raise RuntimeError(f"the cache does not answer as it should: {marks}")
        found = timed(calls, rounds)
    base = found["no cache"]["wall_ms"]
    return [{"what": name, **times, "ratio": round(times["wall_ms"] / base, 2)} for name, times in found.items()]


def of_the_stores(rounds: int) -> list[dict[str, Any]]:
    """One call of each candidate, by the size of the answer."""
    samples = []
    with gateway() as front:
        for size in SIZES:
            body = f'{{"size": {size}}}'.encode()
            one, content = entry(body, size), os.urandom(size)
            front.cache.keep(one)
            front.s3.put_object(Bucket="cache", Key="k", Body=content)
            detail = one.model_dump_json()
            event = [{"Source": "mldr", "DetailType": "Predictions Kept", "Detail": detail}]
            calls: dict[str, Callable[[], object]] = {
                "read: BatchGetItem": lambda one=one: front.cache.read(MODEL, one.slot),  # type: ignore[misc]
                "read: S3 GetObject": lambda: len(front.s3.get_object(Bucket="cache", Key="k")["Body"].read()),
                "write: PutItem": lambda one=one: front.cache.keep(one),  # type: ignore[misc]
                "write: SendMessage": lambda one=one: front.offers.offer(one),  # type: ignore[misc]
                "write: PutEvents": lambda event=event: front.events.put_events(Entries=event),  # type: ignore[misc]
                "write: S3 PutObject": lambda content=content: front.s3.put_object(  # type: ignore[misc]
                    Bucket="cache", Key="k", Body=content
                ),
            }
            samples += [{"bytes": size, "what": name, **times} for name, times in timed(calls, rounds).items()]
    return samples


def of_slots(requests: int) -> list[dict[str, Any]]:
    """Hit rate of fixed slots against an exact LRU of as many entries, on Zipf-like streams (seed 4)."""
    samples = []
    for skew, distinct in itertools.product((0.8, 1.0, 1.2), (5_000, 20_000, 100_000)):
        draw = random.Random(4)
        weights = list(itertools.accumulate(1 / rank**skew for rank in range(1, distinct + 1)))
        stream = draw.choices(range(distinct), cum_weights=weights, k=requests)
        prints = [fingerprint(str(number).encode(), "application/json", "") for number in range(distinct)]
        slots: dict[int, int] = {}
        lru: OrderedDict[int, None] = OrderedDict()
        hits = {"slots": 0, "lru": 0}
        for number in stream:
            slot = slot_of(prints[number], ENTRIES)
            hits["slots"] += slots.get(slot) == number
            slots[slot] = number
            hits["lru"] += number in lru
            lru[number] = None
            lru.move_to_end(number)
            if len(lru) > ENTRIES:
                lru.popitem(last=False)
        samples.append(
            {"skew": skew, "distinct": distinct, **{name: round(count / requests, 3) for name, count in hits.items()}}
        )
    return samples


def main() -> int:
    """Measure, keep the results and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, to see that it works")
    quick = parser.parse_args().quick
    results = Results("prediction_cache", quick=quick, resume=False)
    results.document["load_before"] = os.getloadavg()
    results.add("path", [{"part": "path", **one} for one in on_the_path(30 if quick else 300)])
    results.add("stores", [{"part": "stores", **one} for one in of_the_stores(10 if quick else 100)])
    results.add("slots", [{"part": "slots", **one} for one in of_slots(20_000 if quick else 200_000)])
    results.document["load_after"] = os.getloadavg()
    results.finish()
    sys.stdout.write("".join(f"{one}\n" for one in results.samples))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
