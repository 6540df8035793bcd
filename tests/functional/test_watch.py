"""Watching the active region: what is decided, acted on and remembered, round by round."""

import pytest

from functions.decide_failover import app
from mldr.domain.health import Sight
from tests.fakes.world import ACTIVE, POLICY
from tests.functional.state_machine import Machine
from tests.functional.story import CHURN, clients_follow, deliver, document, fail_over, promoted, protect, run, stock

HOST = f"gateway.{ACTIVE}.example"
ROUND = {"round": 0, "rounds": 5, "pause": 10}


@pytest.fixture
def protected(world, context):
    protect(world, context, promoted(world))
    world.bus.events.clear()
    return world


def look(world, context, *, canary="healthy", probe=Sight.HEALTHY, rounds=1):
    """So many rounds of looking, in which both vantage points see the same."""
    world.outside.texts["_health"] = canary
    world.outside.probes[HOST] = probe
    for _ in range(rounds):
        app.handler(ROUND, context)
        world.clock.move(seconds=10)


def requests(world):
    return world.bus.named("Failover Requested")


def test_a_healthy_region_is_left_alone(protected, context):
    look(protected, context, rounds=10)
    assert (protected.bus.events, protected.pager.pages) == ([], [])


def test_three_rounds_in_which_both_vantage_points_fail_request_a_failover(protected, context):
    began = protected.clock.now()
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=2)
    assert requests(protected) == []
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY)
    [request] = requests(protected)
    assert (request["model"], request["requested_by"]) == ("sagemaker/churn", "decide_failover")
    assert request["first_failure_at"] == began.isoformat()
    assert "route53: unhealthy" in request["reason"]


def test_a_long_outage_requests_one_failover(protected, context):
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=80)
    assert len(requests(protected)) == 1


def test_a_request_repeated_after_a_crash_names_the_same_failover(protected, context, monkeypatch):
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=2)

    def crash(model, state):
        raise RuntimeError("the function died")

    with monkeypatch.context() as dying:
        dying.setattr(protected.catalog, "put_health", crash)
        with pytest.raises(RuntimeError):
            app.handler(ROUND, context)
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY)
    first, second = requests(protected)
    assert first["failover_id"] == second["failover_id"]


def test_the_automatic_request_starts_a_failover_that_succeeds(protected, context):
    clients_follow(protected)
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=3)
    [request] = requests(protected)
    event = {
        "id": "any", "source": "mldr", "detail-type": "Failover Requested",
        "time": protected.clock.now().isoformat(), "detail": request,
    }  # fmt: skip
    assert deliver("start_failover", context, event, event) == []
    ended = run(protected, context, request["failover_id"], "failover")
    assert ended.status == "SUCCEEDED"
    assert protected.evidence.records[0].phases[0].name == "detect"
    assert protected.evidence.records[0].phases[0].seconds == 30


def test_models_whose_long_names_begin_alike_fail_over_each(world, context):
    """In a region's outage all models fail in the same second: no two of them may share an execution."""
    clients_follow(world)
    stock(world)
    names = [f"customer-churn-prediction-of-{market}" for market in ("north", "north-east", "south")]
    for name in names:
        protect(world, context, world.registry.promote(name, document()))
    world.bus.events.clear()
    look(world, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=3)
    assert {request["model"] for request in requests(world)} == {f"sagemaker/{name}" for name in names}
    assert len({request["failover_id"] for request in requests(world)}) == 3


def test_one_good_round_begins_the_count_anew(protected, context):
    for _ in range(5):
        look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=2)
        look(protected, context)
    assert requests(protected) == []


@pytest.mark.parametrize(
    ("canary", "probe"),
    [
        (None, Sight.UNKNOWN),
        (None, Sight.UNHEALTHY),
        ("unhealthy", Sight.UNKNOWN),
        ("unhealthy", Sight.HEALTHY),
        ("healthy", Sight.UNHEALTHY),
        ("something else", Sight.UNKNOWN),
    ],
)
def test_a_probe_that_cannot_observe_pages_once_and_never_fails_over(protected, context, canary, probe):
    look(protected, context, canary=canary, probe=probe, rounds=20)
    assert requests(protected) == []
    [(subject, message)] = protected.pager.pages
    assert subject == "mldr: sagemaker/churn unknown"
    assert "cannot tell whether the model is up" in message
    assert "mldr failover churn" in message


def test_a_policy_that_leaves_it_to_a_person_pages(protected, context):
    protected.policies.put(POLICY.replace("golden:", "failover: {mode: manual}\n    golden:"))
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=10)
    assert requests(protected) == []
    [(_, message)] = protected.pager.pages
    assert "the policy leaves it to a person" in message


def test_a_standby_with_nothing_to_restore_pages(protected, context):
    [arn] = protected.registry.entries
    [record] = protected.catalog.records(CHURN)
    protected.catalog.annotate(CHURN, record.recovery_point, withdrawn="the registry says Rejected")
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=10)
    assert requests(protected) == []
    assert "no sealed recovery point" in protected.pager.pages[0][1]
    assert arn


def test_a_policy_with_mistakes_does_not_stop_the_watch(protected, context):
    """The policy that was sealed with the point stands in."""
    protected.policies.text = "version: 7"
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=3)
    assert len(requests(protected)) == 1


def test_a_model_that_this_region_serves_is_not_observed(protected, context):
    clients_follow(protected)
    fail_over(protected, context)
    protected.outside.probed.clear()
    look(protected, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=5)
    assert (requests(protected), protected.outside.probed) == ([], [])


def test_a_model_without_a_route_is_not_watched(world, context):
    world.dns.zone_exists = False
    protect(world, context, promoted(world))
    world.bus.events.clear()
    look(world, context, canary="unhealthy", probe=Sight.UNHEALTHY, rounds=5)
    assert (world.bus.events, world.pager.pages) == ([], [])


def test_one_execution_looks_for_a_minute(protected, context):
    began = protected.clock.now()
    machine = Machine("watch", protected, context)
    assert machine.run(ROUND).last == "Done"
    assert machine.calls == ["decide_failover"] * 5
    assert (protected.clock.now() - began).total_seconds() == 40


@pytest.mark.parametrize("field", ["round", "rounds", "pause"])
def test_a_malformed_round_is_refused_by_field_before_anything_is_done(protected, context, field):
    with pytest.raises(Exception, match=field) as caught:
        app.handler({**ROUND, field: "soon"}, context)
    assert type(caught.value).__name__ == "BadEvent"
    assert protected.outside.probed == []
