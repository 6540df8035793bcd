"""Faults that meet in the middle of something else: a failover while a version is copied, and clocks that disagree."""

import datetime as dt

import pytest

from tests.fakes.world import STANDBY
from tests.functional.pair import HOME, Pair
from tests.functional.story import CHURN, capture, clients_follow, document, fail_over, promoted, protect, run

# a failover while a version is being captured

PROTECT = ["TakeInventory", "Copy", "Seal", "SyncRegistry", "OnboardModel", "Conclude"]
SEALED = PROTECT.index("Seal")


@pytest.fixture
def protected(world, context):
    protect(world, context, promoted(world))
    clients_follow(world)
    world.clock.move(hours=1)
    return world


def newest(world):
    """A second version is promoted; the execution that captures it has begun."""
    world.buckets.put("lake", "churn/two.tar.gz", b"two")
    return world.registry.promote("churn", document(ModelDataUrl="s3://lake/churn/two.tar.gz"))


@pytest.mark.parametrize("state", PROTECT)
def test_a_failover_in_the_middle_of_a_capture_serves_what_is_sealed_and_the_capture_comes_to_its_end(
    protected, context, state
):
    """What is half copied is invisible to it; and the version, sealed in the older epoch's name, is kept."""
    moved = {}

    def before(name, attempt):
        if name == state and not moved:
            moved["ended"] = None
            moved["ended"] = fail_over(protected, context)

    ended = run(protected, context, capture(protected, context, newest(protected)), before=before)
    assert moved["ended"].status == "SUCCEEDED"
    served = protected.catalog.takeover(CHURN)
    version = "v2-" if PROTECT.index(state) > SEALED else "v1-"
    assert served.recovery_point.startswith(version), "the newest that was sealed when it was claimed"
    assert ended.status == "SUCCEEDED"
    assert [one.restorable for one in protected.catalog.records(CHURN)] == [True, True]
    assert list(protected.serving.endpoints) == [served.endpoint]
    assert protected.catalog.takeover(CHURN) == served


def test_a_version_that_was_half_copied_when_its_region_was_lost_waits_for_a_person_once_it_is_sealed(
    protected, context
):
    """It belongs to the older epoch: what serves now was not asked about it."""

    def before(name, attempt):
        if name == "Copy" and protected.catalog.takeover(CHURN) is None:
            assert fail_over(protected, context).status == "SUCCEEDED"

    late = newest(protected)
    run(protected, context, capture(protected, context, late), before=before)
    [record] = [one for one in protected.catalog.records(CHURN) if one.origin.arn == late]
    assert protected.registry.standby[record.target_arn].status == "PendingManualApproval"
    assert protected.pager.pages[-1][0] == "mldr: sagemaker/churn, a version of an older epoch"


# clocks that disagree


class Skewed:
    """A clock that is so many minutes off another one."""

    def __init__(self, right, minutes):
        self._right, self._off = right, dt.timedelta(minutes=minutes)

    def now(self):
        return self._right.now() + self._off

    def move(self, **by):
        self._right.move(**by)


def skewed(monkeypatch, context, minutes):
    """A pair whose home's clock is off; the home is lost, the standby has taken over."""
    pair = Pair(monkeypatch, context)
    pair.home.clock = Skewed(pair.standby.clock, minutes)
    pair.home.leaders = type(pair.home.leaders)(
        region=HOME, peer_region=STANDBY, catalog=pair.home.catalog, outside=pair.home.outside,
        fronts=pair.home.fronts, clock=pair.home.clock,
    )  # fmt: skip
    pair.protected()
    pair.listen()
    pair.fail(pair.home)
    assert pair.request(pair.standby, "failover", "failover-1").status == "SUCCEEDED"
    pair.heal(pair.home)
    pair.listen()
    return pair


MINUTES = [-5, 0, 5]


@pytest.mark.parametrize("minutes", MINUTES)
def test_a_home_whose_clock_is_minutes_off_stands_down_and_never_writes_for_its_standbys_epoch(
    monkeypatch, context, minutes
):
    """Epochs are numbers: nobody's time decides who serves."""
    pair = skewed(monkeypatch, context, minutes)
    assert pair.predict() == (200, STANDBY)
    assert pair.predict(HOME)[0] == 503
    assert pair.standby.catalog.takeover(CHURN).epoch == pair.home.catalog.standing(CHURN).epoch == 1


@pytest.mark.parametrize("minutes", MINUTES)
def test_between_clocks_that_are_minutes_apart_a_model_goes_home_without_a_failed_request(
    monkeypatch, context, minutes
):
    pair = skewed(monkeypatch, context, minutes)
    pair.protect(pair.home, pair.standby.catalog.records(CHURN)[-1].target_arn)
    seen = pair.asked_meanwhile(pair.home, "failback", "failback-1")
    assert {status for status, _ in seen} == {200}
    assert pair.predict() == (200, HOME)
    [record] = [one for one in pair.home.evidence.records if one.kind == "failback"]
    assert record.outcome == "completed"
    assert all(phase.seconds >= 0 for phase in record.phases)
