"""Both regions answer for an active-active model, one of them writes, and the way there and back fails no request."""

import json

import pytest

from functions.predict_gateway import app
from mldr.domain.failover import Epoch
from mldr.domain.prediction_cache import Look
from mldr.domain.routing import Spread, SpreadBy
from mldr.domain.warming import Count
from mldr.errors import RegionUnreachable
from mldr.steps import serve_gateway
from tests.fakes.world import POLICY, STANDBY
from tests.functional.pair import HOME, Pair
from tests.functional.story import CHURN, promoted
from tests.functional.test_failback_crashes import Wire
from tests.functional.test_prediction_cache import LONG_AGO, Client
from tests.functional.test_tiers import RULES, due, standing, there_and_back
from tests.functional.test_warming import captured

BY_WEIGHT = "tier: active-active\n    active_active: {by: weight, weight: 50}"
PORTS = ("catalog", "serving", "standing_endpoints", "dns", "outside", "vault", "serving_captures", "policies")


def rules(pair, said=BY_WEIGHT):
    """The policy of both regions says this of churn from now on."""
    for world in pair.worlds():
        world.policies.put(POLICY.replace(RULES, f"{said}\n    {RULES}", 1))


def let_both_answer(both):
    """Seal a version of churn whose policy lets both regions answer; Route 53 believes the standby."""
    rules(both)
    both.protected()
    both.listen()
    both.standby.outside.texts["_beside"] = "healthy"
    return both


@pytest.fixture
def pair(monkeypatch, context):
    return let_both_answer(Pair(monkeypatch, context))


@pytest.fixture
def answering(pair, context):
    """The standby answers beside the home."""
    look(pair, context)
    assert row(pair)
    return pair


def look(pair, context, times=2):
    """Two looks: what the first one made is in service for the second one."""
    return [due(pair.standby, context) for _ in range(times)]


def row(pair):
    """What answers beside the home, as the standby's catalog says."""
    return pair.standby.catalog.leadership(CHURN).beside


def spread(pair):
    """How the name of the model is shared."""
    return pair.standby.catalog.route(CHURN).spread


def served(pair, region=STANDBY):
    """The status and the endpoint of a prediction that a region is asked for."""
    world = pair.at(f"gateway.{region}.example")
    request = {"method": "POST", "path": "/models/churn/invocations"}
    event = {"version": "2.0", "routeKey": "$default", "rawPath": request["path"], "rawQueryString": "",
             "headers": {"authorization": "Bearer right-token"}, "body": "[1]", "isBase64Encoded": False,
             "requestContext": {"http": request, "stage": "$default"}}  # fmt: skip
    with pair.inside(world):
        answer = app.handler(event, pair.context)
    return answer["statusCode"], answer["headers"].get("x-mldr-endpoint")


def told(pair, world):
    """What a region announces of the model."""
    return json.loads(serve_gateway.epoch(CHURN, leaders=world.leaders, catalog=world.catalog).body)


# the gateway


def test_both_regions_answer_each_with_its_own_endpoint(answering):
    [name] = standing(answering.standby)
    assert served(answering) == (200, name)
    assert served(answering, HOME) == (200, "churn")


def test_before_anything_is_proven_the_standby_answers_nobody(pair, context):
    assert served(pair)[0] == 503
    due(pair.standby, context)
    assert (len(standing(pair.standby)), row(pair), served(pair)[0]) == (1, None, 503)
    assert pair.health(pair.standby).status == 503


def test_deep_health_is_that_of_what_answers_by_the_golden_inferences_of_its_point(answering):
    answer = answering.health(answering.standby)
    body = json.loads(answer.body)
    assert (answer.status, body["endpoint"], body["golden"]["outcome"]) == (200, row(answering).endpoint, "equal")
    answering.standby.serving.endpoints[row(answering).endpoint].statuses = [("Failed", "gone")]
    assert answering.health(answering.standby).status == 503


