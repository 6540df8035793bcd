"""The health checkers judge endpoints by Route 53's rules; the tests only shorten the intervals."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from moto.route53.models import HealthCheck

from localcloud.edge.health_checks import CHECKERS, Checker, HealthCheckers
from localcloud.edge.probe import Result, Target, Timeouts, probe

FRONT = "127.0.0.11"
PACE = 100.0


class Page(ThreadingHTTPServer):
    """An endpoint whose answer the test decides."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), PageHandler)
        self.status, self.body, self.delay = 200, b"all is well", 0.0
        self.seen: list[tuple[str, str | None]] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])


class PageHandler(BaseHTTPRequestHandler):
    """Says what the page says."""

    server: Page

    def do_GET(self) -> None:
        """The one answer."""
        self.server.seen.append((self.path, self.headers.get("Host")))
        time.sleep(self.server.delay)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Stay quiet."""


@pytest.fixture
def page() -> Iterator[Page]:
    """A healthy endpoint."""
    made = Page()
    yield made
    made.shutdown()
    made.server_close()


class Checks:
    """Health checks under test, probed by a look that the test decides, or for real."""

    def __init__(self, look: Callable[[Target], Result] | None = None, front_port: int = 1) -> None:
        self.stored: dict[str, HealthCheck] = {}
        self.targets: list[Target] = []
        self.good: Callable[[Target], bool] = lambda _target: True
        self.checkers = HealthCheckers(
            {"gateway.test": FRONT}.get, [FRONT], front_port, lambda: self.stored, look or self._look, PACE
        )

    def _look(self, target: Target) -> Result:
        self.targets.append(target)
        return Result(self.good(target), "Success" if self.good(target) else "Failure")

    def add(self, check_id: str, kind: str = "HTTPS", **settings: Any) -> None:
        """One health check, as moto stores it."""
        described = {"type": kind, "request_interval": 10, "failure_threshold": 3, "ip_address": "192.0.2.1"} | settings
        made = HealthCheck(check_id, check_id, described)  # type: ignore[abstract]
        made.port = described.get("port")  # type: ignore[assignment]
        made.set_children(described.get("children", []))
        self.stored[check_id] = made


@pytest.fixture
def checks() -> Iterator[Checks]:
    """Running checkers, no checks."""
    made = Checks()
    made.checkers.start()
    yield made
    made.checkers.stop()


def until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    """Wait for the condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_a_new_check_is_healthy_and_an_inverted_one_unhealthy_until_there_is_data() -> None:
    made = Checks()
    made.add("e")
    made.add("t", inverted=True)
    assert made.checkers.healthy("e")
    assert not made.checkers.healthy("t")
    assert made.checkers.observations("e") == []


def test_three_failures_in_a_row_make_a_checker_change_its_mind(checks: Checks) -> None:
    failing: set[str] = set()
    checks.good = lambda target: target.address not in failing
    checks.add("e")
    until(lambda: len(checks.checkers.observations("e")) == len(CHECKERS))
    failing.add("192.0.2.1")
    asked = len(checks.targets)
    until(lambda: not checks.checkers.healthy("e"))
    assert len(checks.targets) - asked >= 3 * len(CHECKERS) - 2
    failing.clear()
    asked = len(checks.targets)
    until(lambda: checks.checkers.healthy("e"))
    assert len(checks.targets) - asked >= 3


def test_only_failures_in_a_row_count() -> None:
    checker = Checker("us-east-1")
    for healthy in (False, False, True, False, False):
        checker.learn(healthy, 3)
        assert checker.healthy
    checker.learn(False, 3)
    assert not checker.healthy
    for healthy in (True, True, False, True, True):
        checker.learn(healthy, 3)
        assert not checker.healthy
    checker.learn(True, 3)
    assert checker.healthy


def test_one_checker_of_three_that_sees_it_healthy_is_enough() -> None:
    made = Checks()
    made.add("e", failure_threshold=1)
    made.checkers.start()
    until(lambda: len(made.checkers.observations("e")) == len(CHECKERS))
    made.checkers.stop()
    time.sleep(0.2)
    watch = made.checkers._watches["e"]
    for checker in watch.checkers[:2]:
        checker.learn(False, 1)
    assert made.checkers.healthy("e")
    watch.checkers[2].learn(False, 1)
    assert not made.checkers.healthy("e")


def test_a_disabled_check_is_healthy_and_not_probed(checks: Checks) -> None:
    checks.good = lambda _target: False
    checks.add("e", disabled=True)
    checks.add("t", disabled=True, inverted=True)
    time.sleep(0.4)
    assert checks.targets == []
    assert checks.checkers.healthy("e")
    assert not checks.checkers.healthy("t")


