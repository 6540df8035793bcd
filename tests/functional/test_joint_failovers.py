"""A region that fails by itself: its models are asked for together, and recovered in order, each under its own id."""

from __future__ import annotations

import pytest

from functions.decide_failover import app
from mldr.domain.capacity import Capacity
from mldr.domain.evacuation import Listing, work_key
from mldr.domain.health import Sight, Why
from mldr.domain.region_plan import draw
from mldr.errors import EndpointFailed, NotAllowed
from mldr.ports.stack import Status
from tests.fakes.world import ACTIVE
from tests.functional.region_story import POLICY, follow, key, machine, of_region, protect_all, run_failovers, switch
from tests.functional.story import deliver, document, protect

ROUND = {"round": 0, "rounds": 5, "pause": 10}
CHEAP, PLAIN, REVENUE = "slow-a", "plain-m", "urgent-z"
NAMES = (CHEAP, PLAIN, REVENUE)


@pytest.fixture
def protected(world, context):
    protect_all(world, context, NAMES)
    world.bus.events.clear()
    return world


def sees(world, canary, *names):
    """What Route 53's checkers say of these models; of all where none is named."""
    places = [world.catalog.route(key(name)).verdict_name for name in names] or ["_health"]
    world.outside.texts.update(dict.fromkeys(places, canary))


def look(world, context, rounds=1, probe=Sight.UNHEALTHY, canary="unhealthy"):
    """So many rounds, in which the region's gateway does not answer. Returns what is asked for in them."""
    world.outside.texts["_health"] = canary
    world.outside.probes[f"gateway.{ACTIVE}.example"] = probe
    before = len(requests(world))
    for _ in range(rounds):
        app.handler(ROUND, context)
        world.clock.move(seconds=10)
    return requests(world)[before:]


def requests(world):
    return world.bus.named("Failover Requested")


def start(world, context, *asked):
    """The requests arrive, each twice. Returns the evacuations that were started."""
    before = set(world.evacuations.started)
    for detail in asked:
        event = {
            "id": "any", "source": "mldr", "detail-type": "Failover Requested",
            "time": world.clock.now().isoformat(), "detail": detail,
        }  # fmt: skip
        assert deliver("start_failover", context, event, event) == []
    return sorted(set(world.evacuations.started) - before)


def listed(world, request):
    """The names that a request lists, and their ids."""
    found = Listing.model_validate_json(world.vault.read(work_key(request["failover_id"], "asked.json"))).models
    return {one.model.name: one.failover_id for one in found}


def only_one_fits(world, monkeypatch):
    """SageMaker has one instance, and the schedule has read so."""
    now, restore = world.clock.now(), world.serving.restore
    world.catalog.put_capacity(Capacity(limits={"ml.m5.large": 1}, used={}, side_by_side=10, read_at=now))
    before = set(world.serving.endpoints)

    def limited(plan):
        if set(world.serving.endpoints) - before - {plan.name}:
            raise EndpointFailed("ResourceLimitExceeded: 1 of ml.m5.large")
        restore(plan)

    monkeypatch.setattr(world.serving, "restore", limited)


def failovers(world):
    """The models whose failover was started, in order."""
    return [one["model"].partition("/")[2] for one in world.workflows.started.values() if "failover_id" in one]


def test_the_last_instance_goes_to_the_most_critical_model_of_a_region_that_failed_by_itself(
    protected, context, monkeypatch
):
    only_one_fits(protected, monkeypatch)
    [request] = look(protected, context, rounds=3)
    assert (request["region"], request["listed"], request["requested_by"]) == (ACTIVE, True, "decide_failover")
    assert set(listed(protected, request)) == set(NAMES)
    [evacuation] = start(protected, context, request)
    assert follow(protected, context, evacuation).status == "SUCCEEDED"
    assert [name for name in NAMES if switch(protected, name)] == [REVENUE]
    assert {one.model.name: one.outcome for one in of_region(protected).models} == {
        REVENUE: "completed", PLAIN: "failed", CHEAP: "failed",
    }  # fmt: skip


