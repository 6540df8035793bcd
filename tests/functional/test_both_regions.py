"""Both regions answer, and one is lost: the other one carries the load of both, in either direction."""

import pytest

from functions.decide_failover import app
from mldr.domain.health import Sight
from mldr.domain.leadership import Announcement
from mldr.domain.model_rules import FailoverMode
from mldr.domain.routing import CheckTimes, Front, Spread, plan_route
from mldr.domain.warming import together
from mldr.errors import EndpointFailed, NotConfirmed
from mldr.events.failover import ClaimedTask
from mldr.steps.switch_traffic import confirm_takeover
from tests.fakes.serving import Endpoint
from tests.fakes.world import ACTIVE, STANDBY
from tests.functional.pair import HOME, Pair
from tests.functional.story import CHURN, promoted
from tests.functional.test_beside import BY_WEIGHT, due, look, row, rules, served
from tests.functional.test_doors import CLAIM, FAILOVER
from tests.functional.test_tiers import there_and_back
from tests.functional.test_warming import captured
from tests.functional.test_watch import ROUND


@pytest.fixture
def pair(monkeypatch, context):
    """Both regions answer churn: the home with three instances, the standby with two."""
    both = Pair(monkeypatch, context)
    rules(both)
    both.protected()
    both.home.serving.endpoints["churn"] = Endpoint(counts={"main": 3}, weights={"main": 1.0})
    captured(both.standby, instances=2)
    both.listen()
    both.standby.outside.texts["_beside"] = "healthy"
    look(both, context)
    both.listen()
    assert row(both).counts == {"main": 2}
    return both


def watch(pair, world, context, *, seen=None, rounds=1):
    """A region looks at the other one; Route 53's checkers see it as its gateway is, unless told otherwise."""
    other = pair.home if world is pair.standby else pair.standby
    for _ in range(rounds):
        status = pair.get(f"gateway.{other.env.aws_region}.example", "/models/churn/health")
        word = seen or ("healthy" if status < 400 else "unhealthy")
        world.outside.texts |= {"_beside": word, "_health": word}
        with pair.inside(world):
            app.handler(ROUND, context)
        world.clock.move(seconds=10)


def counts(pair):
    """The instances of the home's own endpoint."""
    return pair.home.serving.endpoints["churn"].counts["main"]


# the standby is lost


def test_a_home_that_loses_the_standby_carries_both_and_clients_never_notice(pair, context):
    watch(pair, pair.home, context, rounds=2)
    pair.fail(pair.standby)
    for _ in range(3):
        assert served(pair, HOME)[0] == 200
        watch(pair, pair.home, context)
    assert counts(pair) == 5
    assert pair.home.catalog.epoch(CHURN) is None, "nobody took anything over"
    pair.heal(pair.standby)
    watch(pair, pair.home, context, rounds=3)
    assert counts(pair) == 3
    assert served(pair)[0] == served(pair, HOME)[0] == 200


@pytest.mark.parametrize("status", ["Updating", "SystemUpdating", "RollingBack"])
def test_a_survivor_that_scales_stays_well_and_nobody_takes_it_over(pair, context, status):
    """Or both regions would be unhealthy at once, and DNS would answer with the one that is lost."""
    watch(pair, pair.home, context, rounds=2)
    pair.fail(pair.standby)
    watch(pair, pair.home, context, rounds=3)
    pair.home.serving.endpoints["churn"].statuses = [(status, "")]
    assert counts(pair) == 5
    assert pair.health(pair.home).status == 200
    assert served(pair, HOME)[0] == 200
    pair.heal(pair.standby)
    watch(pair, pair.standby, context, rounds=6)
    assert pair.standby.catalog.epoch(CHURN) is None


def test_a_standby_that_autoscales_is_no_loss(pair, context):
    pair.standby.serving.endpoints[row(pair).endpoint].statuses = [("Updating", "")]
    watch(pair, pair.home, context, rounds=6)
    assert counts(pair) == 3


