"""Route 53's health checkers: they probe what the health checks name and say who is healthy.

Rules as Route 53 documents them: every checker asks at the check's RequestInterval and changes its mind after
FailureThreshold equal results in a row; a check is healthy when more than 18 % of its checkers find it so. Until there
is data a check is healthy, an inverted one unhealthy; a disabled check counts as healthy before inversion. A check has
4 s to connect, then 2 s for the status and 2 s for the body, of which the first 5120 bytes are searched; TCP has 10 s.

A CLOUDWATCH_METRIC check follows the data of its alarm's metric (alarm_checks); while there is none it is what
InsufficientDataHealthStatus says, and with LastKnownStatus a new one is healthy.

Differences of the local cloud: three checkers, evenly out of phase, instead of several in each checker region, and a
check declared HTTPS is probed over plain HTTP. An address of a region's HTTP front is probed at the fronts' port.
"""

import heapq
import itertools
import queue
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from moto.route53.models import HealthCheck, route53_backends

from localcloud.edge import alarm_checks
from localcloud.edge.addresses import ACCOUNT
from localcloud.edge.probe import Probe, Result, Target, probe

CHECKERS = ("us-east-1", "eu-west-1", "ap-southeast-1")
METRIC = "CLOUDWATCH_METRIC"
ENDPOINT_TYPES = ("HTTP", "HTTPS", "HTTP_STR_MATCH", "HTTPS_STR_MATCH", "TCP")
DEFAULT_PORTS = {"HTTP": 80, "HTTP_STR_MATCH": 80, "HTTPS": 443, "HTTPS_STR_MATCH": 443}
HEALTHY_SHARE = 0.18
WORKERS = 8
NAP = 0.05
FOLLOWED_EVERY = 2.0  # seconds between two looks at metrics


@dataclass(frozen=True)
class Observation:
    """A checker's latest result, for GetHealthCheckStatus."""

    region: str
    address: str | None
    report: str
    at: float


@dataclass
class Checker:
    """One checker's memory of one health check."""

    region: str
    healthy: bool = True
    streak: int = 0
    last: Observation | None = None

    def learn(self, healthy: bool, threshold: int) -> None:
        """Count the result; change the mind after `threshold` equal results in a row."""
        self.streak = 0 if healthy is self.healthy else self.streak + 1
        if self.streak >= threshold:
            self.healthy, self.streak = healthy, 0


@dataclass
class Watch:
    """All checkers of one health check."""

    checkers: list[Checker] = field(default_factory=lambda: [Checker(region) for region in CHECKERS])

    @property
    def healthy(self) -> bool:
        """The aggregate of the checkers, before inversion."""
        return sum(checker.healthy for checker in self.checkers) > HEALTHY_SHARE * len(self.checkers)

    @property
    def observations(self) -> list[Observation]:
        """What the checkers saw last; empty until the first has reported."""
        return [checker.last for checker in self.checkers if checker.last is not None]


def stored_checks() -> Mapping[str, HealthCheck]:
    """The health checks that moto holds."""
    checks: Mapping[str, HealthCheck] = route53_backends[ACCOUNT]["aws"].health_checks
    return checks


