"""Cached predictions in two regions: what is marked, what crosses, what bridges, and what is never given."""

from __future__ import annotations

import datetime as dt

import pytest

from functions.predict_gateway import app
from mldr.domain.failover import Epoch
from mldr.domain.prediction_cache import LARGEST, Look
from mldr.errors import EndpointFailed, RegionUnreachable, RequestRefused, Throttled
from tests.fakes.world import ACTIVE, POLICY, STANDBY
from tests.functional.pair import HOME, Pair
from tests.functional.story import CHURN, deliver

CACHED = POLICY.replace(
    "  - match: sagemaker/churn\n", "  - match: sagemaker/churn\n    cache: {ttl: 10m, entries: 64}\n"
)
LONG_AGO = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class Client:
    """Asks a region's gateway, and lets what it leaves behind run its course."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair

    def headers(self):
        """The headers of an answer at home."""
        return self._ask(HOME, "[1, 2]", {})["headers"]

    def ask(self, region=HOME, body="[1, 2]", *, settle=True, **headers):
        """Status, body, and what the answer says of the cache."""
        answer = self._ask(region, body, headers)
        if settle:
            self.settle()
        return answer["statusCode"], answer["body"], answer["headers"].get("x-mldr-cache")

    def _ask(self, region, body, headers):
        world = self.pair.at(f"gateway.{region}.example")
        event = {
            "version": "2.0", "routeKey": "$default", "rawPath": "/models/churn/invocations", "rawQueryString": "",
            "headers": {"authorization": "Bearer right-token", **{k.replace("_", "-"): v for k, v in headers.items()}},
            "requestContext": {"http": {"method": "POST", "path": "/models/churn/invocations"}, "stage": "$default"},
            "body": body, "isBase64Encoded": False,
        }  # fmt: skip
        with self.pair.inside(world):
            return app.handler(event, self.pair.context)

    def settle(self):
        """Offered answers are kept, and what is kept in one region reaches the other one if it is up."""
        self.pair.standby.clock.move(seconds=1)
        for world in self.pair.worlds():
            offered, world.offers.offered = world.offers.offered, []
            self.keep(world, world.env.aws_region, [one.model_dump(mode="json") for one in offered])
        for world, peer in (self.pair.worlds(), self.pair.worlds()[::-1]):
            if peer.env.aws_region in self.pair.down:
                continue
            told = world.bus.named("Predictions Kept")
            world.bus.events = [one for one in world.bus.events if one[0] != "Predictions Kept"]
            for detail in told:
                self.keep(peer, world.env.aws_region, detail["entries"])

    def keep(self, world, region, entries):
        """Deliver answers to a region's keeper."""
        with self.pair.inside(world):
            if entries:
                message = {"region": region, "detail": {"entries": entries}}
                assert deliver("keep_predictions", self.pair.context, message) == []

    def kept(self, world):
        """How many answers a region has."""
        return len(world.prediction_cache.entries)


@pytest.fixture
def pair(monkeypatch, context):
    made = Pair(monkeypatch, context)
    for world in made.worlds():
        world.policies.text = CACHED
    arn = made.protected()
    made.home.own_endpoints.made_of["churn"] = frozenset({arn})
    made.arn = arn
    return made


@pytest.fixture
def client(pair):
    return Client(pair)


def take_over(pair):
    """The standby takes the model over; its restored endpoint is seen as SageMaker describes it."""
    pair.fail(pair.home)
    assert pair.request(pair.standby, "failover", "failover-1").status == "SUCCEEDED"
    restored = pair.standby.catalog.takeover(CHURN).endpoint
    pair.standby.own_endpoints.looks[restored] = Look(
        status="InService", config=restored, contents=frozenset({"image", "s3://vault/model"}), models=1,
        made_at=LONG_AGO, changed_at=LONG_AGO,
    )  # fmt: skip
    return restored


def test_the_second_time_the_answer_comes_from_the_cache_and_says_so(pair, client):
    assert client.ask() == (200, "[1, 2]", "miss")
    pair.standby.clock.move(seconds=60)
    assert client.ask(body=" [1,2] ") == (200, "[1, 2]", "hit")
    assert len(pair.home.serving.asked) == 1


def test_the_age_of_a_cached_answer_is_told(pair, client):
    assert "age" not in client.headers()
    client.settle()
    pair.standby.clock.move(seconds=30)
    assert (client.headers()["x-mldr-cache"], client.headers()["age"]) == ("hit", "31")