def test_it_is_no_takeover_and_claims_no_epoch(answering):
    assert answering.get(f"gateway.{STANDBY}.example", "/models/churn/takeover") == 404
    assert (told(answering, answering.standby)["epoch"], told(answering, answering.standby)["holder"]) == (0, HOME)
    assert answering.standby.catalog.epoch(CHURN) is None


def test_the_home_hears_how_many_instances_answer_beside_it(pair, context):
    captured(pair.standby, instances=3)
    look(pair, context)
    assert told(pair, pair.standby)["beside_counts"] == {"main": 3}
    assert told(pair, pair.home)["beside_counts"] is None


def test_no_policy_is_read_for_an_answer(answering):
    answering.standby.policies.text = None
    assert served(answering)[0] == 200
    answering.standby.clock.move(minutes=10)
    answer = answering.health(answering.standby)
    golden = json.loads(answer.body)["golden"]
    assert (answer.status, golden["outcome"], golden["last_success_seconds_ago"]) == (200, "equal", 0)


# up


def test_the_row_comes_first_then_the_name(pair, context):
    pair.standby.outside.texts["_beside"] = None
    assert look(pair, context) == [True, True]
    assert pair.standby.setbacks.of(CHURN).met.kind == "ChecksNotReported", "Route 53 has not seen it yet"
    assert row(pair)
    assert spread(pair) is None
    pair.standby.outside.texts["_beside"] = "healthy"
    assert due(pair.standby, context)
    assert spread(pair) == Spread(by=SpreadBy.WEIGHT, weight=50)


def test_another_share_in_the_policy_is_another_share_in_the_name(answering, context):
    rules(answering, BY_WEIGHT.replace("50", "10"))
    due(answering.standby, context)
    assert spread(answering) == Spread(by=SpreadBy.WEIGHT, weight=10)


def test_wrong_golden_answers_keep_it_from_every_client(pair, context):
    pair.standby.serving.answer = lambda body: b"[2]"
    look(pair, context, 3)
    assert (row(pair), spread(pair), served(pair)[0]) == (None, None, 503)
    pair.standby.serving.answer = lambda body: body
    assert due(pair.standby, context)
    assert served(pair)[0] == 200


def test_it_is_warm_before_clients_come(pair, context, monkeypatch):
    put, before = pair.standby.catalog.put_beside, []

    def noted(*row):
        before.append(len(pair.standby.serving.asked))
        put(*row)

    monkeypatch.setattr(pair.standby.catalog, "put_beside", noted)
    look(pair, context)
    assert before == [1 + 20 + 1], "each question once, the policy's requests, the golden check"


def test_it_is_proven_once_and_not_at_every_look(answering, context):
    asked = len(answering.standby.serving.asked)
    look(answering, context, 3)
    assert len(answering.standby.serving.asked) == asked


def test_an_endpoint_that_is_not_in_service_yet_is_not_asked(pair, context):
    pair.standby.serving.coming = [("Creating", ""), ("Creating", ""), ("InService", "")]
    look(pair, context)
    assert (row(pair), pair.standby.serving.asked) == (None, [])


def test_a_warm_standby_grows_before_it_answers_and_keeps_its_name(pair, context):
    captured(pair.standby, instances=4)
    rules(pair, "tier: warm-standby")
    due(pair.standby, context)
    [name] = standing(pair.standby)
    assert pair.standby.serving.endpoints[name].counts == {"main": 1}
    rules(pair)
    due(pair.standby, context)
    assert (row(pair), pair.standby.serving.endpoints[name].counts) == (None, {"main": 4})
    due(pair.standby, context)
    assert (row(pair).endpoint, row(pair).counts) == (name, {"main": 4})


def test_nothing_changes_while_a_claim_is_open(answering, context):
    rules(answering, "tier: cold-standby")
    now = answering.standby.clock.now()
    claim = Epoch(number=1, failover_id="f", region=STANDBY, recovery_point="p", claimed_at=now)
    answering.standby.catalog.claim(CHURN, claim, None)
    before = row(answering)
    look(answering, context)
    assert (row(answering), len(standing(answering.standby))) == (before, 1)
    assert spread(answering)