class HealthCheckers:
    """Probes all endpoint checks while it runs; `pace` above 1 shortens the intervals for tests, never the rules."""

    def __init__(
        self,
        address_of: Callable[[str], str | None],
        fronts: Collection[str],
        front_port: int,
        checks: Callable[[], Mapping[str, HealthCheck]] = stored_checks,
        look: Probe = probe,
        pace: float = 1.0,
        samples: alarm_checks.Read = alarm_checks.stored_samples,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._address_of, self._fronts, self._front_port = address_of, fronts, front_port
        self._checks, self._look, self._pace = checks, look, pace
        self._samples, self._now = samples, now
        self._known: dict[str, bool] = {}
        self._watches: dict[str, Watch] = {}
        self._plan: list[tuple[float, int, str, Checker]] = []
        self._order = itertools.count()
        self._jobs: queue.Queue[tuple[str, Checker] | None] = queue.Queue()
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin to probe."""
        threading.Thread(target=self._schedule, name="health-checks", daemon=True).start()
        for number in range(WORKERS):
            threading.Thread(target=self._work, name=f"health-checker-{number}", daemon=True).start()

    def stop(self) -> None:
        """Probe no more; a look that is under way ends by its own timeout."""
        self._stopped.set()
        for _ in range(WORKERS):
            self._jobs.put(None)

    def healthy(self, check_id: str) -> bool:
        """Route 53's verdict; a check that does not exist harms nobody."""
        return self._verdict(check_id, frozenset())

    def observations(self, check_id: str) -> list[Observation]:
        """What each checker saw last."""
        with self._lock:
            watch = self._watches.get(check_id)
        return watch.observations if watch else []

    def statuses(self) -> dict[str, bool]:
        """The verdict of every check."""
        return {check_id: self.healthy(check_id) for check_id in list(self._checks())}

    def _verdict(self, check_id: str, above: frozenset[str]) -> bool:
        check = self._checks().get(check_id)
        if check is None or check_id in above:
            return True
        return self._measured(check, above | {check_id}) is not bool(check.inverted)

    def _measured(self, check: HealthCheck, above: frozenset[str]) -> bool:
        if check.disabled:
            return True
        if check.type_ == "CALCULATED":
            good = sum(self._verdict(child, above) for child in check.children or ())
            return good >= int(check.health_threshold or 0)
        if check.type_ == METRIC:
            return self._followed(check)
        with self._lock:
            watch = self._watches.get(check.id)
        return watch.healthy if watch else True

    def _followed(self, check: HealthCheck) -> bool:
        """What the metric says; it is remembered for the time without data."""
        rule, no_data = alarm_checks.followed(check)
        seen = alarm_checks.healthy(rule, self._samples(rule), self._now())
        if seen is not None:
            self._known[check.id] = seen
            return seen
        return self._known.get(check.id, True) if no_data == "LastKnownStatus" else no_data == "Healthy"

    def _follow(self) -> None:
        """Look at every metric, so that what was known last does not depend on who asked when."""
        for check in list(self._checks().values()):
            if check.type_ == METRIC and not check.disabled:
                self._followed(check)

    def _schedule(self) -> None:
        follow_at = 0.0
        while not self._stopped.wait(NAP):
            self._adopt()
            now = time.monotonic()
            if now >= follow_at:
                self._follow()
                follow_at = now + FOLLOWED_EVERY / self._pace
            with self._lock:
                while self._plan and self._plan[0][0] <= now:
                    _, _, check_id, checker = heapq.heappop(self._plan)
                    self._jobs.put((check_id, checker))

    def _adopt(self) -> None:
        """Start watching new checks, each checker in its own phase; forget deleted ones."""
        checks = dict(self._checks())
        with self._lock:
            for gone in self._watches.keys() - checks.keys():
                del self._watches[gone]
            for check_id, check in checks.items():
                if check.type_ not in ENDPOINT_TYPES or check_id in self._watches:
                    continue
                watch = self._watches[check_id] = Watch()
                for phase, checker in enumerate(watch.checkers):
                    self._due(check_id, checker, self._interval(check) * phase / len(watch.checkers))

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None and not self._stopped.is_set():
            check_id, checker = job
            check = self._checks().get(check_id)
            if check is None:
                continue
            if not check.disabled:
                self._probe(check, checker)
            with self._lock:
                self._due(check_id, checker, self._interval(check))

    def _probe(self, check: HealthCheck, checker: Checker) -> None:
        address = check.ip_address or self._address_of(check.fqdn or "")
        if address is None:
            result = Result(False, "Failure: DNS resolution failed.")
        else:
            result = self._look(self._target(check, address))
        with self._lock:
            checker.last = Observation(checker.region, address, result.report, time.time())
            checker.learn(result.healthy, int(check.failure_threshold))

    def _target(self, check: HealthCheck, address: str) -> Target:
        kind, host = str(check.type_), check.fqdn or address
        port = int(check.port or DEFAULT_PORTS.get(kind, 0))
        named = host if port == DEFAULT_PORTS.get(kind) else f"{host}:{port}"
        at = self._front_port if address in self._fronts else port
        path = "/" + (check.resource_path or "").removeprefix("/")
        return Target(kind, address, at, named, path, check.search_string)

    def _interval(self, check: HealthCheck) -> float:
        return int(check.request_interval) / self._pace

    def _due(self, check_id: str, checker: Checker, delay: float) -> None:
        heapq.heappush(self._plan, (time.monotonic() + delay, next(self._order), check_id, checker))