def test_each_model_is_recovered_under_the_id_that_its_watch_remembers_and_counts_from_its_own_first_failure(
    protected, context
):
    [request] = look(protected, context, rounds=3)
    [evacuation] = start(protected, context, request)
    follow(protected, context, evacuation)
    for name, failover_id in listed(protected, request).items():
        [record] = [one for one in protected.evidence.records if one.model == key(name)]
        assert (record.id, record.outcome, record.phases[0].name) == (failover_id, "completed", "detect")
        assert failover_id.startswith("auto-")
        assert "route53: unhealthy" in record.reason
    assert look(protected, context, rounds=30) == [], "this region serves them"


def test_one_model_that_fails_alone_is_asked_for_by_itself(protected, context):
    sees(protected, "healthy", CHEAP, PLAIN)
    asked = look(protected, context, rounds=3)
    assert [one.get("model") for one in asked] == [f"sagemaker/{REVENUE}"]
    assert start(protected, context, *asked) == []


def test_what_a_person_is_to_decide_is_not_in_the_list(world, context):
    rule = "criticality: non-critical"
    protect_all(world, context, NAMES, POLICY.replace(rule, f"{rule}, failover: {{mode: manual}}"))
    world.bus.events.clear()
    [request] = look(world, context, rounds=5)
    assert set(listed(world, request)) == {PLAIN, REVENUE}


def test_what_a_person_approved_is_asked_for_by_itself_also_when_it_is_asked_for_again(world, context):
    """Its first request and the others' were lost together: after a minute nothing is seen of any of them."""
    rule = "criticality: non-critical"
    protect_all(world, context, NAMES, POLICY.replace(rule, f"{rule}, failover: {{mode: approve}}"))
    world.bus.events.clear()
    look(world, context, rounds=3)
    [token] = [text.split("mldr approve ")[1].split()[1] for _, text in world.pager.pages if "mldr approve" in text]
    said = {"model": f"sagemaker/{CHEAP}", "token": token, "approved_by": "ann"}
    event = {"id": "said", "source": "mldr", "detail-type": "Failover Approved", "detail": said,
             "time": world.clock.now().isoformat()}  # fmt: skip
    assert deliver("approve_failover", context, event) == []
    again = look(world, context, rounds=8)
    assert {one["model"] for one in again if "model" in one} == {f"sagemaker/{CHEAP}"}
    assert [set(listed(world, one)) for one in again if "region" in one] == [{PLAIN, REVENUE}]


# models that fail later


def test_a_less_critical_model_waits_a_little_for_a_more_critical_one_in_trouble(protected, context, monkeypatch):
    """Route 53 sees the most critical one down two rounds after the others."""
    only_one_fits(protected, monkeypatch)
    sees(protected, "healthy", REVENUE)
    assert look(protected, context, rounds=1) == []
    sees(protected, "unhealthy", REVENUE)
    assert look(protected, context, rounds=2) == []
    assert protected.catalog.health(key(CHEAP)).decided.why is Why.HELD
    assert "sagemaker/urgent-z may need its place" in protected.catalog.health(key(CHEAP)).decided.reason
    [request] = look(protected, context)
    assert set(listed(protected, request)) == set(NAMES)
    [evacuation] = start(protected, context, request)
    follow(protected, context, evacuation)
    assert [name for name in NAMES if switch(protected, name)] == [REVENUE]


def test_a_model_is_as_critical_as_its_own_tag_says(world, context):
    """The plan orders by the tag, so the watch has to hold by it, too."""
    protect_all(world, context, (CHEAP,))
    protect(world, context, world.registry.promote(REVENUE, document(), tags={"mldr:criticality": "revenue-critical"}))
    world.policies.put(POLICY.replace("criticality: revenue-critical", "criticality: non-critical"))
    sees(world, "healthy", REVENUE)
    assert look(world, context, rounds=1) == []
    sees(world, "unhealthy", REVENUE)
    assert look(world, context, rounds=2) == []
    assert "sagemaker/urgent-z may need its place" in world.catalog.health(key(CHEAP)).decided.reason


def test_a_less_critical_model_waits_for_two_rounds_and_no_more(protected, context):
    """What is in doubt for ever holds nobody up."""
    rule = "criticality: revenue-critical"
    protected.policies.put(POLICY.replace(rule, f"{rule}, health: {{consecutive_failures: 9}}"))
    sees(protected, "healthy", PLAIN)
    assert look(protected, context, rounds=4) == []
    [request] = look(protected, context)
    assert request["model"] == f"sagemaker/{CHEAP}"


