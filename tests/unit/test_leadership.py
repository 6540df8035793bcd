"""Who serves: every interleaving of what two regions can do, and each rule by itself."""

import datetime as dt
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mldr.domain.failover import Epoch, Kind, Takeover, ballot, next_epoch
from mldr.domain.identity import Frozen, ModelKey
from mldr.domain.leadership import (
    Announcement,
    Beside,
    Leadership,
    Standing,
    announce,
    home_of,
    learned,
    overruled,
    role,
)
from mldr.domain.routing import CheckTimes, Front, plan_route
from mldr.errors import EpochTaken

CHURN = ModelKey(registry="sagemaker", name="churn")
HOME, AWAY = "ap-southeast-1", "ap-southeast-3"
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
DRAIN = dt.timedelta(minutes=5)
ROUTE = plan_route(
    CHURN,
    "models.example",
    active=Front(region=HOME, host="h", target="h"),
    standby=Front(region=AWAY, host="s", target="s"),
    times=CheckTimes(interval=10, threshold=3, ttl=30),
)
HIGHEST = 5
ASIDE = Beside(home=HOME, endpoint="churn-1-s0", recovery_point="p1", counts={"a": 2}, since=NOW)


# the small model: two regions, and every order in which they claim, flip, hear each other and hear old news


class Region(Frozen):
    """One region's catalog. `aside`: an endpoint of it was proven, to answer beside the home."""

    name: str
    claimed: int = 0
    knowledge: Leadership = Leadership()
    aside: bool = False


class World(Frozen):
    """Both of them, and every announcement that was ever made: any of them may still arrive."""

    regions: tuple[Region, Region]
    said: frozenset[Announcement]


def speak(region):
    """What its gateway answers right now."""
    route = ROUTE if region.name == AWAY else None
    return announce(CHURN, region.name, region.knowledge, route=route, version=None)


def claim(region):
    """A claim in the region's own catalog."""
    epoch = next_epoch(
        Epoch(number=region.claimed, failover_id="x", region=region.name, recovery_point="p", claimed_at=NOW,
              concluded=True) if region.claimed else None,
        failover_id="y", region=region.name, recovery_point="p", now=NOW, known=region.knowledge.epoch,
        is_home=region.name == HOME,
    )  # fmt: skip
    return region.model_copy(update={"claimed": epoch.number})


def flip(region):
    """The switch, as the catalog's condition allows it; None when it refuses."""
    standing = region.knowledge.standing
    if not region.claimed or (standing and standing.epoch >= region.claimed):
        return None
    held = region.knowledge.takeover
    if held and held.epoch >= region.claimed:
        return None
    takeover = Takeover(epoch=region.claimed, endpoint="e", recovery_point="p", flipped_at=NOW, home=HOME)
    return with_knowledge(region, takeover=takeover, former=None)


def hear(region, announcement):
    """An announcement arrives, now or late."""
    standing = learned(region.knowledge.standing, announcement, NOW)
    if standing is None:
        return region
    region = with_knowledge(region, standing=standing)
    if overruled(region.knowledge, region.name):
        region = with_knowledge(region, takeover=None, former=region.knowledge.takeover)
    return region


def with_knowledge(region, **changes):
    return region.model_copy(update={"knowledge": region.knowledge.model_copy(update=changes)})


def plays(region):
    known = region.knowledge.model_copy(update={"beside": ASIDE if region.aside else None})
    return role(region.name, HOME, known, now=NOW, drain=DRAIN)


def after(world):
    """Every world that one step leads to."""
    for at, region in enumerate(world.regions):
        steps = [hear(region, one) for one in world.said if one.region != region.name]
        if region.claimed < HIGHEST - 1 and not plays(region).serving:
            steps.append(claim(region))
        steps.append(flip(region))
        if region.name == AWAY:
            steps.append(region.model_copy(update={"aside": not region.aside}))
        for changed in steps:
            if changed is not None and changed != region:
                regions = (changed, world.regions[1]) if at == 0 else (world.regions[0], changed)
                yield World(regions=regions, said=world.said | {speak(changed)})


@pytest.fixture(scope="module")
def reachable():
    """Every world that can be reached, whatever is lost, late, or told twice."""
    first = (Region(name=HOME), Region(name=AWAY))
    start = World(regions=first, said=frozenset(speak(one) for one in first))
    found, waiting = {start}, deque([start])
    while waiting:
        for world in after(waiting.popleft()):
            if world not in found:
                found.add(world)
                waiting.append(world)
    return found


