"""Both takeover switches keep the same promises, as Route 53 sees them: off, on after the flip, never by accident.

Each is built by the real adapter from the plan of a route, and its verdicts are the local cloud's health checkers':
T, the role `takeover`, is healthy while the switch is off.
"""

import datetime as dt

import pytest
from moto.route53.models import route53_backends

from localcloud.edge import alarm_checks
from localcloud.edge.health_checks import HealthCheckers
from localcloud.edge.probe import Result
from mldr.aws.dns import Route53Dns
from mldr.aws.metrics import CloudWatchMetrics
from mldr.aws.switches import GatewaySwitch, MetricSwitch
from mldr.domain.failover import Epoch, Kind, Takeover
from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Beside, Standing
from mldr.domain.routing import CheckTimes, Front, Spread, SwitchKind, plan_route
from mldr.steps import serve_gateway
from mldr.steps.show_switches import show_switches
from mldr.steps.switch_traffic import emit_switch
from tests.contract.conftest import ACCOUNT, ACTIVE, STANDBY
from tests.fakes.serving import Endpoint
from tests.fakes.world import FakeWorld, settings

CHURN = ModelKey(registry="sagemaker", name="churn")
FRONTS = [Front(region=name, host=f"gateway.{name}.example", target=f"t.{name}.example") for name in (ACTIVE, STANDBY)]
TIMES = CheckTimes(interval=10, threshold=3, ttl=30)


class Region:
    """One region's gateway and schedule, over fakes but for what the checkers read."""

    def __init__(self, moto, clock, name, peer):
        self.world = FakeWorld(env=settings().model_copy(update={"aws_region": name, "peer_region": peer}), clock=clock)
        self.world.metrics = Dated(CloudWatchMetrics(moto.client("cloudwatch", name), environment="test"))
        self.up = True

    def show(self):
        """The schedule's round."""
        world = self.world
        if self.up:
            show_switches(
                catalog=world.catalog,
                leaders=world.leaders,
                policies=world.policies,
                deep=world.deep_health,
                metrics=world.metrics,
            )

    def answers(self, path):
        """What the gateway says to a checker."""
        leaders, world = self.world.leaders, self.world
        if path.endswith("/takeover"):
            return serve_gateway.takeover(CHURN, leaders=leaders).status
        return serve_gateway.health(CHURN, leaders=leaders, policies=world.policies, deep=world.deep_health).status


class Dated:
    """Metrics that can be kept from arriving."""

    def __init__(self, metrics):
        self._metrics, self.lost = metrics, False

    def publish(self, figures):
        if not self.lost:
            self._metrics.publish(figures)


