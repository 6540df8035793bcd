"""Both regions answer for a model: losing one needs nobody, what is left grows to carry both, and both answer again."""

import time
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.call_log import forbidden, operations
from tests.e2e.clients import Clients
from tests.e2e.cloud import ACTIVE, GLOBAL, QUICK, STANDBY, key, wait_for
from tests.e2e.owner import QUESTIONS, answer, question

MODEL = "duo"
POLICY = (Path(__file__).parent / "policy.yaml").read_text()
CHECK_SECONDS = 10  # HealthCheckInterval's default
ASKED = 80
BUSY = 10.0  # seconds that a crowded machine may add
pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def shared(cloud, owner, events):
    """Both regions answer for the model."""
    owner.publish(MODEL)
    events.wait("Recovery Point Sealed", MODEL, seconds=120)
    until_shared(cloud)
    return cloud


def until_shared(cloud):
    """Ask for the look that is taken every five minutes, until the name leads to both."""

    def answers_both():
        route = cloud.catalog.route(key(MODEL))
        if route and route.spread and cloud.catalog.leadership(key(MODEL)).beside:
            return True
        cloud.tell("Tiers Due", {"model": f"sagemaker/{MODEL}"})
        time.sleep(2)
        return False

    wait_for("both regions answer", answers_both, 240, lambda: cloud.story(MODEL))


def asked(cloud, count=ASKED):
    """Who answered so many requests; all answers are right."""
    found = [cloud.ask(MODEL, question(QUESTIONS[number % len(QUESTIONS)])) for number in range(count)]
    assert [one[:2] for one in found] == [(200, answer(QUESTIONS[n % len(QUESTIONS)])) for n in range(count)]
    return Counter(region for _, _, region in found)


def instances(cloud, region, endpoint):
    """How many instances of an endpoint's one variant are asked for."""
    [variant] = cloud.aws("sagemaker", region).describe_endpoint(EndpointName=endpoint)["ProductionVariants"]
    return variant["DesiredInstanceCount"]


def standing(cloud):
    """The endpoint that answers beside the home."""
    return cloud.catalog.leadership(key(MODEL)).beside.endpoint


def ask_for(cloud, region, detail_type, failover_id):
    """Ask a region, as an operator does without the CLI."""
    detail = {"model": f"sagemaker/{MODEL}", "reason": "test", "failover_id": failover_id}
    cloud.tell(detail_type, detail, region=region)


def test_both_regions_answer_about_by_weight(shared):
    """Half each: of 80 requests fewer than 20 or more than 60 come from one region once in a hundred thousand runs."""
    found = asked(shared)
    assert set(found) == {ACTIVE, STANDBY}
    assert ASKED / 4 <= found[ACTIVE] <= ASKED * 3 / 4


@pytest.fixture(scope="module")
def lost(shared, home):
    """The home is refused to everybody until all clients are answered, and a while longer; what they saw meanwhile."""
    cloud = shared
    cloud.settle()  # protecting reads the active region, as it must
    with Clients(cloud, MODEL) as clients:
        at = time.time()
        cloud.fail(ACTIVE, GLOBAL)
        began = time.time()  # its own functions still called it while it went down
        try:
            wait_for(
                "clients are answered again",
                lambda: len(clients.since(at)) > 40 and clients.newest(40) == {STANDBY},
                120,
                cloud.story,
            )
            epoch = cloud.catalog.epoch(key(MODEL))
            ask_for(cloud, STANDBY, "Failover Requested", "duo-1")
            done = lambda: (held := cloud.catalog.epoch(key(MODEL))) and held.concluded  # noqa: E731 - asked until it is
            wait_for("the standby holds the epoch", done, 180, lambda: cloud.story(MODEL))
            grown = instances(cloud, STANDBY, standing(cloud))
            calls = cloud.calls(began, time.time())
        finally:
            cloud.heal(ACTIVE, GLOBAL)
        healed = time.time()
        learned = lambda: (held := home.standing(key(MODEL))) and held.epoch == 1  # noqa: E731 - the same
        wait_for("the home has learned who serves", learned, 120, cloud.story)
        time.sleep(3)
    return {"at": at, "healed": healed, "epoch": epoch, "grown": grown, "seen": clients, "calls": calls}


def test_clients_of_a_lost_region_are_answered_within_detection_and_ttl_and_nothing_ran_for_it(lost):
    assert lost["epoch"] is None, "no epoch was claimed, so no work of a failover had begun"
    failed = [one.at for one in lost["seen"].since(lost["at"]) if one.status != 200 and one.at < lost["healed"]]
    assert failed, "the region was lost, and nobody noticed"
    within = CHECK_SECONDS * QUICK["FailureThreshold"] + QUICK["RecordTtl"]
    assert max(failed) - lost["at"] <= within + BUSY