def test_a_failover_that_begins_during_a_look_is_left_alone(pair, context, monkeypatch):
    due(pair.standby, context)
    claim = Epoch(number=1, failover_id="f", region=STANDBY, recovery_point="p", claimed_at=pair.standby.clock.now())
    newest = pair.standby.serving_captures.newest

    def claimed_meanwhile(model, *before):
        pair.standby.catalog.claim(model, claim, pair.standby.catalog.epoch(model))
        return newest(model, *before)

    monkeypatch.setattr(pair.standby.serving_captures, "newest", claimed_meanwhile)
    due(pair.standby, context)
    assert (row(pair), spread(pair), pair.standby.serving.asked) == (None, None, [])


# autoscaling


def scaled(pair, least=1, most=4):
    """The captured endpoint scales by itself."""
    captured(pair.standby, instances=2)
    state = pair.standby.serving_captures.newest(CHURN)
    target = {"ServiceNamespace": "sagemaker", "ResourceId": "endpoint/churn/variant/main", "MinCapacity": least,
              "ScalableDimension": "sagemaker:variant:DesiredInstanceCount", "MaxCapacity": most}  # fmt: skip
    policy = {"PolicyName": "p", "ResourceId": "endpoint/churn/variant/main"}
    document = {**state.document, "ScalableTargets": [target], "ScalingPolicies": [policy]}
    pair.standby.serving_captures.put(state.model_copy(update={"document": document}))


def test_it_scales_by_itself_once_it_answers_and_may_grow_to_the_load_of_both(pair, context):
    scaled(pair)
    due(pair.standby, context)
    assert pair.standby.serving.scaling == {}, "nobody asks it yet, so autoscaling would make it small"
    due(pair.standby, context)
    [name] = standing(pair.standby)
    [target] = pair.standby.serving.scaling[name].targets
    assert (target["ResourceId"], target["MinCapacity"], target["MaxCapacity"]) == (
        f"endpoint/{name}/variant/main", 1, 8,
    )  # fmt: skip
    assert len(pair.standby.serving.scaling[name].policies) == 1


def test_it_does_not_scale_by_itself_before_it_is_proven(pair, context):
    scaled(pair)
    pair.standby.serving.answer = lambda body: b"[2]"
    look(pair, context, 3)
    assert not any(one.targets for one in pair.standby.serving.scaling.values())


def test_what_scales_by_itself_is_left_alone_and_its_count_is_announced(pair, context):
    scaled(pair)
    look(pair, context)
    pair.standby.serving.endpoints[row(pair).endpoint].counts = {"main": 7}
    look(pair, context)
    assert pair.standby.serving.capacity(row(pair).endpoint) == {"main": Count(current=7, desired=7)}
    assert told(pair, pair.standby)["beside_counts"] == {"main": 7}


def test_what_does_not_scale_by_itself_follows_the_home(answering, context):
    for instances in (3, 2):
        answering.standby.clock.move(minutes=1)
        captured(answering.standby, instances=instances)
        look(answering, context)
        name = row(answering).endpoint
        assert answering.standby.serving.capacity(name)["main"].desired == instances
        assert row(answering).counts == {"main": instances}


def test_a_failover_does_not_set_the_autoscaling_of_what_answers_back_to_one_half(pair, context):
    scaled(pair)
    look(pair, context)
    name = row(pair).endpoint
    pair.fail(pair.home)
    assert pair.request(pair.standby, "failover", "out-1").status == "SUCCEEDED"
    assert pair.standby.catalog.takeover(CHURN).endpoint == name
    assert pair.standby.serving.scaling[name].targets[0]["MaxCapacity"] == 8


# a new version, and an endpoint that is lost