class Place:
    """One model's switch of a kind: the home, the standby, and Route 53 between them."""

    def __init__(self, moto, kind, spread=None):
        self.kind, self.blind = kind, set()
        first = FakeWorld()
        self.home = Region(moto, first.clock, ACTIVE, STANDBY)
        self.standby = Region(moto, first.clock, STANDBY, ACTIVE)
        self.clock, self.seconds = first.clock, 0.0
        self.route = plan_route(
            CHURN,
            "models.example",
            active=FRONTS[0],
            standby=FRONTS[1],
            times=TIMES,
            kind=SwitchKind(kind),
            spread=spread,
        )
        dns = Route53Dns(
            moto.client("route53", "us-east-1"),
            lambda region: moto.client("cloudwatch", region),
            zone="models.example",
            transport="https:443",
            owner="test",
            environment="test",
        )
        self.checks = dns.ensure_checks(CHURN, self.route)
        self.checkers = HealthCheckers(
            lambda host: host,
            [],
            0,
            lambda: route53_backends[ACCOUNT]["aws"].health_checks,
            self._look,
            samples=self._samples,
            now=lambda: self.seconds,
        )
        self._arrived: list[tuple[alarm_checks.Rule, float, float]] = []
        self.standby.world.catalog.put_route(CHURN, self.route, self.checks)
        standing = Standing(
            epoch=0, holder=ACTIVE, home=ACTIVE, kind=Kind.HOME, since=None, route=self.route, version=None,
            learned_at=first.clock.now(),
        )  # fmt: skip
        self.home.world.catalog.learn(CHURN, standing)
        self.standby.world.catalog.learn(CHURN, standing.model_copy(update={"route": None}))
        self.home.world.serving.endpoints["churn"] = self.standby.world.serving.endpoints["churn"] = Endpoint()

    def beside(self):
        """Something answers in the standby beside the home."""
        row = Beside(
            home=ACTIVE, endpoint="churn", recovery_point="v1", counts={"main": 1}, since=self.clock.now()
        )  # fmt: skip
        self.standby.world.catalog.put_beside(CHURN, row, None)

    def _look(self, target):
        region = self.home if ACTIVE in target.address else self.standby
        if target.address in self.blind or not region.up:
            return Result(False, "Failure: connection timed out")
        return Result(region.answers(target.path) < 400, "asked")

    def _samples(self, rule):
        """moto stamps data with the time of this machine: what is new since the last look is of this instant."""
        seen = alarm_checks.stored_samples(rule)
        known = [one for one in self._arrived if one[0] == rule]
        self._arrived += [(rule, self.seconds, value) for _, value in seen[len(known) :]]
        return [(at, value) for of, at, value in self._arrived if of == rule]

    def minutes(self, count=1):
        """Time goes by: the schedules run, and every checker looks three times."""
        for _ in range(count):
            self.clock.move(seconds=60)
            self.seconds += 60
            self.home.show()
            self.standby.show()
            self.look()

    def look(self):
        """Every checker looks often enough to change its mind; metrics are read."""
        self.checkers._adopt()
        for check_id, watch in self.checkers._watches.items():
            for checker in watch.checkers * 3:
                self.checkers._probe(self.checkers._checks()[check_id], checker)
        self.checkers._follow()

    def flip(self, region, number, kind=Kind.FAILOVER):
        """A region's catalog says that it took the model over, and it is shown as flip_switch shows it."""
        world, name = region.world, region.world.env.aws_region
        epoch = Epoch(
            number=number, failover_id=f"f{number}", region=name, recovery_point="v1", claimed_at=self.clock.now()
        )
        world.catalog.claim(CHURN, epoch, world.catalog.epoch(CHURN))
        takeover = Takeover(
            epoch=number, endpoint="churn", recovery_point="v1", flipped_at=self.clock.now(), home=ACTIVE, kind=kind
        )
        world.catalog.flip(CHURN, takeover, epoch)
        signal = MetricSwitch(world.metrics) if self.kind == "metric" else GatewaySwitch()
        note = emit_switch(CHURN, takeover, region=name, signal=signal, routing=world.routing_controls)
        self.look()
        return note

    def learns(self, region, number, holder, kind=Kind.FAILOVER):
        """A region hears of a higher epoch of its peer, as its gateway would."""
        standing = Standing(
            epoch=number, holder=holder, home=ACTIVE, kind=kind, since=self.clock.now(), route=self.route, version=None,
            learned_at=self.clock.now(),
        )  # fmt: skip
        region.world.catalog.learn(CHURN, standing)
        region.world.catalog.stand_down(CHURN, standing)

    def dns(self):
        """Which region Route 53 answers: the primary too when both are unhealthy."""
        primary, secondary = (self.checkers.healthy(self.checks[one]) for one in ("primary", "secondary"))
        return STANDBY if secondary and not primary else ACTIVE

    def shared(self):
        """Which regions Route 53 answers a name of both with: all of them when none is healthy."""
        well = {record.region for record in self.route.records if self.checkers.healthy(self.checks[record.check])}
        return well or {ACTIVE, STANDBY}

    def off(self):
        """Whether Route 53 believes that the switch is off."""
        return self.checkers.healthy(self.checks["takeover"])

    def unreachable(self):
        """The checkers see nothing of the standby from now on, though it lives."""
        self.blind.add(FRONTS[1].host)
        self.standby.world.metrics.lost = True


@pytest.fixture(params=["https", "metric"])
def place(request):
    return Place(request.getfixturevalue("moto"), request.param)


def test_it_is_off_before_anybody_took_over(place):
    place.minutes(3)
    assert place.off()
    assert place.dns() == ACTIVE
    assert place.checkers.healthy(place.checks["endpoint"])


def test_it_is_on_at_once_after_the_flip_and_stays_on(place):
    place.minutes(2)
    assert place.flip(place.standby, 1) == ""
    assert not place.off()
    assert place.dns() == STANDBY
    place.minutes(10)
    assert place.dns() == STANDBY