def test_an_endpoint_alone_that_fails_in_the_standby_is_a_loss_as_well(pair, context):
    watch(pair, pair.home, context)
    pair.standby.serving.endpoints[row(pair).endpoint].statuses = [("Failed", "no capacity")]
    watch(pair, pair.home, context, rounds=3)
    assert counts(pair) == 5


def test_what_was_announced_last_counts_while_the_standby_makes_its_endpoint_anew(pair, context):
    watch(pair, pair.home, context)
    pair.standby.serving.endpoints[row(pair).endpoint].statuses = [("Failed", "no capacity")]
    pair.standby.serving.coming = [("Creating", "")]
    due(pair.standby, context)
    assert row(pair) is None, "it announces nothing any more"
    watch(pair, pair.home, context, rounds=3)
    assert counts(pair) == 5


def test_after_a_failback_the_home_watches_the_region_beside_it_again(pair, context):
    there_and_back(pair)
    pair.listen()
    watch(pair, pair.home, context, rounds=2)
    endpoint = pair.home.catalog.takeover(CHURN).endpoint
    before = pair.home.serving.capacity(endpoint)["main"].desired
    pair.fail(pair.standby)
    watch(pair, pair.home, context, rounds=3)
    assert pair.home.serving.capacity(endpoint)["main"].desired == before + 2


def test_both_regions_look_and_neither_acts_while_only_the_line_between_them_is_cut(pair, context):
    for world in pair.worlds():
        watch(pair, world, context)
    pair.fail(pair.standby)
    watch(pair, pair.home, context, seen="healthy", rounds=10)
    assert counts(pair) == 3
    assert "cannot tell whether the other region answers" in pair.home.pager.pages[0][1]


# the home is lost


def test_a_standby_that_takes_over_is_scaled_to_the_load_of_both(pair, context):
    name = row(pair).endpoint
    pair.fail(pair.home)
    ended = pair.request(pair.standby, "failover", "out-1")
    assert ended.status == "SUCCEEDED"
    assert "MaterialiseServing" not in ended.path
    assert pair.standby.serving.endpoints[name].counts == {"main": 4}


def grown(pair):
    """The instances of what answers in the standby, and how they came to be so many."""
    return pair.standby.serving.endpoints[row(pair).endpoint].counts["main"], pair.standby.survivors.of(CHURN).growth


@pytest.mark.parametrize("mode", list(FailoverMode))
def test_a_standby_that_loses_the_home_carries_both_whoever_decides_about_failovers(pair, context, mode):
    rules(pair, f"{BY_WEIGHT}\n    failover: {{mode: {mode}}}")
    watch(pair, pair.standby, context, rounds=2)
    pair.fail(pair.home)
    watch(pair, pair.standby, context, rounds=2)
    assert grown(pair) == (2, None)
    watch(pair, pair.standby, context)
    count, growth = grown(pair)
    assert (count, growth.before, growth.wanted) == (4, {"main": 2}, {"main": 4})
    assert pair.standby.catalog.epoch(CHURN) is None, "nobody took anything over"
    watch(pair, pair.standby, context, rounds=20)
    assert grown(pair)[0] == 4
    scaled = [message for _, message in pair.standby.pager.pages if "is scaled to carry both" in message]
    assert len(scaled) == 1
    pair.heal(pair.home)
    watch(pair, pair.standby, context, rounds=3)
    assert grown(pair) == (2, None)


def test_what_has_grown_is_neither_made_smaller_nor_counted_while_the_home_is_lost(pair, context):
    """Else the next sum would be thrice what the home has."""
    pair.fail(pair.home)
    watch(pair, pair.standby, context, rounds=3)
    look(pair, context, 5)
    assert (grown(pair)[0], row(pair).counts) == (4, {"main": 2})


def test_what_autoscaling_gave_while_the_home_is_lost_is_not_counted_either(pair, context):
    pair.fail(pair.home)
    watch(pair, pair.standby, context)
    pair.standby.serving.endpoints[row(pair).endpoint].counts = {"main": 3}
    look(pair, context)
    assert row(pair).counts == {"main": 2}
    watch(pair, pair.standby, context, rounds=2)
    assert (grown(pair)[0], grown(pair)[1].before) == (4, {"main": 3})