@pytest.mark.parametrize(
    ("threshold", "healthy"), [(0, True), (1, True), (2, False), (3, False)], ids=["zero", "met", "missed", "too many"]
)
def test_a_calculated_check_counts_its_healthy_children(checks: Checks, threshold: int, healthy: bool) -> None:
    checks.add("e", failure_threshold=1)
    checks.add("t", inverted=True, failure_threshold=1)
    until(lambda: len(checks.checkers.observations("t")) == len(CHECKERS))
    checks.add("p", "CALCULATED", health_threshold=threshold, children=["e", "t"])
    assert checks.checkers.healthy("p") is healthy
    checks.add("s", "CALCULATED", health_threshold=threshold, children=["e", "t"], inverted=True)
    assert checks.checkers.healthy("s") is not healthy


def test_the_takeover_switch_moves_both_records(checks: Checks) -> None:
    taken: set[str] = set()
    checks.good = lambda target: target.path != "/takeover" or bool(taken)
    checks.add("e", resource_path="/health", failure_threshold=1)
    checks.add("t", resource_path="/takeover", inverted=True, failure_threshold=1)
    checks.add("p", "CALCULATED", health_threshold=2, children=["e", "t"])
    checks.add("s", "CALCULATED", health_threshold=1, children=["t"], inverted=True)
    until(lambda: checks.checkers.healthy("p") and not checks.checkers.healthy("s"))
    taken.add("yes")
    until(lambda: not checks.checkers.healthy("p") and checks.checkers.healthy("s"))
    assert checks.checkers.statuses() == {"e": True, "t": False, "p": False, "s": True}


def test_a_deleted_check_is_forgotten_and_harms_nobody(checks: Checks) -> None:
    checks.good = lambda _target: False
    checks.add("e", failure_threshold=1)
    until(lambda: not checks.checkers.healthy("e"))
    del checks.stored["e"]
    assert checks.checkers.healthy("e")
    until(lambda: checks.checkers.observations("e") == [])


def test_a_name_of_a_front_is_probed_at_the_fronts_port_over_http(checks: Checks) -> None:
    checks.add("e", ip_address=None, fqdn="gateway.test", resource_path="models/iris/health", port=443)
    until(lambda: checks.targets)
    assert checks.targets[0] == Target("HTTPS", FRONT, 1, "gateway.test", "/models/iris/health")


def test_a_name_without_an_address_fails(checks: Checks) -> None:
    checks.add("e", ip_address=None, fqdn="nowhere.test", failure_threshold=1)
    until(lambda: not checks.checkers.healthy("e"))
    observation = checks.checkers.observations("e")[0]
    assert observation.report == "Failure: DNS resolution failed."
    assert observation.address is None


def test_a_real_endpoint_is_watched_while_it_dies_and_comes_back(page: Page) -> None:
    made = Checks(look=probe)
    made.add("e", "HTTP", ip_address="127.0.0.1", port=page.port, fqdn="page.test", resource_path="/health?deep=1")
    with ExitStack() as stack:
        made.checkers.start()
        stack.callback(made.checkers.stop)
        until(lambda: len(made.checkers.observations("e")) == len(CHECKERS))
        assert "HTTP Status Code: 200" in made.checkers.observations("e")[0].report
        assert page.seen[0] == ("/health?deep=1", f"page.test:{page.port}")
        page.status = 503
        until(lambda: not made.checkers.healthy("e"))
        assert "HTTP Status Code: 503" in made.checkers.observations("e")[0].report
        page.status = 302
        until(lambda: made.checkers.healthy("e"))


def target(page: Page, kind: str = "HTTP", search: str | None = None) -> Target:
    """What a check of the page asks."""
    return Target(kind, "127.0.0.1", page.port, "page.test", "/", search)


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (399, True), (400, False), (404, False), (500, False)])
def test_statuses_from_200_to_399_are_healthy(page: Page, status: int, healthy: bool) -> None:
    page.status = status
    assert probe(target(page)).healthy is healthy


def test_the_search_string_counts_in_the_first_5120_bytes_only(page: Page) -> None:
    page.body = b"x" * 5113 + b"healthy"
    assert probe(target(page, "HTTP_STR_MATCH", "healthy")).healthy
    assert not probe(target(page, "HTTP_STR_MATCH", "Healthy")).healthy
    page.body = b"x" + page.body
    assert not probe(target(page, "HTTP_STR_MATCH", "healthy")).healthy


def test_an_endpoint_that_takes_too_long_is_unhealthy(page: Page) -> None:
    page.delay = 0.3
    assert probe(target(page), Timeouts(status=2.0)).healthy
    assert not probe(target(page), Timeouts(status=0.1)).healthy


def test_a_tcp_check_needs_a_connection_only(page: Page) -> None:
    page.status = 500
    assert probe(target(page, "TCP")).healthy
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        refused = probe(Target("TCP", "127.0.0.1", closed.getsockname()[1], "page.test"))
    assert not refused.healthy
    assert "refused" in refused.report