def test_a_more_critical_model_waits_for_nobody(protected, context):
    sees(protected, "healthy", CHEAP, PLAIN)
    look(protected, context, rounds=1)
    sees(protected, "unhealthy", CHEAP, PLAIN)
    [request] = look(protected, context, rounds=2)
    assert request["model"] == f"sagemaker/{REVENUE}"


@pytest.fixture
def one_slot(protected):
    protected.env = protected.env.model_copy(update={"failovers_side_by_side": 1})
    return protected


def late_joiner(world, context):
    """PLAIN and CHEAP are asked for; PLAIN runs; then REVENUE joins. Returns both evacuations."""
    sees(world, "healthy", REVENUE)
    [first] = look(world, context, rounds=5)
    [one] = start(world, context, first)
    begin(world, context, one)
    sees(world, "unhealthy", REVENUE)
    [second] = look(world, context, rounds=3)
    [two] = start(world, context, second)
    return first, one, second, two


class Paused(BaseException):
    """An execution is looked at no further for now."""


def begin(world, context, evacuation):
    """Run an evacuation until it waits for its first model; both still run."""
    play = machine(world, context)

    def stop(seconds):
        raise Paused

    play._pass_time = stop
    with pytest.raises(Paused):
        play.run(world.evacuations.started[evacuation])
    world.evacuations.active.add(evacuation)


def test_a_model_that_fails_later_is_put_in_order_before_what_has_not_begun(one_slot, context):
    first, one, second, two = late_joiner(one_slot, context)
    assert set(listed(one_slot, first)) == {CHEAP, PLAIN}
    assert set(listed(one_slot, second)) == {CHEAP, REVENUE}, "the other one runs"
    assert listed(one_slot, second)[CHEAP] == listed(one_slot, first)[CHEAP]
    assert failovers(one_slot) == [PLAIN]
    follow(one_slot, context, one)
    assert failovers(one_slot) == [PLAIN], "what waited in the first has its turn in the second"
    follow(one_slot, context, two)
    assert failovers(one_slot) == [PLAIN, REVENUE, CHEAP]
    assert all(switch(one_slot, name).epoch == 1 for name in NAMES)


def test_no_region_is_told_to_have_failed_for_a_model_that_another_evacuation_recovers(one_slot, context):
    _, one, _, two = late_joiner(one_slot, context)
    follow(one_slot, context, one)
    record = of_region(one_slot)
    assert (record.id, [each.model.name for each in record.models], record.outcome) == (one, [PLAIN], "completed")
    follow(one_slot, context, two)
    record = of_region(one_slot)
    assert (record.id, {each.model.name for each in record.models}) == (two, {CHEAP, REVENUE})
    told = [subject for subject, _ in one_slot.pager.pages if "unknown" not in subject]
    assert told == [f"mldr: failover of {ACTIVE} completed by itself"] * 2


def test_what_waits_for_its_turn_is_not_asked_for_again_however_long_that_takes(one_slot, context):
    [request] = look(one_slot, context, rounds=3)
    [evacuation] = start(one_slot, context, request)
    begin(one_slot, context, evacuation)
    assert look(one_slot, context, rounds=90) == []
    assert "waits for its turn in" in one_slot.catalog.health(key(CHEAP)).decided.reason
    follow(one_slot, context, evacuation)
    assert all(switch(one_slot, name).epoch == 1 for name in NAMES)


def test_what_answers_again_before_its_turn_has_come_is_left_where_it_is(one_slot, context):
    [request] = look(one_slot, context, rounds=3)
    [evacuation] = start(one_slot, context, request)
    begin(one_slot, context, evacuation)
    look(one_slot, context, rounds=3, canary="healthy", probe=Sight.HEALTHY)
    follow(one_slot, context, evacuation)
    assert [name for name in NAMES if switch(one_slot, name)] == [REVENUE]
    record = of_region(one_slot)
    assert (record.outcome, [one.model.name for one in record.models]) == ("completed", [REVENUE])


# what dies in between