def test_a_new_version_takes_over_without_a_gap(answering, context):
    old = row(answering)
    answering.standby.clock.move(hours=1)
    answering.protect(answering.standby, promoted(answering.standby))
    for _ in range(3):
        due(answering.standby, context)
        assert served(answering)[0] == 200
    new = row(answering)
    assert (new.endpoint != old.endpoint, served(answering)) == (True, (200, new.endpoint))
    assert old.endpoint in standing(answering.standby), "a request may be on its way to it"
    answering.standby.clock.move(minutes=2)
    due(answering.standby, context)
    assert standing(answering.standby) == [new.endpoint]


def test_a_new_version_that_answers_wrongly_leaves_the_old_one_answering(answering, context):
    old = row(answering)
    answering.standby.clock.move(hours=1)
    answering.protect(answering.standby, promoted(answering.standby))
    answering.standby.serving.answer = lambda body: b"[2]"
    look(answering, context, 3)
    answering.standby.clock.move(hours=1)
    look(answering, context)
    assert (row(answering), served(answering)) == (old, (200, old.endpoint))
    assert len(standing(answering.standby)) == 2


def test_an_endpoint_that_is_lost_is_made_anew_and_proven_anew(answering, context):
    lost = row(answering)
    answering.standby.clock.move(hours=1)
    answering.standby.serving.endpoints[lost.endpoint].statuses = [("Failed", "no capacity")]
    answering.standby.serving.answer = lambda body: b"[2]"
    look(answering, context, 3)
    assert (row(answering), served(answering)[0]) == (None, 503), "it stands, and nobody is sent to it"
    assert spread(answering), "the health of the standby takes it out of the name"
    answering.standby.serving.answer = lambda body: body
    due(answering.standby, context)
    assert row(answering).since > lost.since
    assert served(answering) == (200, lost.endpoint)


# down


def test_the_name_goes_first_then_the_row_then_the_endpoint(answering, context, monkeypatch):
    rules(answering, "tier: cold-standby")
    [name] = standing(answering.standby)
    with monkeypatch.context() as refused:

        def refuse(*_, **__):
            raise RegionUnreachable("Route 53 does not answer")

        refused.setattr(answering.standby.dns, "ensure_records", refuse)
        assert not due(answering.standby, context)
    assert (row(answering).leaving, served(answering)) == (None, (200, name))
    due(answering.standby, context)
    assert spread(answering) is None
    assert row(answering).leaving == answering.standby.clock.now()
    assert told(answering, answering.standby)["beside_counts"] is None
    answering.standby.clock.move(minutes=4, seconds=59)
    look(answering, context)
    assert served(answering) == (200, name), "DNS may still name it"
    answering.standby.clock.move(seconds=1)
    look(answering, context)
    assert (row(answering), standing(answering.standby)) == (None, [])
    assert served(answering)[0] == 503


def test_a_drain_that_is_shorter_than_dns_needs_is_not_believed(answering, context):
    rules(answering, "tier: cold-standby\n    failover: {drain: 1s}")
    due(answering.standby, context)
    answering.standby.clock.move(seconds=30)
    due(answering.standby, context)
    assert served(answering)[0] == 200
    answering.standby.clock.move(minutes=5)
    due(answering.standby, context)
    assert row(answering) is None


def test_to_a_warm_standby_it_shrinks_only_once_nobody_is_sent_to_it(pair, context):
    captured(pair.standby, instances=4)
    look(pair, context)
    name = row(pair).endpoint
    rules(pair, "tier: warm-standby")
    look(pair, context)
    assert pair.standby.serving.endpoints[name].counts == {"main": 4}
    pair.standby.clock.move(minutes=6)
    look(pair, context)
    assert (row(pair), pair.standby.serving.endpoints[name].counts) == (None, {"main": 1})


def test_a_policy_that_changes_its_mind_keeps_what_is_proven(answering, context):
    before = row(answering)
    rules(answering, "tier: cold-standby")
    due(answering.standby, context)
    asked = len(answering.standby.serving.asked)
    rules(answering)
    due(answering.standby, context)
    assert (row(answering), bool(spread(answering))) == (before, True)
    assert len(answering.standby.serving.asked) == asked