def test_without_a_cache_in_the_policy_nothing_is_read_or_kept(pair, client):
    pair.home.policies.text = POLICY
    assert [client.ask()[2] for _ in range(2)] == [None, None]
    assert (pair.home.prediction_cache.reads, client.kept(pair.home)) == (0, 0)


def test_without_the_right_token_the_cache_is_not_asked(pair, client):
    client.ask()
    reads = pair.home.prediction_cache.reads
    assert client.ask(authorization="Bearer wrong")[0] == 401
    assert pair.home.prediction_cache.reads == reads


def test_a_client_that_says_no_store_leaves_nothing_and_gets_nothing_of_it(pair, client):
    assert client.ask(cache_control="no-store")[2] is None
    assert client.kept(pair.home) == 0
    client.ask()
    assert client.ask(cache_control="no-store")[2] is None


def test_a_client_that_says_no_cache_gets_a_new_answer_that_is_kept(pair, client):
    client.ask()
    assert client.ask(cache_control="no-cache")[2] == "miss"
    assert len(pair.home.serving.asked) == 2


def test_what_is_not_a_success_or_too_large_is_not_kept(pair, client, monkeypatch):
    pair.home.serving.answer = lambda body: b"x" * (LARGEST + 1)
    assert client.ask()[2] == "miss"

    def failing(*_):
        raise EndpointFailed("the container answered 500")

    monkeypatch.setattr(pair.home.serving, "invoke", failing)
    assert client.ask()[0] == 503
    assert client.kept(pair.home) == 0


@pytest.mark.parametrize("error", [RegionUnreachable("no answer"), Throttled("slow down")])
def test_a_cache_that_does_not_answer_stops_no_prediction(pair, client, error):
    pair.home.prediction_cache.error = error
    assert client.ask(settle=False) == (200, "[1, 2]", None)
    pair.home.prediction_cache.error = None
    pair.home.offers.error = error
    assert client.ask() == (200, "[1, 2]", "miss")


def test_nothing_of_the_request_and_no_header_is_kept(pair, client):
    pair.home.serving.answer = lambda body: b'{"score": 1}'
    client.ask(body='{"card": "4111"}', x_api_key="secret")
    [entry] = pair.home.prediction_cache.entries.values()
    written = entry.model_dump_json()
    assert not [one for one in ("4111", "card", "right-token", "secret") if one in written]


def test_an_endpoint_whose_version_is_not_sure_is_not_cached(pair, client):
    pair.home.own_endpoints.made_of["churn"] = frozenset({"image", "s3://lake/churn/model.tar.gz"})
    assert [client.ask()[2] for _ in range(2)] == ["miss", "miss"]
    assert client.kept(pair.home) == 0


# versions


def test_a_new_version_never_answers_from_the_old_ones_entries(pair, client):
    client.ask()
    pair.standby.clock.move(seconds=10)
    pair.home.own_endpoints.made_of["churn"] = frozenset({pair.arn[:-1] + "2"})
    pair.home.serving.answer = lambda body: b"[2]"
    assert client.ask() == (200, "[2]", "miss")
    pair.standby.clock.move(seconds=10)
    assert client.ask() == (200, "[2]", "hit")
    assert client.kept(pair.home) == 1


def test_an_endpoint_that_cannot_be_looked_at_any_more_is_asked_itself(pair, client, monkeypatch):
    """What an older look saw proves nothing: it may have been updated since."""
    client.ask()
    pair.standby.clock.move(seconds=10)

    def refuse(*_):
        raise Throttled("slow down")

    monkeypatch.setattr(pair.home.own_endpoints, "look", refuse)
    pair.home.serving.answer = lambda body: b"[2]"
    assert client.ask(settle=False) == (200, "[2]", "miss")
    assert pair.home.offers.offered == []


def test_while_an_endpoint_is_updated_nothing_is_given_or_kept(pair, client):
    client.ask()
    pair.standby.clock.move(seconds=10)
    pair.home.own_endpoints.looks["churn"] = Look(status="Updating", config="churn-2")
    assert client.ask()[2] == "miss"
    assert len(pair.home.serving.asked) == 2


def test_an_answer_that_was_given_while_the_endpoint_changed_is_not_kept(pair, client):
    client.ask(settle=False)
    now = pair.standby.clock.now()
    pair.home.own_endpoints.looks["churn"] = Look(
        status="InService", config="churn-2", contents=frozenset({pair.arn}), models=1, made_at=LONG_AGO, changed_at=now
    )
    client.settle()
    assert client.kept(pair.home) == 0