def test_a_failover_of_what_has_grown_asks_for_no_more_and_a_failback_gives_it_back(pair, context):
    rules(pair, f"{BY_WEIGHT}\n    failover: {{mode: manual}}")
    name = row(pair).endpoint
    pair.fail(pair.home)
    watch(pair, pair.standby, context, rounds=3)
    assert grown(pair)[0] == 4
    there_and_back(pair)
    assert pair.standby.serving.endpoints[name].counts == {"main": 4}
    watch(pair, pair.standby, context, rounds=6)
    look(pair, context)
    assert pair.standby.serving.endpoints[name].counts == {"main": 4}, "clients may still come here alone"
    pair.standby.clock.move(minutes=6)
    watch(pair, pair.standby, context, rounds=3)
    assert (row(pair).endpoint, grown(pair)) == (name, (2, None))


def test_a_home_that_is_lost_again_at_once_grows_nothing_twice(pair, context):
    """After a failback the standby still has the instances of both."""
    there_and_back(pair)
    pair.listen()
    before = grown(pair)[0]
    pair.fail(pair.home)
    watch(pair, pair.standby, context, rounds=60)
    assert grown(pair)[0] == before


def test_a_grown_endpoint_that_is_lost_is_made_anew_and_grows_anew(pair, context):
    pair.fail(pair.home)
    watch(pair, pair.standby, context, rounds=3)
    lost = row(pair)
    pair.standby.clock.move(minutes=5)
    pair.standby.serving.endpoints[lost.endpoint].statuses = [("Failed", "no capacity")]
    due(pair.standby, context)
    watch(pair, pair.standby, context)
    assert (row(pair), pair.standby.survivors.of(CHURN).growth) == (None, None)
    look(pair, context)
    assert row(pair).endpoint == lost.endpoint
    watch(pair, pair.standby, context, rounds=3)
    assert grown(pair)[0] == 4


def test_a_tier_that_lets_the_home_answer_alone_again_ends_the_growth(pair, context):
    pair.fail(pair.home)
    watch(pair, pair.standby, context, rounds=3)
    rules(pair, "tier: cold-standby")
    due(pair.standby, context)
    watch(pair, pair.standby, context)
    assert pair.standby.survivors.of(CHURN).growth is None
    assert not any("are yours" in message for _, message in pair.standby.pager.pages)


def test_a_standby_that_cannot_see_the_home_grows_nothing_and_is_told_once(pair, context):
    watch(pair, pair.standby, context)
    pair.fail(pair.home)
    watch(pair, pair.standby, context, seen="healthy", rounds=10)
    assert grown(pair) == (2, None)
    assert len([message for _, message in pair.standby.pager.pages if "cannot tell" in message]) == 1


def test_every_round_of_warming_asks_for_the_same_sum(pair, context, monkeypatch):
    """They come one after the other, so the first rounds find fewer than were asked for."""
    asked, scale = [], pair.standby.serving.scale

    def slowly(endpoint, wanted, weights=None):
        asked.append(wanted)
        scale(endpoint, {"main": 2 + len(asked)})

    monkeypatch.setattr(pair.standby.serving, "scale", slowly)
    pair.fail(pair.home)
    assert pair.request(pair.standby, "failover", "out-1").status == "SUCCEEDED"
    assert asked == [{"main": 4}] * 2


def test_a_planned_move_scales_the_standby_before_it_serves_alone(pair, context):
    name = row(pair).endpoint
    assert pair.request(pair.standby, "move", "away-1").status == "SUCCEEDED"
    assert pair.standby.serving.endpoints[name].counts == {"main": 4}


def test_instances_that_are_refused_do_not_keep_the_traffic_where_it_fails(pair, context, monkeypatch):
    def refuse(*_):
        raise EndpointFailed("no capacity")

    monkeypatch.setattr(pair.standby.serving, "scale", refuse)
    pair.fail(pair.home)
    assert pair.request(pair.standby, "failover", "out-1").status == "SUCCEEDED"
    assert "has 2 of 4 instances (no capacity)" in pair.standby.pager.pages[-1][1]


