"""A home that watches the region beside it: what is scaled, remembered and given back, whatever dies in between."""

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.decide_failover import app
from mldr import wiring
from mldr.domain.failover import Kind, Takeover
from mldr.domain.health import Action, Sight, Why
from mldr.domain.leadership import Announcement, Standing
from mldr.domain.routing import CheckTimes, Front, Spread, plan_route
from mldr.errors import EndpointFailed, NotAllowed, Throttled
from tests.fakes.serving import Endpoint
from tests.fakes.world import ACTIVE, POLICY, STANDBY, FakeWorld
from tests.functional.story import CHURN

HOME, PEER = (
    STANDBY,
    ACTIVE,
)  # FakeWorld is in STANDBY: here the model is at home, and the other region answers beside it
HOST = f"gateway.{PEER}.example"
ROUND = {"round": 0, "rounds": 5, "pause": 10}
FRONTS = {name: Front(region=name, host=f"gateway.{name}.example", target=f"t.{name}") for name in (HOME, PEER)}
TIMES = CheckTimes(interval=10, threshold=3, ttl=30)
patient = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def route(spread=True):
    spread = Spread() if spread else None
    return plan_route(CHURN, "models.example", active=FRONTS[HOME], standby=FRONTS[PEER], times=TIMES, spread=spread)


def told(epoch=0, holder=HOME, kind=Kind.HOME, spread=True, at=None):
    """What the home has learned of the peer: who serves, and the graph that the peer onboarded."""
    return Standing(
        epoch=epoch, holder=holder, home=HOME, kind=kind, since=at, route=route(spread), version=None, learned_at=at
    )


def beside(world, counts=None):
    """The peer announces the instances that answer there."""
    world.outside.announcements[HOST] = Announcement(
        model=str(CHURN), region=PEER, epoch=0, holder=HOME, home=HOME, kind=Kind.HOME, since=None, route=route(),
        beside_counts={"main": 2} if counts is None else counts,
    )  # fmt: skip


def stage(world):
    """The home's own endpoint has three instances; the peer has two, and has been heard."""
    world.catalog.learn(CHURN, told(at=world.clock.now()))
    world.serving.endpoints["churn"] = Endpoint(counts={"main": 3}, weights={"main": 1.0})
    beside(world)
    return world


@pytest.fixture
def home(world, context):
    return heard(stage(world), context)


def heard(world, context):
    look(world, context, Sight.HEALTHY)
    world.outside.probed.clear()
    return world


def look(world, context, sight, rounds=1):
    """So many rounds in which both vantage points see the same of the peer; one that is down announces nothing."""
    word = {Sight.HEALTHY: "healthy", Sight.UNHEALTHY: "unhealthy"}
    world.outside.texts["_beside"] = word.get(sight)
    world.outside.probes[HOST] = sight
    said = world.outside.announcements.get(HOST)
    for _ in range(rounds):
        if sight is Sight.UNHEALTHY:
            world.outside.announcements[HOST] = None
        app.handler(ROUND, context)
        world.outside.announcements[HOST] = said
        world.clock.move(seconds=10)


def counts(world, endpoint="churn"):
    return world.serving.endpoints[endpoint].counts


def growth(world):
    return world.survivors.of(CHURN).growth


def test_a_home_whose_peer_answers_is_left_alone_and_its_endpoint_is_not_looked_at(home, context, monkeypatch):
    monkeypatch.setattr(home.serving, "capacity", None)
    look(home, context, Sight.HEALTHY, rounds=20)
    assert (counts(home), growth(home), home.pager.pages, home.bus.events) == ({"main": 3}, None, [], [])
    assert {host for host, _ in home.outside.probed} == {HOST}
    assert home.survivors.of(CHURN).peer == {"main": 2}


def test_a_lost_peer_scales_the_home_to_the_sum_and_a_peer_that_is_back_scales_it_back(home, context):
    look(home, context, Sight.UNHEALTHY, rounds=2)
    assert counts(home) == {"main": 3}
    look(home, context, Sight.UNHEALTHY)
    assert counts(home) == {"main": 5}
    held = growth(home)
    assert (held.before, held.wanted) == ({"main": 3}, {"main": 5})
    assert held.scaled_at == home.clock.now() - dt.timedelta(seconds=10)
    look(home, context, Sight.UNHEALTHY, rounds=50)
    look(home, context, Sight.HEALTHY, rounds=2)
    assert counts(home) == {"main": 5}
    look(home, context, Sight.HEALTHY)
    assert (counts(home), growth(home)) == ({"main": 3}, None)


def test_no_failover_is_asked_for(home, context):
    look(home, context, Sight.UNHEALTHY, rounds=50)
    assert home.bus.events == []
    assert home.catalog.epoch(CHURN) is None


