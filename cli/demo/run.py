"""The acts of the demo, in order. mldr is asked once, to bring the models home; all before it does by itself."""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console

from cli.demo import publish
from cli.demo.cloud import DemoCloud
from cli.demo.region_view import RegionView
from cli.demo.report import Course, Observed, arrived_home
from cli.demo.scene import ACTIVE, GOOD_IN_A_ROW, MODELS, OF_EACH, STANDBY, WATCH_AFTER_HEAL, host_of
from cli.demo.screen import Say, Screen
from cli.demo.traffic import Request, Traffic, good_in_a_row, of_model
from cli.failover import ask
from cli.outcomes import Ended, Exit, from_error
from cli.output import size
from localcloud.edge.resolve import Resolver
from mldr.domain.evidence import Evidence
from mldr.domain.failover import Kind
from mldr.domain.identity import ModelKey
from mldr.domain.model_rules import Tier
from mldr.domain.recovery_point import UNANNOUNCED, Phase, Record

if TYPE_CHECKING:
    from cli.demo.train import Trained

POLL = 0.5  # seconds
LOOK = 3.0  # seconds between two looks that are asked for
FOLLOW = 1.0  # seconds between two looks at what runs: they cost the machine that it runs on
SOON, RECOVERY = 90.0, 180.0  # seconds to wait for
PACKAGES = ("boto3", "moto", "scikit-learn", "awslambdaric", "aws-sam-translator", "dnspython", "mldr")
SHARED = tuple(model for model in MODELS if publish.owed(model).tier is Tier.ACTIVE_ACTIVE)
T = TypeVar("T")
Ids = dict[ModelKey, str]