# the other region


def test_entries_reach_the_standby_and_are_usable_at_once_after_a_failover(pair, client):
    client.ask()
    assert client.kept(pair.standby) == 1
    take_over(pair)
    pair.standby.serving.asked.clear()
    assert client.ask(STANDBY) == (200, "[1, 2]", "hit")
    assert pair.standby.serving.asked == []


def test_what_a_region_was_told_it_does_not_tell_back(pair, client):
    """Else two regions would tell each other the same for ever."""
    client.ask(settle=False)
    [offered] = pair.home.offers.offered
    client.keep(pair.standby, ACTIVE, [offered.model_dump(mode="json")])
    assert client.kept(pair.standby) == 1
    assert pair.standby.bus.named("Predictions Kept") == []


def test_what_the_new_holder_answers_is_kept_for_its_epoch_and_reaches_the_home_when_it_heals(pair, client):
    take_over(pair)
    assert client.ask(STANDBY, body="[7]")[2] == "miss"
    pair.heal(pair.home)
    pair.listen()
    client.settle()
    assert [one.epoch for one in pair.home.prediction_cache.entries.values()] == [1]
    pair.standby.clock.move(seconds=10)
    assert client.ask(STANDBY, body="[7]")[2] == "hit"


def test_a_region_that_stood_down_never_answers_from_its_cache_and_its_late_entries_are_refused(pair, client):
    client.ask()
    client.ask(body="[5]", settle=False)
    late = [one.model_dump(mode="json") for one in pair.home.offers.offered]
    take_over(pair)
    before = client.kept(pair.standby)
    client.keep(pair.standby, ACTIVE, late)
    assert client.kept(pair.standby) == before, "an answer of epoch 0 comes too late for epoch 1"
    pair.heal(pair.home)
    pair.listen()
    assert client.ask(HOME)[0::2] == (503, None)
    assert client.kept(pair.home) == 1, "nor does the old holder keep it"


def test_after_a_planned_move_the_old_side_answers_but_not_from_its_cache(pair, client):
    client.ask()
    assert pair.request(pair.standby, "move", "move-1").status == "SUCCEEDED"
    pair.listen()
    assert client.ask(HOME) == (200, "[1, 2]", None)


def test_going_home_the_entries_are_of_the_same_version_again(pair, client):
    take_over(pair)
    client.ask(STANDBY, body="[7]")
    pair.heal(pair.home)
    pair.listen()
    client.settle()
    pair.protect(pair.home, pair.standby.catalog.records(CHURN)[0].target_arn)
    assert pair.request(pair.home, "failback", "failback-1").status == "SUCCEEDED"
    pair.home.serving.asked.clear()
    pair.listen()
    assert client.ask(HOME, body="[7]")[2] == "hit"
    assert pair.home.serving.asked == []


# bridging


def test_a_stale_answer_stands_in_while_the_endpoint_at_home_is_down(pair, client):
    client.ask()
    pair.standby.clock.move(minutes=11)
    client.ask(body="[3]")  # somebody else keeps the region looking
    pair.home.serving.endpoints.clear()
    pair.home.own_endpoints.made_of.clear()
    pair.standby.clock.move(seconds=10)
    assert client.ask() == (200, "[1, 2]", "stale")
    pair.standby.clock.move(minutes=4)
    assert client.ask()[0] == 503


@pytest.mark.parametrize(
    ("error", "answered"),
    [
        (RequestRefused("Received client error (422)", status=422, said="no"), (422, "no", None)),
        (RequestRefused("endpoint churn did not answer: not found"), (200, "[1, 2]", "stale")),
        (EndpointFailed("Received server error (500)"), (200, "[1, 2]", "stale")),
        (Throttled("slow down"), (200, "[1, 2]", "stale")),
        (RegionUnreachable("invoke churn: Read timeout on endpoint URL"), (200, "[1, 2]", "stale")),
    ],
)
def test_nothing_stands_in_for_what_the_model_refuses(pair, client, monkeypatch, error, answered):
    """The request is wrong, and the endpoint answers: what it once said to it would be a lie, and is not kept."""
    asked = []

    def failing(*given):
        asked.append(given)
        raise error

    client.ask()
    pair.standby.clock.move(minutes=11)
    kept = dict(pair.home.prediction_cache.entries)
    monkeypatch.setattr(pair.home.serving, "invoke", failing)
    assert client.ask() == answered
    assert (len(asked), pair.home.prediction_cache.entries) == (1, kept)