def test_a_person_is_told_once_that_a_region_is_lost(home, context):
    look(home, context, Sight.UNHEALTHY, rounds=50)
    [(subject, message)] = home.pager.pages
    assert subject == "mldr: sagemaker/churn and the other region that answers"
    assert "churn is scaled to carry both: main from 3 to 5 instances" in message
    assert "mldr decisions churn" in message


def test_every_decision_is_logged_also_the_ones_not_to_act(home, context):
    look(home, context, Sight.HEALTHY, rounds=5)
    look(home, context, Sight.UNHEALTHY, rounds=13)
    look(home, context, Sight.HEALTHY, rounds=4)
    lines = home.decisions.newest(CHURN, 20)[::-1]
    assert [(line.why, line.action, line.rounds) for line in lines] == [
        (Why.HEALTHY, Action.NONE, 6),
        (Why.COUNTING, Action.NONE, 2),
        (Why.ALONE, Action.SCALE, 1),
        (Why.ALONE, Action.NONE, 10),
        (Why.COUNTING, Action.NONE, 2),
        (Why.TOGETHER, Action.GIVE_BACK, 1),
        (Why.HEALTHY, Action.NONE, 1),
    ]
    assert "route53: unhealthy" in lines[1].reason


def test_a_peer_that_cannot_be_observed_pages_once_and_scales_nothing(home, context):
    look(home, context, Sight.UNKNOWN, rounds=20)
    [(_, message)] = home.pager.pages
    assert "cannot tell whether the other region answers" in message
    assert counts(home) == {"main": 3}


def test_a_witness_that_sees_the_peer_answer_holds_it_up(home, context):
    home.env = home.env.model_copy(update={"witness_host": "gateway.third.example"})
    home.outside.witnessed["gateway.third.example"] = Sight.HEALTHY
    look(home, context, Sight.UNHEALTHY, rounds=10)
    assert counts(home) == {"main": 3}
    assert home.outside.witnesses[0][1] == HOST


def test_a_peer_of_an_older_release_is_told_and_nothing_is_scaled(world, context):
    stage(world)
    beside(world, {})
    look(world, context, Sight.HEALTHY)
    look(world, context, Sight.UNHEALTHY, rounds=10)
    [(_, message)] = world.pager.pages
    assert "nobody heard how many instances answer there" in message
    assert counts(world) == {"main": 3}


def test_what_the_peer_last_announced_counts(home, context):
    beside(home, {"main": 4})
    look(home, context, Sight.HEALTHY)
    look(home, context, Sight.UNHEALTHY, rounds=3)
    assert counts(home) == {"main": 7}


def test_an_announcement_about_another_model_counts_nothing(home, context):
    said = home.outside.announcements[HOST]
    home.outside.announcements[HOST] = said.model_copy(
        update={"model": "sagemaker/other", "beside_counts": {"main": 9}}
    )
    look(home, context, Sight.HEALTHY)
    assert home.survivors.of(CHURN).peer == {"main": 2}


def test_a_serverless_endpoint_is_left_alone(home, context):
    home.serving.endpoints["churn"] = Endpoint(counts={}, weights={"main": 1.0})
    look(home, context, Sight.UNHEALTHY, rounds=10)
    assert home.pager.pages == []
    assert "no counts of instances" in home.survivors.of(CHURN).decided.reason


def test_the_endpoint_that_the_policy_names_is_scaled(home, context):
    home.policies.put(POLICY.replace("golden:", "serving: {endpoint: front}\n    golden:", 1))
    home.serving.endpoints["front"] = Endpoint(counts={"main": 1}, weights={"main": 1.0})
    look(home, context, Sight.UNHEALTHY, rounds=3)
    assert (counts(home), counts(home, "front")) == ({"main": 3}, {"main": 3})
    assert growth(home).endpoint == "front"


def test_after_a_failback_the_endpoint_of_the_homes_own_epoch_is_scaled(home, context):
    home.catalog._switches[str(CHURN)] = Takeover(
        epoch=2, endpoint="churn-e2", recovery_point="p", flipped_at=home.clock.now(), home=HOME, kind=Kind.FAILBACK
    )
    home.serving.endpoints["churn-e2"] = Endpoint(counts={"main": 1}, weights={"main": 1.0})
    look(home, context, Sight.UNHEALTHY, rounds=4)
    assert (counts(home), counts(home, "churn-e2")) == ({"main": 3}, {"main": 3})


def test_a_model_that_only_its_home_answers_is_not_watched(world, context):
    stage(world)
    world.catalog._standings.clear()
    world.catalog.learn(CHURN, told(spread=False, at=world.clock.now()))
    look(world, context, Sight.UNHEALTHY, rounds=10)
    assert (world.outside.probed, world.pager.pages, counts(world)) == ([], [], {"main": 3})


