"""The acts of the demo, in order. mldr is asked for nothing: its owner approves a version, and that is all."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from cli.demo import publish
from cli.demo.cloud import DemoCloud
from cli.demo.report import Observed
from cli.demo.scene import ACTIVE, GOOD_IN_A_ROW, HOST, STANDBY, WATCH_AFTER_HEAL
from cli.demo.screen import Say, Screen
from cli.demo.standby import StandbyRegion
from cli.demo.traffic import Traffic, good_in_a_row
from cli.demo.train import train
from cli.outcomes import Ended, Exit, from_error
from cli.output import size
from localcloud.edge.resolve import Resolver
from mldr.domain.evidence import Evidence
from mldr.domain.recovery_point import UNANNOUNCED, Phase, Record

POLL = 0.5  # seconds
SOON, RECOVERY = 90.0, 180.0  # seconds to wait for
PACKAGES = ("boto3", "moto", "scikit-learn", "awslambdaric", "aws-sam-translator", "dnspython", "mldr")
T = TypeVar("T")


class Demo:
    """One performance. `close` ends every process that it started."""

    def __init__(self, home: Path, console: Console) -> None:
        self._home, self._screen = home, Screen(console)
        self._cloud = DemoCloud(home)
        self._traffic: Traffic | None = None

    def close(self) -> None:
        """Stop the client and the local cloud."""
        if self._traffic:
            self._traffic.stop()
        self._cloud.stop()

    def play(self) -> Observed:
        """Play all acts; returns what was seen. Raises Ended with the act that went wrong, and where the logs are."""
        with self._screen:
            try:
                return self._play()
            except Exception as error:
                ended = from_error(error)
                advice = f"look into {self._cloud.log} and {self._cloud.state}"
                raise Ended(ended.exit_code, f"{self._screen.act_name}: {ended}", ended.advice or advice) from error

    def _play(self) -> Observed:
        with self._screen.act("two AWS regions, from template.yaml") as say:
            self._cloud.start(say)
            say(f"AWS at {self._cloud.api.url}, DNS at {self._cloud.dns}")
        self._standby = StandbyRegion()
        arn, golden = self._publish()
        approved_at = time.time()
        record = self._protect(arn)
        self._onboard()
        traffic = self._ask_by_name(golden)
        failed_at, dark_at = self._fail()
        failover_id = self._decided()
        evidence = self._recovered(failover_id)
        self._served_again(traffic)
        healed_at = self._heal(traffic)
        asked = self._standby.asked(failover_id)
        calls = self._cloud.api.get(f"calls?since={dark_at}")
        traffic.stop()
        requests = traffic.requests()
        return Observed(record, evidence, asked, requests, calls, approved_at, failed_at, healed_at, _versions())

    def _publish(self) -> tuple[str, list[dict[str, object]]]:
        with self._screen.act("a digit classifier is trained") as say:
            trained = train()
            say(f"{trained.images} images, {trained.accuracy:.1%} right on those it never saw")
        with self._screen.act(f"registered and served in {ACTIVE}") as say:
            say("uploading the artifact")
            publish.upload(trained)
            say("registering the version")
            arn = publish.register(trained)
            say("creating a SageMaker endpoint")
            publish.serve()
            golden = publish.record_golden(trained)
            say(f"{len(golden)} golden inferences recorded from the live endpoint")
        return arn, golden

    def _protect(self, arn: str) -> Record:
        with self._screen.act("approved; mldr protects it by itself") as say:
            publish.approve(arn)
            record = self._wait(lambda: self._sealed(say), SOON, "no recovery point was sealed")
            say(f"{record.recovery_point} SEALED in {STANDBY}: {record.objects} objects, {size(record.bytes)}")
        return record

    def _sealed(self, say: Say) -> Record | None:
        record = self._standby.record()
        if record is None:
            return None
        say(f"{record.recovery_point} {record.phase}")
        if record.phase is Phase.FAILED:
            raise Ended(Exit.DOES_NOT_HOLD, f"the recovery point is FAILED: {record.reason}")
        return record if record.phase is Phase.SEALED else None

    def _onboard(self) -> None:
        with self._screen.act("named, with health checks") as say:
            say("waiting for Route 53's checkers to report")
            self._wait(self._named, SOON, f"{HOST} was not made")
            say(HOST)

    def _named(self) -> str | None:
        record = self._standby.record()
        if record and record.reason not in ("", UNANNOUNCED):
            raise Ended(Exit.DOES_NOT_HOLD, f"the model was not onboarded: {record.reason}")
        return self._standby.name()

    def _ask_by_name(self, golden: list[dict[str, object]]) -> Traffic:
        spec = {"dns": self._cloud.dns, "port": self._cloud.http_port, "token": self._standby.token(), "golden": golden}
        with self._screen.act("a client asks by that name") as say:
            self._traffic = traffic = Traffic(spec, self._home / "requests.jsonl")
            self._screen.traffic = traffic.requests
            address, ttl = Resolver(self._cloud.dns).resolve(HOST)
            self._wait(lambda: self._good(traffic, ACTIVE, 2 * GOOD_IN_A_ROW), SOON, f"{ACTIVE} does not answer")
            say(f"good answers from {ACTIVE}, at {address} for {ttl:.0f} s")
        with self._screen.act(f"{STANDBY} watches") as say:
            say("waiting for its first look; it looks on the minute")
            health = self._wait(self._standby.health, SOON, "the standby does not watch")
            say(f"{health.verdict}, seen from two vantage points")
            self._wait(lambda: self._good(traffic, ACTIVE, GOOD_IN_A_ROW), SOON, f"{ACTIVE} does not answer")
        return traffic

    def _good(self, traffic: Traffic, region: str, count: int) -> bool:
        if not traffic.alive:
            raise Ended(Exit.DOES_NOT_HOLD, "the client died", f"see {self._home / 'requests.log'}")
        return good_in_a_row(traffic.requests(), region) >= count

    def _fail(self) -> tuple[float, float]:
        """Return when the region began to fail, and when it was gone: its own functions still called it in between."""
        with self._screen.act(f"{ACTIVE} fails") as say:
            failed_at = time.time()
            self._cloud.api.post(f"fail/{ACTIVE}")
            say("its APIs refuse; functions, endpoints and gateway are gone")
        return failed_at, time.time()

    def _decided(self) -> str:
        with self._screen.act(f"nobody acts; {STANDBY} notices") as say:
            failover_id = self._wait(lambda: self._noticed(say), RECOVERY, f"{STANDBY} did not decide to fail over")
            say(f"failover {failover_id}")
        return failover_id

    def _noticed(self, say: Say) -> str | None:
        health = self._standby.health()
        if health and health.unhealthy_rounds:
            say(f"down from two vantage points, round {health.unhealthy_rounds}")
        elif health and health.unknown_rounds:
            say("the vantage points do not agree yet")
        return self._standby.failover_id()

    def _recovered(self, failover_id: str) -> Evidence:
        with self._screen.act(f"{STANDBY} takes over") as say:
            evidence = self._wait(lambda: self._concluded(failover_id, say), RECOVERY, "the failover did not complete")
            say(f"{evidence.outcome}, epoch {evidence.epoch}")
        if evidence.outcome != "completed":
            raise Ended(Exit.DOES_NOT_HOLD, f"the failover was {evidence.outcome}: {evidence.reason}")
        return evidence

    def _concluded(self, failover_id: str, say: Say) -> Evidence | None:
        if failure := self._standby.failure(failover_id):
            raise Ended(Exit.DOES_NOT_HOLD, f"the failover failed: {failure}")
        say(self._standby.phase(failover_id))
        return self._standby.evidence(failover_id)

    def _served_again(self, traffic: Traffic) -> None:
        with self._screen.act("the client has its answers again") as say:
            self._wait(lambda: self._good(traffic, STANDBY, GOOD_IN_A_ROW), SOON, "good answers do not come back")
            say(f"{GOOD_IN_A_ROW} in a row from {STANDBY}, equal to those before")

    def _heal(self, traffic: Traffic) -> float:
        with self._screen.act(f"{ACTIVE} heals; the traffic stays") as say:
            healed_at = time.time()
            self._cloud.api.post(f"heal/{ACTIVE}")
            while time.time() < healed_at + WATCH_AFTER_HEAL:
                time.sleep(POLL)
                say(f"watched for {time.time() - healed_at:.0f} s" if not self._screen.is_plain else "watching")
            after = [request for request in traffic.requests() if request.at >= healed_at]
            away = sum(request.region != STANDBY for request in after)
            say(f"{len(after)} more requests, {away} not answered by {STANDBY}")
        return healed_at

    def _wait(self, look: Callable[[], T | None], patience: float, otherwise: str) -> T:
        """Look until there is something. Raises Ended with the act in which it did not come."""
        deadline = time.monotonic() + patience
        while not (found := look()):
            if time.monotonic() > deadline:
                raise Ended(Exit.DOES_NOT_HOLD, f"{otherwise} within {patience:.0f} s")
            time.sleep(POLL)
        return found


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