def test_a_request_that_died_before_it_was_put_is_made_again_after_a_minute(protected, context, monkeypatch):
    look(protected, context, rounds=2)

    def crash(detail_type, detail):
        raise RuntimeError("the function died")

    with monkeypatch.context() as dying:
        dying.setattr(protected.bus, "put", crash)
        with pytest.raises(RuntimeError):
            app.handler(ROUND, context)
    asked = look(protected, context, rounds=8)
    assert len(asked) == 1
    [evacuation] = start(protected, context, *asked)
    follow(protected, context, evacuation)
    for name in NAMES:
        assert [one.outcome for one in protected.evidence.records if one.model == key(name)] == ["completed"]


def test_a_request_that_was_lost_on_its_way_is_made_again_for_all_of_its_models(protected, context):
    first, again = look(protected, context, rounds=10)
    assert first["failover_id"] != again["failover_id"]
    assert listed(protected, first) == listed(protected, again)
    for evacuation in start(protected, context, first, again):
        follow(protected, context, evacuation)
    assert all(switch(protected, name).epoch == 1 for name in NAMES)
    assert len(failovers(protected)) == len(NAMES)


def test_a_model_whose_state_cannot_be_kept_keeps_no_other_from_being_asked_for(protected, context, monkeypatch):
    look(protected, context, rounds=2)
    keep = protected.catalog.put_health

    def refuses(model, state):
        if model.name == PLAIN:
            raise NotAllowed("write the table: AccessDenied")
        keep(model, state)

    with monkeypatch.context() as refusing:
        refusing.setattr(protected.catalog, "put_health", refuses)
        with pytest.raises(NotAllowed):
            app.handler(ROUND, context)
    [request] = requests(protected)
    assert set(listed(protected, request)) == {CHEAP, REVENUE}
    protected.clock.move(seconds=10)
    [second] = look(protected, context)
    assert set(listed(protected, second)) == set(NAMES), "what has not begun is ordered with it"


def test_an_evacuation_that_was_killed_is_followed_by_another_one_of_the_watch(one_slot, context):
    [request] = look(one_slot, context, rounds=3)
    [evacuation] = start(one_slot, context, request)
    begin(one_slot, context, evacuation)
    one_slot.evacuations.active.discard(evacuation)
    one_slot.evacuations.ended[evacuation] = Status.LOST
    run_failovers(one_slot, context)
    [second] = look(one_slot, context, rounds=7)
    assert set(listed(one_slot, second)) == {CHEAP, PLAIN}
    [another] = start(one_slot, context, second)
    follow(one_slot, context, another)
    assert all(switch(one_slot, name).epoch == 1 for name in NAMES)
    assert len(failovers(one_slot)) == len(NAMES)


def test_an_evacuation_that_cannot_be_planned_is_asked_for_less_and_less_often_and_works_once_it_is_mended(
    protected, context, monkeypatch
):
    forbidden = [True]

    def refuses(*given, **named):
        if forbidden:
            raise NotAllowed("read CAPACITY of REGION: AccessDenied")
        return draw(*given, **named)

    def minutes(count):
        asked = []
        for _ in range(6 * count):
            new = look(protected, context)
            asked += new
            for one in start(protected, context, *new):
                protected.evacuations.ended[one] = Status(follow(protected, context, one).status)
        return asked

    monkeypatch.setattr("mldr.steps.plan_evacuation.draw", refuses)
    assert 3 <= len(minutes(14)) <= 6
    forbidden.clear()
    minutes(15)
    assert all(switch(protected, name).epoch == 1 for name in NAMES)


def test_a_list_that_is_gone_does_not_become_the_whole_region(protected, context):
    [request] = look(protected, context, rounds=3)
    [evacuation] = start(protected, context, {**request, "failover_id": "another"})
    ended = follow(protected, context, evacuation)
    assert (ended.status, failovers(protected)) == ("FAILED", [])
    assert "no list of models is kept for another" in protected.pager.pages[-1][1]


def test_a_model_that_cannot_be_judged_keeps_no_other_from_being_asked_for_with_the_rest(
    protected, context, monkeypatch
):
    health = protected.catalog.health

    def damaged(model):
        if model.name == PLAIN:
            raise ValueError("not a health state")
        return health(model)

    monkeypatch.setattr(protected.catalog, "health", damaged)
    for _ in range(3):
        with pytest.raises(ValueError, match="not a health state"):
            look(protected, context)
        protected.clock.move(seconds=10)
    [request] = requests(protected)
    assert set(listed(protected, request)) == {CHEAP, REVENUE}