def test_no_epoch_is_ever_held_in_both_regions(reachable):
    assert len(reachable) > 100
    for world in reachable:
        claims = [region.claimed for region in world.regions if region.claimed]
        flips = [region.knowledge.takeover.epoch for region in world.regions if region.knowledge.takeover]
        assert len(set(claims)) == len(claims)
        assert len(set(flips)) == len(flips)


def test_two_that_both_write_never_write_for_one_epoch(reachable):
    both = 0
    for world in reachable:
        here, there = (plays(region) for region in world.regions)
        if here.writer and there.writer:
            both += 1
            assert here.epoch != there.epoch
    assert both, "while they cannot hear each other both may serve: that is what the test is about"


def test_once_they_have_heard_each_other_exactly_one_serves_and_it_holds_the_highest_epoch(reachable):
    for world in reachable:
        home, away = world.regions
        home, away = hear(home, speak(away)), hear(away, speak(home))
        home = hear(home, speak(away))
        serving = [region for region in (home, away) if plays(region).serving]
        assert len(serving) == 1, world
        assert plays(serving[0]).epoch == max(home.knowledge.epoch, away.knowledge.epoch)


def test_who_answers_beside_the_home_never_writes_and_believes_that_the_home_holds(reachable):
    aside = 0
    for world in reachable:
        for region in world.regions:
            played = plays(region)
            if played.beside:
                aside += 1
                assert not any([played.writer, played.serving, played.stood_down, played.draining])
                assert (region.name, played.holder, played.epoch % 2) == (AWAY, HOME, 0)
                assert played.epoch == region.knowledge.epoch
    assert aside > 50


def test_once_they_have_heard_each_other_who_answers_beside_the_home_does_so_only_while_the_home_holds(reachable):
    for world in reachable:
        home, away = world.regions
        home, away = hear(home, speak(away)), hear(away, speak(home))
        home = hear(home, speak(away))
        if away.aside:
            assert plays(away).beside is plays(home).serving


def test_the_home_never_serves_once_it_knows_that_the_standby_holds_more(reachable):
    for world in reachable:
        home = world.regions[0]
        if home.knowledge.epoch % 2:
            assert not plays(home).serving
            assert not plays(home).beside


def test_nobody_ever_forgets_or_goes_back(reachable):
    for world in reachable:
        for following in after(world):
            for before, then in zip(world.regions, following.regions, strict=True):
                assert then.knowledge.epoch >= before.knowledge.epoch
                assert then.claimed >= before.claimed


def test_whoever_does_not_serve_can_always_claim_and_flip(reachable):
    """No order of events leaves an epoch that nobody can get past."""
    for world in reachable:
        for region in world.regions:
            if not plays(region).serving:
                assert flip(claim(region)) is not None


# each rule by itself


@pytest.mark.parametrize("known", range(8))
def test_a_ballot_is_higher_than_all_that_is_known_and_of_its_sides_parity(known):
    home, away = ballot(known, is_home=True), ballot(known, is_home=False)
    assert min(home, away) > known
    assert (home % 2, away % 2) == (0, 1)
    assert home >= 2
    assert {home, away} == {known + 1, known + 2}


def test_a_claim_is_above_what_the_peer_was_seen_to_hold():
    epoch = next_epoch(None, failover_id="f", region=AWAY, recovery_point="p", now=NOW, known=4)
    assert epoch.number == 5


def test_a_claim_whose_execution_is_dead_is_free_and_one_that_runs_is_not():
    held = Epoch(number=1, failover_id="dead", region=AWAY, recovery_point="p", claimed_at=NOW)
    asked = {"failover_id": "f", "region": AWAY, "recovery_point": "p", "now": NOW}
    assert next_epoch(held, free=True, **asked).number == 3
    with pytest.raises(EpochTaken, match="held by failover dead"):
        next_epoch(held, **asked)
    assert next_epoch(held, **(asked | {"failover_id": "dead"})) == held


def standing(epoch, **changes):
    holder = HOME if epoch % 2 == 0 else AWAY
    given = {"epoch": epoch, "holder": holder, "home": HOME, "kind": Kind.FAILOVER, "since": NOW, "route": ROUTE,
             "version": None, "learned_at": NOW}  # fmt: skip
    return Standing(**(given | changes))


def takeover(epoch):
    return Takeover(epoch=epoch, endpoint="e", recovery_point="p", flipped_at=NOW, home=HOME)