class Demo:
    """One performance. `close` ends every process that it started."""

    def __init__(self, home: Path, console: Console) -> None:
        self._home, self._screen = home, Screen(console)
        self._cloud = DemoCloud(home)
        self._client: Traffic | None = None
        self._looked = 0.0

    def close(self) -> None:
        """Stop the client and the local cloud."""
        if self._client:
            self._client.stop()
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
        trained = self._raise_curtain()
        self._standby, self._active = RegionView(STANDBY), RegionView(ACTIVE)
        arns, golden = self._publish(trained)
        approved_at = time.time()
        records = self._protect(arns)
        self._onboard()
        self._ask_by_name(golden)
        self._made_ready()
        failed_at, dark_at = self._fail()
        failovers = self._decided()
        recovered = self._recovered(failovers)
        self._served_again()
        healed_at = self._heal({model: evidence.epoch or 0 for model, evidence in recovered.items()})
        home_asked_at = time.time()
        returned = self._go_home()
        self._arrived(home_asked_at)
        asked = {model: self._standby.asked(failover_id) for model, failover_id in failovers.items()}
        calls = self._cloud.api.get(f"calls?since={dark_at}")
        traffic = self._traffic
        traffic.stop()
        owed = {model: publish.owed(model) for model in MODELS}
        courses = [
            Course(model, owed[model].tier, owed[model].health.consecutive_failures, records[model], recovered[model],
                   asked[model], returned[model])
            for model in MODELS
        ]  # fmt: skip
        return Observed(
            courses, traffic.requests(), calls, approved_at, failed_at, healed_at, home_asked_at, _versions()
        )

    def _raise_curtain(self) -> Future[Trained]:
        """Start the cloud, and train the classifier while it comes up."""
        with self._screen.act("two AWS regions, from template.yaml") as say:
            self._cloud.launch()
            trained = ThreadPoolExecutor(1).submit(_train)
            self._cloud.ready(say)
            say(f"AWS at {self._cloud.api.url}, DNS at {self._cloud.dns}")
        return trained

    def _publish(self, trained: Future[Trained]) -> tuple[Ids, dict[ModelKey, list[dict[str, object]]]]:
        with self._screen.act("a digit classifier is trained") as say:
            model_files = trained.result()
            say(f"{model_files.images} images, {model_files.accuracy:.1%} right on those it never saw")
        arns, golden = {}, {}
        with self._screen.act(f"{_many()} registered and served in {ACTIVE}") as say:
            say("uploading and registering")
            role = publish.prepare()
            for model in MODELS:
                publish.upload(model, model_files)
                arns[model] = publish.register(model, model_files)
            say("creating SageMaker endpoints")
            publish.serve(MODELS, role)
            for model in MODELS:
                golden[model] = publish.record_golden(model, model_files)
            say(", ".join(f"{model.name} is {publish.owed(model).tier}" for model in MODELS))
        return arns, golden

    def _protect(self, arns: Ids) -> dict[ModelKey, Record]:
        with self._screen.act("approved; mldr protects them by itself") as say:
            for arn in arns.values():
                publish.approve(arn)
            records = self._wait_for_all(lambda model: self._sealed(model, say), SOON, "no recovery point was sealed")
            objects, held = (sum(getattr(one, what) for one in records.values()) for what in ("objects", "bytes"))
            say(f"{len(records)} recovery points SEALED in {STANDBY}: {objects} objects, {size(held)}")
        return records

    def _sealed(self, model: ModelKey, say: Say) -> Record | None:
        record = self._standby.record(model)
        if record is None:
            return None
        say(f"{record.recovery_point} {record.phase}")
        if record.phase is Phase.FAILED:
            raise Ended(Exit.DOES_NOT_HOLD, f"the recovery point of {model.name} is FAILED: {record.reason}")
        return record if record.phase is Phase.SEALED else None

    def _onboard(self) -> None:
        with self._screen.act("named, with health checks") as say:
            say("waiting for Route 53's checkers to report")
            self._wait_for_all(self._named, SOON, "no name was made")
            say(", ".join(host_of(model) for model in MODELS))

    def _named(self, model: ModelKey) -> str | None:
        record = self._standby.record(model)
        if record and record.reason not in ("", UNANNOUNCED):
            raise Ended(Exit.DOES_NOT_HOLD, f"{model.name} was not onboarded: {record.reason}")
        return self._standby.name(model)

    def _ask_by_name(self, golden: dict[ModelKey, list[dict[str, object]]]) -> None:
        asked = [{"name": model.name, "host": host_of(model), "golden": golden[model]} for model in MODELS]
        place = {"dns": self._cloud.dns, "port": self._cloud.http_port, "token": self._standby.token()}
        with self._screen.act("clients ask by those names") as say:
            self._client = Traffic({**place, "models": asked}, self._home / "requests.jsonl")
            self._screen.traffic = self._client.requests
            address, ttl = Resolver(self._cloud.dns).resolve(host_of(MODELS[0]))
            self._answered_by(ACTIVE, STANDBY)
            say(f"good answers; {host_of(MODELS[0])} is at {address} for {ttl:.0f} s")

    def _made_ready(self) -> None:
        """Wait for what stands by and for the first look; the client asks meanwhile."""
        if warm := [model for model in MODELS if publish.owed(model).tier is not Tier.COLD_STANDBY]:
            with self._screen.act("what their tiers want stands ready") as say:
                stands = self._wait_for_all(self._standby.stands, SOON, "no endpoint stands by", warm)
                say(f"{', '.join(stands.values())} in {STANDBY}")
        if SHARED:
            with self._screen.act("both regions answer") as say:
                say("mldr looks every five minutes whether they can; it is asked to look now")
                shared = self._wait_for_all(self._shared, SOON, "one region answers alone", SHARED)
                say(f"{', '.join(shared.values())} answers beside {ACTIVE}")
        with self._screen.act(f"{STANDBY} watches") as say:
            say("waiting for its first look; it looks on the minute")
            self._wait_for_all(self._standby.health, SOON, "the standby does not watch")
            say("healthy, seen from two vantage points")
            self._answered_as_usual(0.0)

    def _shared(self, model: ModelKey) -> str | None:
        found = self._standby.shared(model)
        if not found and time.monotonic() - self._looked >= LOOK:
            self._standby.look_now(model)
            self._looked = time.monotonic()
        return found

    @property
    def _traffic(self) -> Traffic:
        if self._client is None or not self._client.alive:
            raise Ended(Exit.DOES_NOT_HOLD, "the client died", f"see {self._home / 'requests.log'}")
        return self._client

    def _answered_by(self, *regions: str) -> None:
        """Wait until the newest answers of every model are good and come from one of these regions."""

        def good(model: ModelKey) -> bool:
            return good_in_a_row(of_model(self._traffic.requests(), model), *regions) >= GOOD_IN_A_ROW

        self._wait_for_all(good, SOON, f"{' and '.join(regions)}: no steady answers")

    def _answered_as_usual(self, since: float) -> None:
        """Wait until the newest answers come from the active region, or from both of them where both answer."""

        def good(model: ModelKey) -> bool:
            requests = of_model(self._traffic.requests(), model)
            if model not in SHARED:
                return good_in_a_row(requests, ACTIVE) >= GOOD_IN_A_ROW
            arrived = arrived_home([request for request in requests if request.at >= since], both=True)
            given = Counter(request.region for request in requests if arrived and request.at >= arrived.at)
            both = min(given[ACTIVE], given[STANDBY]) >= OF_EACH
            return both and good_in_a_row(requests, ACTIVE, STANDBY) >= GOOD_IN_A_ROW

        self._wait_for_all(good, SOON, "it is not answered as before")

    def _fail(self) -> tuple[float, float]:
        """Return when the region began to fail, and when it was gone: its own functions still called it in between."""
        with self._screen.act(f"{ACTIVE} fails") as say:
            failed_at = time.time()
            self._cloud.api.post(f"fail/{ACTIVE}")
            say("its APIs refuse; functions, endpoints and gateway are gone")
        return failed_at, time.time()

    def _decided(self) -> Ids:
        with self._screen.act(f"nobody acts; {STANDBY} notices") as say:
            rounds = dict.fromkeys(MODELS, 0)
            failovers = self._wait_for_all(
                lambda model: self._noticed(model, rounds, say), RECOVERY, f"{STANDBY} did not decide to fail over"
            )
            say(", ".join(failovers.values()))
        return failovers

    def _noticed(self, model: ModelKey, rounds: dict[ModelKey, int], say: Say) -> str | None:
        """Return the failover that was asked for, and say how far the slowest model is."""
        health = self._standby.health(model)
        rounds[model] = max(rounds[model], health.unhealthy_rounds if health else 0)
        if least := min(rounds.values()):
            say(f"down from two vantage points, round {least}")
        elif health and (health.unknown_rounds or any(rounds.values())):
            say("the vantage points do not agree yet")
        return self._standby.failover_id(model)

    def _recovered(self, failovers: Ids) -> dict[ModelKey, Evidence]:
        with self._screen.act(f"{STANDBY} takes over") as say:
            return self._concluded(self._standby, failovers, say)

    def _concluded(self, region: RegionView, ids: Ids, say: Say) -> dict[ModelKey, Evidence]:
        """Wait for the evidence of each model, and show what each does now."""
        doing: Ids = {}

        def evidence(model: ModelKey) -> Evidence | None:
            if failure := region.failure(ids[model]):
                raise Ended(Exit.DOES_NOT_HOLD, f"{model.name}, {ids[model]}: {failure}")
            found = region.evidence(model, ids[model])
            doing[model] = "done" if found else region.phase(ids[model])
            say("; ".join(f"{one.name}: {what}" for one, what in doing.items()))
            return found

        found = self._wait_for_all(evidence, RECOVERY, "it did not complete", pause=FOLLOW)
        for model, one in found.items():
            if one.outcome != "completed":
                raise Ended(Exit.DOES_NOT_HOLD, f"{model.name}: it was {one.outcome}: {one.reason}")
        say(", ".join(f"{model.name} by epoch {one.epoch}" for model, one in found.items()))
        return found

    def _served_again(self) -> None:
        with self._screen.act("the clients have their answers again") as say:
            self._answered_by(STANDBY)
            say(f"{GOOD_IN_A_ROW} in a row of each model from {STANDBY}, equal to those before")

    def _heal(self, epochs: dict[ModelKey, int]) -> float:
        with self._screen.act(f"{ACTIVE} heals, and stands down by itself") as say:
            healed_at = time.time()
            self._cloud.api.post(f"heal/{ACTIVE}")
            say(f"waiting until it hears who serves; until then it is watched for {WATCH_AFTER_HEAL:.0f} s at least")
            self._wait_for_all(
                lambda model: self._active.told(model) >= epochs[model], SOON, "it did not hear who serves"
            )
            time.sleep(max(0.0, healed_at + WATCH_AFTER_HEAL - time.time()))
            away = _elsewhere(self._traffic.requests(), healed_at)
            say(f"it heard of the higher epochs; {away} requests were not answered by {STANDBY}")
        return healed_at

    def _go_home(self) -> dict[ModelKey, Evidence]:
        with self._screen.act(f"mldr failback: home to {ACTIVE}") as say:
            asked = {model: ask(model, self._active.place, Kind.FAILBACK, "the demo's region is well again")
                     for model in MODELS}  # fmt: skip
            return self._concluded(self._active, {model: one.failover_id for model, one in asked.items()}, say)

    def _arrived(self, asked_at: float) -> None:
        with self._screen.act("the clients follow") as say:
            self._answered_as_usual(asked_at)
            shared = f"; {' and '.join(model.name for model in SHARED)} from both regions" if SHARED else ""
            say(f"{GOOD_IN_A_ROW} in a row of each model, from {ACTIVE}{shared}")

    def _wait_for_all(
        self,
        look: Callable[[ModelKey], T | None],
        patience: float,
        otherwise: str,
        models: Iterable[ModelKey] = MODELS,
        pause: float = POLL,
    ) -> dict[ModelKey, T]:
        """Look until there is something of each model. Raises Ended with those of which it did not come."""
        deadline, missing = time.monotonic() + patience, list(models)
        found: dict[ModelKey, T] = {}
        while True:
            for model in missing:
                if answer := look(model):
                    found[model] = answer
            missing = [model for model in missing if model not in found]
            if not missing:
                return found
            if time.monotonic() > deadline:
                names = " and ".join(model.name for model in missing)
                raise Ended(Exit.DOES_NOT_HOLD, f"{names}: {otherwise} within {patience:.0f} s")
            time.sleep(pause)


def _train() -> Trained:
    # Imported here because scikit-learn takes a second to load, and the cloud need not wait for it.
    from cli.demo.train import train

    return train()


def _many() -> str:
    return f"{len(MODELS)} models" if len(MODELS) > 1 else "a model"


def _elsewhere(requests: list[Request], since: float) -> int:
    return sum(request.region != STANDBY for request in requests if request.at >= since)


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