def test_a_stale_answer_is_not_given_while_the_endpoint_answers(pair, client):
    client.ask()
    pair.standby.clock.move(minutes=11)
    assert client.ask()[2] == "miss"


def test_the_standby_bridges_until_its_endpoint_is_up_with_the_version_that_it_will_restore(pair, client):
    client.ask()
    pair.fail(pair.home)
    assert client.ask(STANDBY) == (200, "[1, 2]", "hit")
    pair.standby.clock.move(minutes=11)
    assert client.ask(STANDBY) == (200, "[1, 2]", "stale")
    pair.standby.clock.move(minutes=5)
    assert client.ask(STANDBY)[0] == 503


def test_by_name_its_answers_bring_nobody_to_a_standby_that_has_not_taken_over(pair, client):
    """DNS follows the switch, and the switch a golden check: what is kept is for whoever asks the gateway itself."""
    client.ask()
    pair.fail(pair.home)
    assert (pair.dns(), pair.predict()) == (HOME, (0, HOME))
    assert client.ask(STANDBY) == (200, "[1, 2]", "hit")


def test_the_standby_does_not_bridge_with_answers_of_another_version(pair, client):
    client.ask()
    [(place, entry)] = pair.standby.prediction_cache.entries.items()
    newer = pair.standby.registry.promote("churn", dict(pair.standby.registry.describe(pair.arn).document))
    assert newer != pair.arn
    pair.protect(pair.standby, newer)
    pair.fail(pair.home)
    assert pair.standby.prediction_cache.entries[place] == entry
    assert client.ask(STANDBY)[0] == 503


def test_while_a_failover_restores_an_older_version_its_answers_bridge_whatever_was_sealed_since(pair, client):
    client.ask()
    pair.fail(pair.home)
    catalog, now = pair.standby.catalog, pair.standby.clock.now()
    [older] = catalog.records(CHURN)
    claim = Epoch(
        number=1, failover_id="failover-1", region=STANDBY, recovery_point=older.recovery_point, claimed_at=now
    )
    catalog.claim(CHURN, claim, None)
    pair.protect(
        pair.standby, pair.standby.registry.promote("churn", dict(pair.standby.registry.describe(pair.arn).document))
    )
    assert client.ask(STANDBY) == (200, "[1, 2]", "hit")
    catalog.conclude(CHURN, claim)
    assert client.ask(STANDBY)[0] == 503


def test_golden_requests_and_health_checks_leave_the_cache_alone(pair, client):
    pair.health(pair.home)
    take_over(pair)
    assert (pair.home.prediction_cache.reads, pair.standby.prediction_cache.reads) == (0, 0)
    assert client.kept(pair.standby) == 0


# delivery


def test_a_batch_delivered_twice_changes_nothing_and_a_bad_message_fails_alone(pair, client, context):
    client.ask(settle=False)
    offered = [one.model_dump(mode="json") for one in pair.home.offers.offered]
    good = {"region": ACTIVE, "detail": {"entries": offered}}
    pair.standby.clock.move(seconds=1)
    with pair.inside(pair.home):
        assert deliver("keep_predictions", context, good, "no json", good) == ["1"]
    assert (client.kept(pair.home), len(pair.home.bus.named("Predictions Kept"))) == (1, 1)


def test_what_could_not_be_told_to_the_other_region_is_delivered_again(pair, client, context, monkeypatch):
    client.ask(settle=False)
    message = {"region": ACTIVE, "detail": {"entries": [pair.home.offers.offered[0].model_dump(mode="json")]}}
    pair.standby.clock.move(seconds=1)

    def refuse(*_):
        raise Throttled("slow down")

    with pair.inside(pair.home):
        with monkeypatch.context() as broken:
            broken.setattr(pair.home.bus, "put", refuse)
            assert deliver("keep_predictions", context, message) == ["0"]
        assert deliver("keep_predictions", context, message) == []
    assert len(pair.home.bus.named("Predictions Kept")) == 1


def test_an_older_answer_that_comes_late_replaces_no_newer_one(pair, client):
    client.ask(settle=False)
    pair.standby.clock.move(seconds=3)
    client.ask(cache_control="no-cache", settle=False)
    older, newer = (one.model_dump(mode="json") for one in pair.home.offers.offered)
    pair.home.offers.offered.clear()
    client.keep(pair.standby, ACTIVE, [newer])
    client.keep(pair.standby, ACTIVE, [older])
    [kept] = pair.standby.prediction_cache.entries.values()
    assert kept.model_dump(mode="json") == newer