@pytest.mark.parametrize(
    ("region", "knowledge", "serving", "says"),
    [
        (HOME, Leadership(), True, "epoch 0: nobody took over"),
        (AWAY, Leadership(), False, f"{HOME} serves, epoch 0"),
        (AWAY, Leadership(takeover=takeover(1)), True, f"{AWAY} serves, epoch 1"),
        (HOME, Leadership(standing=standing(1)), False, f"stood down: epoch 1 is held by {AWAY}"),
        (AWAY, Leadership(takeover=takeover(1), standing=standing(2)), False, f"epoch 2 is held by {HOME}"),
        (HOME, Leadership(takeover=takeover(2), standing=standing(1)), True, f"{HOME} serves, epoch 2"),
        (AWAY, Leadership(takeover=takeover(3), standing=standing(2)), True, "epoch 3"),
    ],
)
def test_a_role_follows_from_the_highest_epoch_that_is_known(region, knowledge, serving, says):
    found = role(region, HOME, knowledge, now=NOW, drain=DRAIN)
    assert (found.serving, found.writer) == (serving, serving)
    assert says in found.reason


epochs = st.integers(0, 6)
pieces = st.fixed_dictionaries(
    {
        "takeover": st.none() | epochs.filter(bool).map(takeover),
        "former": st.none() | epochs.filter(bool).map(takeover),
        "standing": st.none() | st.builds(standing, epochs, kind=st.sampled_from(Kind)),
        "beside": st.none() | st.sampled_from([ASIDE, ASIDE.model_copy(update={"leaving": NOW})]),
    }
)


@given(pieces, st.sampled_from([HOME, AWAY]), st.sampled_from([HOME, AWAY, ""]))
def test_whatever_a_catalog_holds_a_region_is_one_thing_to_a_model_and_the_writer_is_who_serves(held, region, home):
    """Also what no order of events leads to: a catalog may be restored, or written by another release."""
    found = role(region, home, Leadership(**held), now=NOW, drain=DRAIN)
    assert found.writer is found.serving
    assert sum([found.serving, found.beside, found.stood_down]) <= 1
    assert not (found.draining and not found.stood_down)
    assert (found.holder == region) is found.serving
    if found.beside:
        assert (region, found.holder) == (AWAY, ASIDE.home)
        assert held["takeover"] is None or held["standing"].epoch > held["takeover"].epoch


@pytest.mark.parametrize(
    ("region", "knowledge", "beside"),
    [
        (AWAY, Leadership(beside=ASIDE), True),
        (AWAY, Leadership(beside=ASIDE, standing=standing(0)), True),
        (AWAY, Leadership(beside=ASIDE, takeover=takeover(1)), False),
        (AWAY, Leadership(beside=ASIDE, former=takeover(1), standing=standing(2)), True),
        (AWAY, Leadership(beside=ASIDE, takeover=takeover(3), standing=standing(2)), False),
        (AWAY, Leadership(), False),
        (HOME, Leadership(beside=ASIDE), False),
        (HOME, Leadership(beside=ASIDE, standing=standing(1)), False),
    ],
)
def test_the_standby_answers_beside_the_home_while_the_home_holds(region, knowledge, beside):
    assert role(region, HOME, knowledge, now=NOW, drain=DRAIN).beside is beside


def test_what_answers_beside_the_home_is_no_draining_and_says_since_when():
    back = Leadership(beside=ASIDE, former=takeover(1), standing=standing(2, kind=Kind.FAILBACK))
    found = role(AWAY, HOME, back, now=NOW, drain=DRAIN)
    assert (found.draining, found.stood_down, found.holder, found.epoch) == (False, False, HOME, 2)
    assert found.reason == f"{HOME} serves, epoch 2, and {AWAY} answers beside it since 2026-03-01 12:00:00"


def test_which_endpoint_answers_follows_the_role():
    both = Leadership(beside=ASIDE, takeover=takeover(1))
    assert both.restored(role(AWAY, HOME, both, now=NOW, drain=DRAIN)) == takeover(1)
    aside = Leadership(beside=ASIDE, former=takeover(1), standing=standing(2))
    assert aside.restored(role(AWAY, HOME, aside, now=NOW, drain=DRAIN)) == ASIDE
    assert Leadership().restored(role(HOME, HOME, Leadership(), now=NOW, drain=DRAIN)) is None