def test_the_home_that_heals_does_not_pull_its_clients_back(place):
    place.minutes(2)
    place.home.up = False
    place.minutes(3)
    place.flip(place.standby, 1)
    place.home.up = True
    place.learns(place.home, 1, STANDBY)
    place.minutes(5)
    assert (place.off(), place.dns()) == (False, STANDBY)


def test_it_is_off_after_the_standby_stood_down(place):
    place.minutes(2)
    place.flip(place.standby, 1)
    place.minutes(2)
    place.flip(place.home, 2, Kind.FAILBACK)
    place.learns(place.standby, 2, ACTIVE, Kind.FAILBACK)
    place.minutes(2)
    assert place.off()
    assert place.dns() == ACTIVE
    assert place.checkers.healthy(place.checks["endpoint"])


def test_it_goes_on_again_after_it_was_taken_back(place):
    place.minutes(2)
    place.flip(place.standby, 1)
    place.flip(place.home, 2, Kind.FAILBACK)
    place.learns(place.standby, 2, ACTIVE, Kind.FAILBACK)
    place.minutes(3)
    place.home.up = False
    place.minutes(4)
    place.flip(place.standby, 3)
    assert place.dns() == STANDBY
    place.minutes(5)
    assert place.dns() == STANDBY


def test_an_outage_of_the_home_alone_never_turns_it_on(place):
    place.minutes(2)
    place.home.up = False
    place.minutes(10)
    assert not place.checkers.healthy(place.checks["endpoint"])
    assert place.off()
    assert place.dns() == ACTIVE


def test_an_outage_of_both_never_turns_it_on(place):
    place.minutes(2)
    place.home.up = place.standby.up = False
    place.minutes(10)
    assert place.off()
    assert place.dns() == ACTIVE


def test_a_sick_home_turns_nothing_on(place):
    place.minutes(2)
    place.home.world.serving.endpoints.clear()
    place.minutes(4)
    assert not place.checkers.healthy(place.checks["endpoint"])
    assert (place.off(), place.dns()) == (True, ACTIVE)


def test_a_flip_that_the_checkers_cannot_see_changes_nothing_and_works_once_they_do(place):
    """The old state stays."""
    place.minutes(2)
    place.unreachable()
    place.flip(place.standby, 1)
    place.minutes(10)
    assert (place.off(), place.dns()) == (True, ACTIVE)
    place.blind.clear()
    place.standby.world.metrics.lost = False
    place.minutes(1)
    assert (place.off(), place.dns()) == (False, STANDBY)


def test_the_holder_that_dies_does_not_keep_its_clients_once_the_home_took_over(place):
    place.minutes(2)
    place.flip(place.standby, 1)
    place.minutes(2)
    place.standby.up = False
    place.minutes(5)
    place.flip(place.home, 2, Kind.FAILOVER)
    place.minutes(1)
    assert place.checkers.healthy(place.checks["endpoint"])
    assert place.dns() == ACTIVE


# a name that both regions answer


@pytest.fixture(params=["https", "metric"])
def both(request):
    made = Place(request.getfixturevalue("moto"), request.param, Spread(by="weight"))
    made.beside()
    return made


def test_both_regions_are_answered_while_both_are_well(both):
    both.minutes(3)
    assert both.shared() == {ACTIVE, STANDBY}
    assert both.off()


def test_a_region_that_is_lost_falls_out_without_a_switch_and_comes_back(both):
    both.minutes(3)
    for region, left in ((both.home, STANDBY), (both.standby, ACTIVE)):
        region.up = False
        both.minutes(4)
        assert (both.shared(), both.off()) == ({left}, True)
        region.up = True
        both.minutes(3)
        assert both.shared() == {ACTIVE, STANDBY}


def test_a_region_whose_endpoint_is_sick_falls_out(both):
    both.minutes(3)
    both.standby.world.serving.endpoints.clear()
    both.minutes(4)
    assert both.shared() == {ACTIVE}


def test_a_standby_that_took_over_is_answered_alone_and_both_are_again_after_the_failback(both):
    both.minutes(3)
    both.flip(both.standby, 1)
    assert both.shared() == {STANDBY}
    both.learns(both.home, 1, STANDBY)
    both.minutes(5)
    assert both.shared() == {STANDBY}
    both.flip(both.home, 2, Kind.FAILBACK)
    both.learns(both.standby, 2, ACTIVE, Kind.FAILBACK)
    both.minutes(4)
    assert (both.shared(), both.off()) == ({ACTIVE, STANDBY}, True)