# there and back


def test_when_the_home_is_lost_the_standby_answers_on_and_then_alone(answering, context):
    name, counts = row(answering).endpoint, row(answering).counts
    answering.fail(answering.home)
    assert served(answering) == (200, name)
    assert answering.request(answering.standby, "failover", "out-1").status == "SUCCEEDED"
    assert served(answering) == (200, name)
    answering.standby.serving.endpoints[name].counts = {"main": 9}
    look(answering, context)
    assert row(answering).counts == counts, "during a failover they are not what one region's load needs"


def test_while_the_standby_holds_the_home_stands_down(answering):
    answering.fail(answering.home)
    answering.request(answering.standby, "failover", "out-1")
    answering.heal(answering.home)
    answering.listen()
    assert served(answering, HOME)[0] == 503
    assert answering.health(answering.home).status == 503


def test_after_a_failback_both_answer_again_at_once_and_the_standby_shrinks_once_clients_have_moved(pair, context):
    captured(pair.standby, instances=2)
    look(pair, context)
    name = row(pair).endpoint
    there_and_back(pair)
    assert (served(pair)[0], served(pair, HOME)[0]) == (200, 200)
    pair.standby.serving.endpoints[name].counts = {"main": 4}
    look(pair, context)
    assert (pair.standby.serving.endpoints[name].counts, row(pair).counts) == ({"main": 4}, {"main": 2})
    pair.standby.clock.move(minutes=6)
    look(pair, context)
    assert (pair.standby.serving.endpoints[name].counts, row(pair).counts) == ({"main": 2}, {"main": 2})
    assert served(pair) == (200, name)


def test_what_took_over_with_another_endpoint_stays_until_clients_have_moved_back(answering, context):
    """A failover restored a newer version, of which nothing stood yet."""
    aside = row(answering)
    answering.standby.clock.move(hours=1)
    answering.protect(answering.standby, promoted(answering.standby))
    there_and_back(answering)
    restored = answering.standby.catalog.leadership(CHURN).former.endpoint
    assert served(answering) == (200, aside.endpoint), "what is proven answers at once"
    look(answering, context, 3)
    assert {restored, aside.endpoint} < set(standing(answering.standby))
    answering.standby.clock.move(minutes=6)
    look(answering, context)
    assert standing(answering.standby) == [row(answering).endpoint]


def test_a_planned_move_leaves_the_standby_alone_and_fails_no_request(answering):
    home = "churn"
    assert answering.request(answering.standby, "move", "away-1").status == "SUCCEEDED"
    answering.listen()
    assert (served(answering)[0], served(answering, HOME)) == (200, (200, home)), "the home drains"
    answering.standby.clock.move(minutes=6)
    answering.listen()
    assert (served(answering)[0], served(answering, HOME)[0]) == (200, 503)


# the prediction cache


@pytest.fixture
def client(answering):
    """Clients of a model whose answers are cached in both regions."""
    rules(answering, BY_WEIGHT + "\n    cache: {ttl: 10m, entries: 64}")
    arn = answering.standby.catalog.records(CHURN)[0].origin.arn
    answering.home.own_endpoints.made_of["churn"] = frozenset({arn})
    name = row(answering).endpoint
    answering.standby.own_endpoints.looks[name] = Look(
        status="InService", config=name, contents=frozenset({"image", "s3://vault/model"}), models=1,
        made_at=LONG_AGO, changed_at=LONG_AGO,
    )  # fmt: skip
    return Client(answering)


def test_what_the_home_answered_is_in_the_cache_of_both(client):
    assert client.ask()[2] == "miss"
    assert client.ask(STANDBY)[2] == "hit"


def test_what_is_answered_beside_the_home_is_kept_there_alone(client, answering):
    assert client.ask(STANDBY)[2] == "miss"
    assert client.ask(STANDBY)[2] == "hit"
    assert (client.kept(answering.standby), client.kept(answering.home)) == (1, 0)