def test_an_endpoint_of_a_version_that_nobody_was_sent_to_yet_is_as_large_as_at_home(pair, context):
    old = row(pair).endpoint
    pair.standby.clock.move(hours=1)
    pair.protect(pair.standby, promoted(pair.standby))
    pair.fail(pair.home)
    assert pair.request(pair.standby, "failover", "out-1").status == "SUCCEEDED"
    taken = pair.standby.catalog.takeover(CHURN).endpoint
    assert taken != old
    assert pair.standby.serving.endpoints[taken].counts == {"main": 2}


def test_the_sum_has_every_variant_of_the_home():
    assert together({"a": 2, "b": 1}, {"a": 3, "gone": 9}, {}) == {"a": 5, "b": 1}
    assert together({}, {"a": 3}, {}) == {}


# where clients are


FRONTS = [Front(region=name, host=f"gateway.{name}.example", target=f"t.{name}") for name in (ACTIVE, STANDBY)]


@pytest.mark.parametrize(
    ("region", "switch", "health", "target", "confirmed"),
    [
        (STANDBY, "on", "healthy", STANDBY, True),
        (STANDBY, "on", "unhealthy", STANDBY, True),
        (STANDBY, "off", "healthy", STANDBY, False),  # by chance: the home is answered as well
        (STANDBY, "off", "unhealthy", STANDBY, False),  # the home is out, but the switch is not seen
        (STANDBY, "on", "healthy", ACTIVE, False),  # an answer that has not been forgotten yet
        (STANDBY, None, "healthy", STANDBY, False),
        (ACTIVE, "off", "healthy", ACTIVE, True),
        (ACTIVE, "off", "healthy", STANDBY, True),  # by chance: both are answered
        (ACTIVE, "on", "healthy", ACTIVE, False),
        (ACTIVE, "off", "unhealthy", STANDBY, False),
        (ACTIVE, "off", "healthy", None, False),
    ],
)
@pytest.mark.parametrize("by", ["weight", "latency"])
def test_where_both_regions_answer_the_canaries_say_whether_clients_arrive(
    world, region, switch, health, target, confirmed, by
):
    """The name alone answers with either region while the home is well."""
    times = CheckTimes(interval=10, threshold=3, ttl=30)
    home, standby = FRONTS
    route = plan_route(CHURN, "models.example", active=home, standby=standby, times=times, spread=Spread(by=by))
    world.catalog.put_route(CHURN, route, {})
    world.outside.texts |= {"_switch": switch, "_health": health}
    world.outside.targets[route.name] = f"t.{target}" if target else None
    task = ClaimedTask.parse({**FAILOVER, "claim": CLAIM})
    if confirmed:
        assert confirm_takeover(task, region=region, catalog=world.catalog, outside=world.outside) == f"t.{region}"
        world.outside.probes[f"gateway.{region}.example"] = Sight.UNHEALTHY
    with pytest.raises(NotConfirmed, match="is unhealthy" if confirmed else "not surely with"):
        confirm_takeover(task, region=region, catalog=world.catalog, outside=world.outside)


def test_a_takeover_is_confirmed_while_its_instances_still_come(pair, context):
    name = row(pair).endpoint
    pair.fail(pair.home)
    assert pair.request(pair.standby, "failover", "out-1").status == "SUCCEEDED"
    pair.standby.serving.endpoints[name].statuses = [("Updating", "")]
    task = ClaimedTask.parse({**FAILOVER, "claim": CLAIM})
    world = pair.standby
    assert confirm_takeover(task, region=STANDBY, catalog=world.catalog, outside=world.outside)


def test_an_announcement_of_an_older_release_says_nothing_of_instances():
    told = {"model": "sagemaker/churn", "region": STANDBY, "epoch": 0, "holder": HOME, "home": HOME, "kind": "home",
            "since": None, "route": None}  # fmt: skip
    assert Announcement.model_validate(told).beside_counts is None
