"""Runs the deployed functions: warm processes, bounded concurrency, time limits, and moto's Invoke API in front."""

import base64
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.models import LambdaFunction, lambda_backends
from moto.cloudwatch.models import cloudwatch_backends

from localcloud.embedded_metrics import publish
from localcloud.lambda_code import CodeStore
from localcloud.lambda_worker import Deployed, Invocation, Worker, common_environment
from localcloud.outage import Outage
from localcloud.patches import Patches
from localcloud.processes import ForkServers

log = logging.getLogger(__name__)
PER_FUNCTION = 4
TOTAL = 10
WARM_WORKERS = 36  # as many as three models need that move at once: each start takes a processor a third of a second
LOG_LINES_KEPT = 2000
SLOT_SECONDS = 900.0
REGION_FAILED, CLOUD_STOPPED = "failed with its region", "stopped with the local cloud"
ASYNC_RETRY_DELAYS = (0.5, 1.0)


class Throttled(LambdaClientError):
    """The function runs as often as it may."""

    code = 429

    def __init__(self, function: str) -> None:
        super().__init__("TooManyRequestsException", f"Rate Exceeded for {function}.")


class RegionDown(LambdaClientError):
    """The function's region is failed."""

    code = 503

    def __init__(self, region: str) -> None:
        super().__init__("ServiceException", f"Lambda is not available in {region}.")


class Slots:
    """How many invocations run now: per function, and in all."""

    def __init__(self, outage: Outage) -> None:
        self._changed = threading.Condition()
        self._running: Counter[tuple[str, str]] = Counter()
        self._down = set(outage.regions())
        outage.subscribe(self._on_outage)

    def take(self, deployed: Deployed, warm: Callable[[], bool]) -> None:
        """Wait for a slot. Reserved concurrency throttles at once, as in AWS; this machine's own bounds only delay.

        What all functions may run together bounds the starts of processes: where one is `warm`, it waits for an event.
        """
        key = (deployed.region, deployed.name)
        with self._changed:
            if deployed.reserved is not None and self._running[key] >= deployed.reserved:
                raise Throttled(deployed.name)
            limit = PER_FUNCTION if deployed.reserved is None else deployed.reserved
            if not self._changed.wait_for(lambda: self._free(key, limit, warm), SLOT_SECONDS):
                raise Throttled(deployed.name)
            if deployed.region in self._down:
                raise RegionDown(deployed.region)
            self._running[key] += 1

    def give_back(self, deployed: Deployed) -> None:
        """The invocation is over."""
        with self._changed:
            self._running[deployed.region, deployed.name] -= 1
            self._changed.notify_all()

    def _free(self, key: tuple[str, str], limit: int, warm: Callable[[], bool]) -> bool:
        room = self._running[key] < limit and (self._running.total() < TOTAL or warm())
        return room or key[0] in self._down

    def _on_outage(self, region: str, failed: bool) -> None:
        with self._changed:
            (self._down.add if failed else self._down.discard)(region)
            self._changed.notify_all()