def test_nothing_is_said_of_the_health_of_a_standby_that_answers_nobody(moto):
    metric = Place(moto, "metric")
    metric.minutes(2)
    found = moto.client("cloudwatch", STANDBY).list_metrics(Namespace="mldr", MetricName="DeepHealth")
    assert found["Metrics"] == []


# what only one of them promises


@pytest.fixture
def metric(moto):
    return Place(moto, "metric")


def test_a_metric_switch_does_not_fall_off_when_publishing_stops(metric):
    metric.minutes(2)
    metric.flip(metric.standby, 1)
    metric.minutes(1)
    metric.standby.world.metrics.lost = True
    metric.minutes(30)
    assert (metric.off(), metric.dns()) == (False, STANDBY)


def test_a_metric_switch_is_off_from_the_start_without_any_data(metric):
    metric.look()
    assert (metric.off(), metric.dns()) == (True, ACTIVE)
    assert not metric.checkers.healthy(metric.checks["endpoint"])


def test_a_metric_switch_does_not_move_while_the_standby_cannot_tell(metric, monkeypatch):
    """A catalog that cannot be read answers a checker 503: no figure, so the state stays."""
    metric.minutes(2)
    metric.flip(metric.standby, 1)
    metric.minutes(1)
    monkeypatch.setattr(serve_gateway, "takeover", lambda model, *, leaders: serve_gateway.Answer(status=503, body=b""))
    monkeypatch.setattr("mldr.steps.show_switches.takeover", serve_gateway.takeover)
    metric.minutes(5)
    assert metric.dns() == STANDBY


def test_a_home_that_took_back_and_fell_sick_holds_nobody(metric):
    """Its figure "taken back" needs a healthy answer: else it would keep T off against the standby's next epoch."""
    metric.minutes(2)
    metric.flip(metric.standby, 1)
    metric.flip(metric.home, 2, Kind.FAILBACK)
    metric.learns(metric.standby, 2, ACTIVE, Kind.FAILBACK)
    metric.minutes(3)
    metric.home.world.serving.endpoints.clear()
    metric.minutes(4)
    metric.flip(metric.standby, 3)
    assert metric.dns() == STANDBY


def test_no_alarm_uses_what_route_53_does_not_follow(metric, moto):
    alarms = [
        alarm
        for region in (ACTIVE, STANDBY)
        for alarm in moto.client("cloudwatch", region).describe_alarms()["MetricAlarms"]
    ]
    assert len(alarms) == 3
    for alarm in alarms:
        assert (alarm["Statistic"], alarm["Period"], alarm["ActionsEnabled"]) == ("Maximum", 60, False)
        assert not alarm.get("ExtendedStatistic")
        assert not alarm.get("Metrics")
        assert alarm.get("DatapointsToAlarm") in (None, alarm["EvaluationPeriods"])
        assert alarm["AlarmName"].startswith("mldr-test-switch-")


def test_where_the_alarms_are_and_what_they_say_without_data(metric, moto):
    client = moto.client("route53", "us-east-1")

    def config(role):
        return client.get_health_check(HealthCheckId=metric.checks[role])["HealthCheck"]["HealthCheckConfig"]

    found = {
        role: (
            config(role)["Type"],
            config(role)["AlarmIdentifier"]["Region"],
            config(role)["InsufficientDataHealthStatus"],
            config(role).get("Inverted"),
        )
        for role in ("endpoint", "taken", "returned")
    }
    assert found == {
        "endpoint": ("CLOUDWATCH_METRIC", ACTIVE, "Unhealthy", False),
        "taken": ("CLOUDWATCH_METRIC", STANDBY, "LastKnownStatus", False),
        "returned": ("CLOUDWATCH_METRIC", ACTIVE, "Unhealthy", False),
    }


def test_the_schedule_says_how_many_models_it_spoke_for(metric, moto):
    metric.minutes(1)
    now = dt.datetime.now(dt.UTC)
    found = moto.client("cloudwatch", STANDBY).get_metric_statistics(
        Namespace="mldr",
        MetricName="SwitchesShown",
        Dimensions=[{"Name": "Environment", "Value": "test"}],
        StartTime=now - dt.timedelta(minutes=5),
        EndTime=now + dt.timedelta(minutes=5),
        Period=600,
        Statistics=["Maximum"],
    )
    assert [point["Maximum"] for point in found["Datapoints"]] == [1.0]