# autoscaling


def test_autoscalings_limit_is_raised_first_and_put_back_last(home, context, monkeypatch):
    home.scaling_limits.targets["churn", "main"] = 4
    order = []
    scale, allow = home.serving.scale, home.scaling_limits.allow
    monkeypatch.setattr(home.serving, "scale", lambda *args: (order.append("scale"), scale(*args)))
    monkeypatch.setattr(home.scaling_limits, "allow", lambda *args: (order.append("limit"), allow(*args)))
    look(home, context, Sight.UNHEALTHY, rounds=3)
    assert (counts(home), home.scaling_limits.targets["churn", "main"]) == ({"main": 5}, 5)
    look(home, context, Sight.HEALTHY, rounds=3)
    assert (counts(home), home.scaling_limits.targets["churn", "main"]) == ({"main": 3}, 4)
    assert order == ["limit", "scale", "scale", "limit"]


def test_a_limit_that_may_not_be_changed_does_not_keep_the_instances_from_coming(home, context, monkeypatch):
    home.scaling_limits.targets["churn", "main"] = 4
    with monkeypatch.context() as forbidden:
        forbidden.setattr(home.scaling_limits, "allow", raising(NotAllowed("no RegisterScalableTarget")))
        look(home, context, Sight.UNHEALTHY, rounds=3)
    assert counts(home) == {"main": 5}
    assert "refused, and is asked for again: no RegisterScalableTarget" in home.pager.pages[0][1]
    look(home, context, Sight.UNHEALTHY, rounds=4)
    assert home.scaling_limits.targets["churn", "main"] == 5
    look(home, context, Sight.HEALTHY, rounds=3)
    assert (counts(home), home.scaling_limits.targets["churn", "main"]) == ({"main": 3}, 4)


# what is refused


def raising(error):
    def call(*_, **__):
        raise error

    return call


@pytest.mark.parametrize("error", [EndpointFailed("ResourceLimitExceeded"), Throttled("slow down"), NotAllowed("no")])
def test_instances_that_are_refused_are_told_once_and_asked_for_again(home, context, monkeypatch, error):
    with monkeypatch.context() as full:
        full.setattr(home.serving, "scale", raising(error))
        look(home, context, Sight.UNHEALTHY, rounds=20)
    [(_, message)] = home.pager.pages
    assert f"That was refused, and is asked for again: {error}" in message
    look(home, context, Sight.UNHEALTHY, rounds=30)
    assert counts(home) == {"main": 5}


def test_an_endpoint_that_cannot_be_read_is_told_and_others_go_on(home, context, monkeypatch):
    monkeypatch.setattr(home.serving, "capacity", raising(NotAllowed("DescribeEndpoint")))
    look(home, context, Sight.UNHEALTHY, rounds=10)
    [(_, message)] = home.pager.pages
    assert "what churn has cannot be told: NotAllowed: DescribeEndpoint" in message


def test_a_policy_with_mistakes_and_no_point_to_look_into_scales_nothing_and_undoes_nothing(home, context):
    look(home, context, Sight.UNHEALTHY, rounds=3)
    home.policies.put("version: 7")
    look(home, context, Sight.UNHEALTHY, rounds=3)
    assert counts(home) == {"main": 5}


# the roles change


def test_a_home_that_stood_down_scales_back_once_nobody_asks_it_any_more(home, context):
    look(home, context, Sight.UNHEALTHY, rounds=3)
    home.catalog.learn(CHURN, told(epoch=1, holder=PEER, kind=Kind.MOVE, at=home.clock.now()))
    look(home, context, Sight.HEALTHY, rounds=2)
    assert counts(home) == {"main": 5}, "clients still come"
    home.clock.move(minutes=10)
    look(home, context, Sight.UNKNOWN)
    assert (counts(home), growth(home)) == ({"main": 3}, None)


def test_a_model_that_is_answered_by_its_home_alone_from_now_on_keeps_what_carries_it(home, context):
    look(home, context, Sight.UNHEALTHY, rounds=3)
    home.catalog._standings.clear()
    home.catalog.learn(CHURN, told(spread=False, at=home.clock.now()))
    look(home, context, Sight.UNHEALTHY, rounds=3)
    assert (counts(home), growth(home)) == ({"main": 5}, None)
    assert "its counts are yours from now on" in home.pager.pages[-1][1]
    assert len(home.pager.pages) == 2


# crashes, and two at once


class Crash(RuntimeError):
    """The function died."""