class LambdaRuntime:
    """Every function of both regions, run on this machine."""

    def __init__(
        self,
        account: str,
        outage: Outage,
        state: Path,
        overrides: Mapping[str, str],
        idle_seconds: float = 180.0,
    ) -> None:
        """`state` holds code and logs; `overrides` wins over the environment that a template gives its functions."""
        self._account = account
        self._outage = outage
        self._logs = state / "logs"
        self._code = CodeStore(state / "functions", overrides)
        self._idle_seconds = idle_seconds
        self._idle: dict[str, list[Worker]] = {}
        self._workers: set[Worker] = set()
        self._lock = threading.Lock()
        self._slots = Slots(outage)
        self._forks = ForkServers(common_environment())
        self._over = threading.Event()
        self._patches = Patches()
        self._later = ThreadPoolExecutor(max_workers=4, thread_name_prefix="asynchronous invoke")
        outage.subscribe(self._on_outage)

    def start(self) -> None:
        """Take moto's Invoke API over and begin to stop idle workers."""
        self._patches.replace(LambdaFunction, "_invoke_lambda", self._moto_invoke_lambda())
        self._patches.replace(LambdaFunction, "invoke", self._moto_invoke())
        threading.Thread(target=self._stop_idle_workers, name="idle workers", daemon=True).start()

    def stop(self) -> None:
        """Kill every worker."""
        self._over.set()
        self._patches.undo()
        self._kill(lambda _worker: True, CLOUD_STOPPED)
        self._forks.stop()
        self._later.shutdown(wait=False, cancel_futures=True)

    def invoke(self, region: str, function: str, payload: bytes) -> Invocation:
        """Run the function on one event and wait for what comes of it."""
        found = lambda_backends[self._account][region].get_function(function)
        return self._run(found, payload)

    def invoke_later(self, region: str, function: str, payload: bytes) -> None:
        """Run it in the background; an error is tried again twice (AWS waits a minute and two, here seconds)."""
        found = lambda_backends[self._account][region].get_function(function)
        self._enqueue(found, payload)

    def _run(self, function: LambdaFunction, payload: bytes) -> Invocation:
        if self._over.is_set() or self._outage.failed(function.region):
            raise RegionDown(function.region)
        deployed = self._code.deployed(function)
        self._slots.take(deployed, lambda: self._waits(deployed))
        try:
            worker = self._worker(deployed)
            outcome = worker.run(payload)
            self._settle(worker)
        finally:
            self._slots.give_back(deployed)
        if worker.stopped_because in (REGION_FAILED, CLOUD_STOPPED):
            raise RegionDown(deployed.region)
        self._keep_log(function, outcome)
        return outcome

    def _waits(self, deployed: Deployed) -> bool:
        """Whether a process of the function waits for an event."""
        with self._lock:
            return bool(self._idle.get(f"{deployed.region}/{deployed.name}"))

    def _worker(self, deployed: Deployed) -> Worker:
        with self._lock:
            waiting = self._idle.setdefault(f"{deployed.region}/{deployed.name}", [])
            while waiting:
                worker = waiting.pop()
                if worker.alive and worker.deployed.fingerprint == deployed.fingerprint:
                    return worker
                worker.stop("replaced")
                self._workers.discard(worker)
        self._make_room()
        worker = Worker(deployed, self._logs / deployed.region / f"{deployed.name}.log", self._forks)
        with self._lock:
            self._workers.add(worker)
        if self._over.is_set() or self._outage.failed(deployed.region):
            worker.stop(REGION_FAILED)
        return worker

    def _settle(self, worker: Worker) -> None:
        with self._lock:
            if worker.alive:
                self._idle[f"{worker.deployed.region}/{worker.deployed.name}"].append(worker)
            else:
                self._workers.discard(worker)

    def _make_room(self) -> None:
        with self._lock:
            idle = sorted((one for waiting in self._idle.values() for one in waiting), key=lambda one: one.idle_since)
            surplus = idle[: max(len(self._workers) - WARM_WORKERS + 1, 0)]
        self._kill(surplus.__contains__, "idle")

    def _stop_idle_workers(self) -> None:
        while not self._over.wait(1):
            limit = time.monotonic() - self._idle_seconds
            with self._lock:
                old = [one for waiting in self._idle.values() for one in waiting if one.idle_since < limit]
            if old:
                self._kill(old.__contains__, "idle")

    def _kill(self, doomed: Any, reason: str) -> None:
        with self._lock:
            killed = [worker for worker in self._workers if doomed(worker)]
            self._workers.difference_update(killed)
            for name, waiting in self._idle.items():
                self._idle[name] = [worker for worker in waiting if worker not in killed]
        for worker in killed:
            worker.stop(reason)
        for worker in killed:
            worker.join()

    def _on_outage(self, region: str, failed: bool) -> None:
        if failed:
            self._kill(lambda worker: worker.deployed.region == region, REGION_FAILED)

    def _try(self, function: LambdaFunction, payload: bytes, delays: Sequence[float]) -> None:
        """One attempt of an asynchronous invocation; the next one waits outside of the pool."""
        try:
            failed = self._run(function, payload).error
        except LambdaClientError:
            self._after(1.0, function, payload, delays)
        else:
            if failed and delays:
                self._after(delays[0], function, payload, delays[1:])
            elif failed:
                log.warning("%s failed for the last time; its event is dropped", function.function_arn)

    def _after(self, seconds: float, function: LambdaFunction, payload: bytes, delays: Sequence[float]) -> None:
        timer = threading.Timer(seconds, self._enqueue, (function, payload, delays))
        timer.daemon = True
        timer.start()

    def _enqueue(self, function: LambdaFunction, payload: bytes, delays: Sequence[float] = ASYNC_RETRY_DELAYS) -> None:
        if not self._over.is_set():
            self._later.submit(self._try, function, payload, delays)

    def _keep_log(self, function: LambdaFunction, outcome: Invocation) -> None:
        """CloudWatch Logs keeps the latest lines, CloudWatch their metrics; the files keep all."""
        if not outcome.log:
            return
        publish(cloudwatch_backends[self._account][function.region], outcome.log)
        backend, group, stream = function.logs_backend, function.logs_group_name, "local"
        backend.ensure_log_group(group)
        streams = backend.groups[group].streams
        with self._lock:
            if stream not in streams:
                backend.create_log_stream(group, stream)
            now = int(time.time() * 1000)
            lines = [{"timestamp": now, "message": line} for line in outcome.log.splitlines()]
            backend.put_log_events(group, stream, lines)
            del streams[stream].events[:-LOG_LINES_KEPT]

    def _moto_invoke_lambda(self) -> Any:
        def invoke(function: LambdaFunction, event: Any = None) -> tuple[str, bool, str]:
            outcome = self._run(function, json.dumps({} if event is None else event).encode())
            return outcome.payload.decode(), outcome.error, outcome.log

        return invoke

    def _moto_invoke(self) -> Any:
        def invoke(function: LambdaFunction, body: Any, request: Any, response: Any) -> bytes:
            payload = body.encode() if isinstance(body, str) else bytes(body or b"")
            kind = {key.lower(): value for key, value in dict(request).items()}.get("x-amz-invocation-type")
            if kind == "DryRun":
                return b""
            if kind == "Event":
                self._enqueue(function, payload or b"{}")
                return b""
            outcome = self._run(function, payload or b"{}")
            if outcome.error:
                response["x-amz-function-error"] = "Unhandled"
            response["x-amz-log-result"] = base64.b64encode(outcome.log.encode()[-4096:]).decode()
            return outcome.payload

        return invoke