def test_while_the_checkers_look_the_other_region_answers_its_half(lost):
    first = [one for one in lost["seen"].since(lost["at"]) if one.at < lost["at"] + CHECK_SECONDS / 2]
    assert {one.region for one in first if one.status == 200} == {STANDBY}


def test_the_survivor_is_scaled_to_the_sum_of_both(lost):
    assert lost["grown"] == 2


def test_the_survivor_called_nothing_in_the_lost_region_and_no_remote_control_plane(lost):
    """Law 1, from the moment of the loss until the survivor holds the epoch and carries both."""
    assert operations(lost["calls"]) >= {
        "InvokeEndpoint", "UpdateEndpointWeightsAndCapacities", "TransactWriteItems",
    }  # fmt: skip
    assert forbidden(lost["calls"], ACTIVE, GLOBAL) == []


def test_the_healed_home_stands_down_by_itself(shared, lost):
    others = [one for one in lost["seen"].since(lost["healed"]) if (one.status, one.region) != (200, STANDBY)]
    assert others == []
    assert set(asked(shared, 20)) == {STANDBY}


def test_both_answer_again_after_a_failback_without_a_failed_request(shared, lost, home):
    cloud = shared
    with Clients(cloud, MODEL) as clients:
        ask_for(cloud, ACTIVE, "Failback Requested", "duo-home")
        done = lambda: (held := home.epoch(key(MODEL))) and held.number == 2 and held.concluded  # noqa: E731 - the same
        wait_for("the home serves again", done, 240, lambda: cloud.story(MODEL))
        wait_for("both answer", lambda: clients.newest(40) == {ACTIVE, STANDBY}, 120, cloud.story)
    assert Counter(one.status for one in clients.seen) == {200: len(clients.seen)}
    assert all(one.said in [answer(asked) for asked in QUESTIONS] for one in clients.seen)
    assert home.takeover(key(MODEL)).endpoint == MODEL


def test_what_had_grown_goes_back_to_its_size(shared, lost):
    cloud = shared

    def small():
        cloud.tell("Tiers Due", {"model": f"sagemaker/{MODEL}"})
        time.sleep(2)
        return instances(cloud, STANDBY, standing(cloud)) == 1

    wait_for("the endpoint beside the home is as large as before", small, 240, lambda: cloud.story(MODEL))


def test_the_home_grows_while_the_region_beside_it_is_lost_and_goes_back(shared):
    cloud = shared
    with Clients(cloud, MODEL) as clients:
        at = time.time()
        cloud.fail(STANDBY, GLOBAL)
        began = time.time()
        try:
            wait_for("the home answers alone", lambda: clients.newest(40) == {ACTIVE}, 120, cloud.story)
            wait_for("the home carries both", lambda: instances(cloud, ACTIVE, MODEL) == 2, 180, cloud.story)
            calls = cloud.calls(began, time.time())
        finally:
            cloud.heal(STANDBY, GLOBAL)
        wait_for("both answer again", lambda: clients.newest(40) == {ACTIVE, STANDBY}, 120, cloud.story)
        wait_for("the home is as large as before", lambda: instances(cloud, ACTIVE, MODEL) == 1, 240, cloud.story)
    failed = [one.at for one in clients.since(at) if one.status != 200]
    assert max(failed) - at <= CHECK_SECONDS * QUICK["FailureThreshold"] + QUICK["RecordTtl"] + BUSY
    assert "UpdateEndpointWeightsAndCapacities" in operations(calls)
    assert forbidden(calls, STANDBY, GLOBAL) == [], "law 1 holds for the home as well"


def test_an_edit_of_the_tier_converges_both_ways_and_no_request_fails(shared):
    """One region answers once the name leads to it alone; the endpoint stays as the warm one that it then is."""
    cloud = shared
    alone = POLICY.replace("    active_active: {by: weight, weight: 50}\n", "").replace(
        "tier: active-active", "tier: warm-standby"
    )
    with Clients(cloud, MODEL) as clients:
        cloud.put_policy(alone)

        def withdrawn():
            cloud.tell("Tiers Due", {"model": f"sagemaker/{MODEL}"})
            time.sleep(3)
            return cloud.catalog.leadership(key(MODEL)).beside is None

        wait_for("the home answers alone", withdrawn, 300, lambda: cloud.story(MODEL))
        assert cloud.catalog.route(key(MODEL)).spread is None
        assert clients.newest(40) == {ACTIVE}
        cloud.put_policy(POLICY)
        until_shared(cloud)
        wait_for("both answer again", lambda: clients.newest(40) == {ACTIVE, STANDBY}, 60, cloud.story)
    assert Counter(one.status for one in clients.seen) == {200: len(clients.seen)}