def dying(world, at, *, after):
    """The call number `at` of all that change something dies, before its effect or after it; what it was."""
    calls = []

    def wrap(port, name):
        real = getattr(port, name)

        def call(*args, **kwargs):
            calls.append(name)
            if len(calls) != at:
                return real(*args, **kwargs)
            if after:
                real(*args, **kwargs)
            raise Crash(name)

        setattr(port, name, call)
        return lambda: delattr(port, name)

    undo = [
        wrap(port, name)
        for port, name in (
            (world.survivors, "put"), (world.serving, "scale"), (world.scaling_limits, "allow"),
            (world.decisions, "log"), (world.pager, "page"),
        )
    ]  # fmt: skip
    return calls, lambda: [put_back() for put_back in undo]


def crashed(world, context, sight, at, after):
    """A round that dies at its call number `at`, and the round that is made of it again. Whether it got there."""
    calls, put_back = dying(world, at, after=after)
    try:
        look(world, context, sight)
    except Crash:
        pass
    finally:
        put_back()
    world.clock.move(seconds=1)
    return len(calls) >= at


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, 9))
def test_a_crash_between_any_two_calls_scales_once_and_loses_nothing(home, context, at, after):
    home.scaling_limits.targets["churn", "main"] = 4
    look(home, context, Sight.UNHEALTHY, rounds=2)
    reached = crashed(home, context, Sight.UNHEALTHY, at, after)
    assert reached is (at <= 7), "plan, limit, scale, page, two lines of the log, row"
    assert counts(home)["main"] in (3, 5)
    beside(home, {"main": 9})  # whatever is announced meanwhile
    look(home, context, Sight.UNHEALTHY, rounds=3)
    assert (counts(home), home.scaling_limits.targets["churn", "main"]) == ({"main": 5}, 5)
    assert (growth(home).before, growth(home).limits) == ({"main": 3}, {"main": 4})
    assert growth(home).scaled_at
    look(home, context, Sight.HEALTHY, rounds=2)
    crashed(home, context, Sight.HEALTHY, at, after)
    look(home, context, Sight.HEALTHY, rounds=4)
    assert (counts(home), home.scaling_limits.targets["churn", "main"], growth(home)) == ({"main": 3}, 4, None)
    assert home.pager.pages, "a crash loses no page"


def test_a_round_that_is_tried_again_counts_once(home, context):
    home.clock.move(seconds=10)
    home.outside.texts["_beside"], home.outside.probes[HOST] = "unhealthy", Sight.UNHEALTHY
    for _ in range(5):
        app.handler(ROUND, context)
        home.clock.move(seconds=1)
    assert home.survivors.of(CHURN).health.unhealthy_rounds == 1


def test_two_rounds_at_once_scale_once_to_one_count(home, context, monkeypatch):
    look(home, context, Sight.UNHEALTHY, rounds=2)
    together, of = threading.Barrier(2, timeout=10), home.survivors.of
    asked, scale = [], home.serving.scale

    def read(model):
        found = of(model)
        together.wait()
        return found

    monkeypatch.setattr(home.survivors, "of", read)
    monkeypatch.setattr(home.serving, "scale", lambda *args: (asked.append(args), scale(*args)))
    home.outside.announcements[HOST] = None
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: app.handler(ROUND, context), range(2)))
    monkeypatch.undo()
    monkeypatch.setattr(wiring, "world", lambda: home)
    assert asked == [("churn", {"main": 5})]
    assert counts(home) == {"main": 5}
    assert len(home.pager.pages) == 1


EVENTS = st.one_of(
    st.sampled_from([Sight.HEALTHY, Sight.UNHEALTHY, Sight.UNKNOWN]),
    st.tuples(st.just("dies"), st.integers(1, 8), st.booleans()),
    st.tuples(st.just("a person sets"), st.sampled_from([1, 7])),
    st.tuples(st.just("the peer has"), st.integers(1, 4)),
)


@given(st.lists(EVENTS, max_size=40))
@patient
def test_health_that_flaps_beside_crashes_and_persons_never_runs_away(context, monkeypatch, story):
    world = FakeWorld()
    monkeypatch.setattr(wiring, "world", lambda: world)
    heard(stage(world), context)
    world.scaling_limits.targets["churn", "main"] = 4
    theirs, sight = 3, Sight.HEALTHY
    for one in story:
        if isinstance(one, Sight):
            sight = one
            look(world, context, sight)
        elif one[0] == "dies":
            crashed(world, context, sight, one[1], one[2])
        elif one[0] == "a person sets":
            theirs = counts(world)["main"] = one[1]
        else:
            beside(world, {"main": one[1]})
        held = growth(world)
        assert counts(world)["main"] <= 7 + 4, "never more than the most that a person set and the peer had"
        if held:
            assert held.wanted["main"] - held.before["main"] <= 4
    world.clock.move(hours=2)
    look(world, context, Sight.HEALTHY, rounds=8)
    assert growth(world) is None
    assert world.scaling_limits.targets["churn", "main"] == 4
    assert counts(world)["main"] in (3, theirs)