def test_answers_from_beside_the_home_are_of_no_worth_once_another_epoch_is_known(client, answering):
    client.ask(STANDBY, settle=False)
    answering.fail(answering.home)
    assert answering.request(answering.standby, "failover", "out-1").status == "SUCCEEDED"
    client.settle()
    assert client.kept(answering.standby) == 0


def test_what_answered_beside_the_home_bridges_while_its_endpoint_is_down(client, answering):
    """By its own version, though a newer one is sealed that a failover would restore."""
    client.ask(STANDBY)
    answering.standby.clock.move(minutes=11)
    answering.protect(answering.standby, promoted(answering.standby))
    name = row(answering).endpoint
    answering.standby.own_endpoints.looks[name] = Look(status="Failed", config=name)
    del answering.standby.serving.endpoints[name]
    assert client.ask(STANDBY, settle=False)[::2] == (200, "stale")


# whatever dies


def up(pair, context):
    """From a sealed version to an endpoint that answers."""
    look(pair, context, 3)


def replace(pair, context):
    """From one version to the next one."""
    look(pair, context, 3)
    pair.standby.clock.move(minutes=2)
    look(pair, context)


def down(pair, context):
    """From an endpoint that answers to none."""
    look(pair, context)
    pair.standby.clock.move(minutes=6)
    look(pair, context)


def begun(monkeypatch, context, play):
    """The two regions as a play finds them."""
    pair = Pair(monkeypatch, context)
    rules(pair)
    pair.protected()
    pair.listen()
    pair.standby.outside.texts["_beside"] = "healthy"
    if play is not up:
        look(pair, context)
    if play is replace:
        pair.standby.clock.move(hours=1)
        pair.protect(pair.standby, promoted(pair.standby))
    if play is down:
        rules(pair, "tier: cold-standby")
    return pair


def sound(pair, play):
    """What holds at every moment: clients are sent only where something proven answers."""
    aside = row(pair)
    if spread(pair):
        assert aside, "clients are sent to a standby that answers nobody"
    if aside:
        asked = {name for name, *_ in pair.standby.serving.asked}
        assert aside.endpoint in asked, "it answers and was never proven"
        assert served(pair) == (200, aside.endpoint)
    if play is replace:
        assert aside
        assert spread(pair)


@pytest.mark.parametrize("play", [up, replace, down])
def test_whenever_a_look_dies_nobody_is_sent_astray_and_the_next_ones_end_it(monkeypatch, context, play):
    def go(wire):
        pair = begun(monkeypatch, context, play)
        plain = {name: getattr(pair.standby, name) for name in PORTS}
        for name, port in plain.items():
            setattr(pair.standby, name, wire.wrap(name, port))
        try:
            play(pair, context)
        except KeyboardInterrupt:
            pass
        finally:
            for name, port in plain.items():
                setattr(pair.standby, name, port)
        return pair

    def ending(pair):
        aside = row(pair)
        return aside and aside.endpoint, spread(pair), standing(pair.standby)

    whole = Wire()
    wanted = ending(go(whole))
    assert bool(wanted[0]) is (play is not down)
    cuts = [number for number in range(1, whole.count + 1) if _changes(whole.names[number - 1])]
    assert len(cuts) >= 4
    for number in cuts:
        for before in (True, False):
            cut = Wire()
            cut.dies_at, cut.before = number, before
            pair = go(cut)
            sound(pair, play)
            pair.standby.clock.move(minutes=6)
            play(pair, context)
            sound(pair, play)
            assert ending(pair) == wanted, f"{'before' if before else 'after'} {whole.names[number - 1]}"


def _changes(call):
    return call.rpartition(".")[2] in {
        "put_beside", "withdraw_beside", "put_route", "restore", "finish", "invoke", "resize", "delete",
        "ensure_checks", "ensure_records",
    }  # fmt: skip