@pytest.mark.parametrize(
    ("beside", "told"), [(ASIDE, {"a": 2}), (None, None), (ASIDE.model_copy(update={"leaving": NOW}), None)]
)
def test_a_region_announces_how_many_instances_answer_beside_the_home_whoever_holds(beside, told):
    for knowledge in (Leadership(), Leadership(takeover=takeover(1)), Leadership(standing=standing(2))):
        said = announce(CHURN, AWAY, knowledge.model_copy(update={"beside": beside}), route=ROUTE, version=None)
        assert said.beside_counts == told
        assert learned(None, said, NOW) == learned(None, said.model_copy(update={"beside_counts": None}), NOW)


@pytest.mark.parametrize(("kind", "drains"), [("failover", False), ("failback", True), ("move", True)])
def test_only_a_planned_move_is_drained_and_not_for_ever(kind, drains):
    knowledge = Leadership(standing=standing(1, kind=Kind(kind)))
    assert role(HOME, HOME, knowledge, now=NOW, drain=DRAIN).draining is drains
    assert not role(HOME, HOME, knowledge, now=NOW + DRAIN, drain=DRAIN).draining


def test_without_a_home_a_region_goes_on_as_before_mldr():
    assert role(AWAY, "", Leadership(), now=NOW, drain=DRAIN).serving


@pytest.mark.parametrize(
    ("knowledge", "route", "home"),
    [
        (Leadership(), None, ""),
        (Leadership(), ROUTE, HOME),
        (Leadership(standing=standing(0)), None, HOME),
        (Leadership(takeover=takeover(2)), None, HOME),
        (Leadership(former=takeover(2)), None, HOME),
        (Leadership(beside=ASIDE), None, HOME),
    ],
)
def test_the_home_is_what_the_graph_says_or_whoever_told(knowledge, route, home):
    assert home_of(AWAY, knowledge, route) == home


def said(epoch, **changes):
    holder = HOME if epoch % 2 == 0 else AWAY
    given = {"model": str(CHURN), "region": AWAY, "epoch": epoch, "holder": holder, "home": HOME,
             "kind": Kind.FAILOVER, "since": NOW, "route": ROUTE}  # fmt: skip
    return Announcement(**(given | changes))


def test_what_answers_by_a_takeover_is_told_and_kept_and_what_an_older_release_told_names_nothing():
    row = takeover(1).model_copy(update={"component": "c"})
    told = announce(CHURN, AWAY, Leadership(takeover=row), route=ROUTE, version="v")
    assert (told.recovery_point, told.endpoint, told.component) == ("p", "e", "c")
    known = learned(None, told, NOW)
    assert (known.recovery_point, known.endpoint, known.component) == ("p", "e", "c")
    older = learned(None, said(1), NOW)
    assert (older.recovery_point, older.endpoint, older.component) == ("", "", "")
    assert learned(older, told.model_copy(update={"version": None}), NOW).endpoint == "e", "it was deployed anew"


@pytest.mark.parametrize(
    "announcement",
    [said(0, holder="", home="", route=None), said(1, holder=HOME), said(2, holder=AWAY)],
    ids=["knows no home", "odd at home", "even abroad"],
)
def test_what_cannot_be_is_not_learned(announcement):
    assert learned(None, announcement, NOW) is None


def test_an_older_epoch_teaches_nothing_and_the_same_one_twice_neither():
    before = learned(None, said(3), NOW)
    assert learned(before, said(1), NOW) is None
    assert learned(before, said(3), NOW + DRAIN) is None


def test_a_changed_graph_of_the_same_epoch_is_learned_without_beginning_the_drain_anew():
    before = learned(None, said(3), NOW)
    moved = ROUTE.model_copy(update={"name": "other.example"})
    found = learned(before, said(3, route=moved), NOW + DRAIN)
    assert (found.route.name, found.learned_at) == ("other.example", NOW)
    assert learned(before, said(3, route=None), NOW + DRAIN) is None


def test_an_announcement_of_a_newer_release_is_understood():
    raw = said(1).model_dump(mode="json") | {"colour": "green"}
    assert Announcement.model_validate(raw) == said(1)


def test_what_is_learned_is_told_on_with_the_holders_own_words():
    knowledge = Leadership(standing=standing(1, version="arn:served"))
    told = announce(CHURN, HOME, knowledge, route=None, version=None)
    assert (told.region, told.epoch, told.holder, told.version, told.route) == (HOME, 1, AWAY, "arn:served", ROUTE)


def test_the_kinds_of_claims_differ_in_whether_they_are_planned():
    planned = {one for one in Kind if one.planned}
    assert planned == {Kind.FAILBACK, Kind.MOVE}
