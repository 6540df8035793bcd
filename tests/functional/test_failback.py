"""Going home, moving for an exercise, and what stands down by itself: two regions on the fakes, through the doors."""

import datetime as dt

import pytest

from mldr.domain.failover import Kind
from mldr.errors import RegionUnreachable, Throttled
from mldr.ports.stack import Status
from tests.fakes.world import POLICY, STANDBY
from tests.functional.pair import HOME, Pair, said
from tests.functional.story import CHURN, deliver, document, package_event


@pytest.fixture
def pair(monkeypatch, context):
    return Pair(monkeypatch, context)


@pytest.fixture
def protected(pair):
    """Churn is served at home and sealed in the standby; both gateways have heard of each other."""
    pair.protected()
    pair.listen()
    return pair


@pytest.fixture
def taken_over(protected):
    """The home failed, the standby took over, the home is back and has learned it."""
    protected.fail(protected.home)
    assert protected.request(protected.standby, "failover", "failover-1").status == "SUCCEEDED"
    assert protected.predict() == (200, STANDBY)
    protected.heal(protected.home)
    protected.listen()
    return protected


def came_home(pair, name="failback-1"):
    """Protect what the standby serves at home, then fail back."""
    served = pair.standby.catalog.takeover(CHURN).recovery_point
    arn = pair.standby.catalog.record(CHURN, served).target_arn
    assert pair.protect(pair.home, arn).status == "SUCCEEDED"
    return pair.request(pair.home, "failback", name)


def error(ended):
    return ended.data["error"]["Error"]


# standing down


def test_the_old_region_stands_down_by_itself_when_it_heals(taken_over):
    pair = taken_over
    answer = pair.health(pair.home)
    assert answer.status == 503
    assert f"stood down: epoch 1 is held by {STANDBY}" in said(answer)["message"]
    assert pair.predict(HOME) == (503, HOME), "an unplanned takeover is not drained"
    assert pair.predict() == (200, STANDBY)


def test_a_region_that_cannot_hear_its_peer_changes_nothing(taken_over):
    pair = taken_over
    pair.fail(pair.home)
    pair.listen()
    assert pair.standby.catalog.takeover(CHURN).epoch == 1
    assert pair.standby.catalog.standing(CHURN).epoch in (0, 1)
    assert pair.predict() == (200, STANDBY)


def test_the_peer_is_asked_once_in_ten_seconds_and_never_for_a_prediction(protected):
    home = protected.home
    home.outside.listened.clear()
    for _ in range(5):
        protected.predict(HOME)
    assert home.outside.listened == []
    protected.standby.clock.move(seconds=11)
    for _ in range(5):
        protected.health(home)
    assert len(home.outside.listened) == 1


def test_a_throttled_catalog_drops_no_takeover(taken_over, monkeypatch):
    pair = taken_over

    def throttled(model):
        raise Throttled("slow down")

    monkeypatch.setattr(pair.standby.catalog, "leadership", throttled)
    assert pair.get(f"gateway.{STANDBY}.example", "/takeover") == 200
    assert pair.predict() == (200, STANDBY)


def test_what_cannot_be_written_is_known_at_once_and_written_later(protected, monkeypatch):
    pair = protected
    pair.fail(pair.home)
    pair.request(pair.standby, "failover", "failover-1")
    pair.heal(pair.home)
    learn = pair.home.catalog.learn

    def throttled(model, standing):
        raise Throttled("slow down")

    monkeypatch.setattr(pair.home.catalog, "learn", throttled)
    pair.listen()
    assert pair.health(pair.home).status == 503
    assert pair.home.catalog.standing(CHURN).epoch == 0
    monkeypatch.setattr(pair.home.catalog, "learn", learn)
    pair.listen()
    assert pair.home.catalog.standing(CHURN).epoch == 1


def test_a_home_that_never_heard_of_its_standby_finds_it(pair):
    """Nobody asked its gateway before it failed: the peer's parameter says where the peer is."""
    pair.protected()
    pair.fail(pair.home)
    pair.request(pair.standby, "failover", "failover-1")
    pair.heal(pair.home)
    assert pair.health(pair.home).status == 503
    assert pair.home.catalog.standing(CHURN).home == HOME


# going home


def test_a_failback_brings_the_model_home_and_the_standby_stands_down(taken_over):
    pair = taken_over
    ended = came_home(pair)
    assert (ended.status, ended.last) == ("SUCCEEDED", "Conclude")
    assert pair.home.catalog.takeover(CHURN).epoch == 2
    assert pair.standby.catalog.takeover(CHURN) is None
    assert pair.predict() == (200, HOME)
    evidence = pair.home.evidence.records[-1]
    assert (evidence.kind, evidence.outcome, evidence.epoch, evidence.region) == ("failback", "completed", 2, HOME)
    assert [phase.name for phase in evidence.phases] == ["gate", "decide", "warm", "verify", "switch", "confirm"]
    assert pair.home.bus.named("Failback Completed")[-1]["outcome"] == "completed"
    assert pair.home.bus.named("Failover Completed") == []


def test_no_request_fails_while_a_model_goes_home(taken_over):
    """A client asks between any two steps, by whichever answer DNS gave last."""
    pair = taken_over
    pair.protect(pair.home, pair.standby.catalog.records(CHURN)[-1].target_arn)
    seen = pair.asked_meanwhile(pair.home, "failback", "failback-1")
    assert {status for status, _ in seen} == {200}
    assert {region for _, region in seen} == {HOME, STANDBY}


def test_the_gateway_of_the_region_that_comes_back_is_made_ready_while_it_stands_down(taken_over):
    """There a prediction is refused before it needs an endpoint; a warm request is not."""
    pair = taken_over
    before = len(pair.home.serving.asked)
    assert (pair.warm(pair.home), pair.predict(HOME)[0]) == (200, 503)
    assert len(pair.home.serving.asked) == before + 1


def test_the_old_side_answers_until_the_drain_is_over(taken_over):
    pair = taken_over
    came_home(pair)
    pair.listen()
    assert pair.health(pair.standby).status == 503
    assert pair.predict(STANDBY) == (200, STANDBY)
    pair.standby.clock.move(minutes=5)
    assert pair.predict(STANDBY) == (503, STANDBY)


def test_the_models_own_endpoint_takes_over_when_it_serves_that_very_version(taken_over):
    pair = taken_over
    ended = came_home(pair)
    assert "MaterialiseServing" not in ended.path
    assert pair.home.catalog.takeover(CHURN).endpoint == "churn"
    assert list(pair.home.serving.endpoints) == ["churn"]


@pytest.mark.parametrize("held", [frozenset(), frozenset({"other", "s3://lake/churn/model.tar.gz"})])
def test_another_endpoint_or_none_is_not_trusted_and_the_point_is_restored(taken_over, held):
    pair = taken_over
    pair.home.own_endpoints.made_of["churn"] = held
    ended = came_home(pair)
    assert (ended.status, "RestoreServing" in ended.path) == ("SUCCEEDED", True)
    switch = pair.home.catalog.takeover(CHURN)
    assert switch.endpoint.endswith("-e2")
    assert pair.predict() == (200, HOME)


def test_an_endpoint_that_answers_otherwise_than_recorded_takes_no_traffic(taken_over):
    pair = taken_over
    pair.home.serving.answer = lambda body: b"[2]"
    assert error(came_home(pair)) == "WrongAnswers"
    assert pair.home.catalog.takeover(CHURN) is None
    assert pair.predict() == (200, STANDBY)
    assert pair.home.catalog.epoch(CHURN).concluded
    pair.home.serving.answer = lambda body: body
    assert pair.request(pair.home, "failback", "failback-2").status == "SUCCEEDED"
    assert pair.home.catalog.takeover(CHURN).epoch == 4


def test_the_copy_comes_home_as_the_version_that_it_was_made_from(taken_over):
    pair = taken_over
    original = pair.standby.catalog.records(CHURN)[0].origin.arn
    versions = len(pair.home.registry.standby)
    came_home(pair)
    [record] = pair.home.catalog.records(CHURN)
    assert record.target_arn == original
    assert len(pair.home.registry.standby) == versions, "no copy of a copy is registered"


def test_there_and_back_three_times_keeps_every_epoch_apart(taken_over):
    pair = taken_over
    came_home(pair)
    for number in (1, 2):
        pair.listen()
        assert pair.request(pair.standby, "move", f"move-{number}").status == "SUCCEEDED"
        pair.listen()
        assert pair.request(pair.home, "failback", f"back-{number}").status == "SUCCEEDED"
    assert pair.home.catalog.takeover(CHURN).epoch == 6
    assert pair.standby.catalog.epoch(CHURN).number == 5
    assert pair.predict() == (200, HOME)


# the gate


def test_what_the_standby_serves_must_be_protected_here_and_is_waited_for(taken_over):
    """The gate asks for the protection, and the move begins as soon as it is sealed."""
    pair = taken_over
    waits = []

    def before(state, attempt):
        if state == "GateMove" and pair.home.bus.named("Model Promoted"):
            waits.append(attempt)
            pair.deliver_promotions(pair.home)

    assert pair.request(pair.home, "failback", "failback-1", before=before).status == "SUCCEEDED"
    assert len(waits) == 1


def test_a_peer_that_lags_too_far_is_refused_with_the_lag(taken_over):
    pair = taken_over
    ended = pair.request(pair.home, "failback", "failback-1")
    assert error(ended) == "PeerLagging"
    subject, message = pair.home.pager.pages[-1]
    assert subject == "mldr: failback of sagemaker/churn refused"
    assert all(word in message for word in ("15 min", "behind", "mldr status churn"))
    assert pair.home.catalog.epoch(CHURN) is None
    assert pair.predict() == (200, STANDBY)
    assert pair.home.evidence.records[-1].outcome == "refused"


def test_the_lag_counts_from_the_promotion_and_not_from_the_request(taken_over):
    """A version that was promoted an hour ago and is not sealed yet is an hour behind when somebody asks."""
    pair = taken_over
    served = pair.standby.catalog.takeover(CHURN).recovery_point
    arn = pair.standby.catalog.record(CHURN, served).target_arn
    with pair.inside(pair.home):
        assert (
            deliver("capture_recovery_point", pair.context, {**package_event(pair.home, arn), "region": STANDBY}) == []
        )
    pair.standby.clock.move(seconds=3600)
    looks = []
    ended = pair.request(pair.home, "failback", "failback-1", before=lambda state, _: looks.append(state))
    assert (error(ended), looks.count("GateMove")) == ("PeerLagging", 1)
    assert "60 min" in pair.home.pager.pages[-1][1]


def test_what_the_gate_hears_of_the_peer_stays_known(protected):
    """The home comes back and is asked at once, before its gateway has heard who serves."""
    pair = protected
    pair.fail(pair.home)
    assert pair.request(pair.standby, "failover", "failover-1").status == "SUCCEEDED"
    pair.heal(pair.home)
    assert pair.home.catalog.standing(CHURN).epoch == 0
    pair.request(pair.home, "failback", "failback-1")
    assert pair.home.catalog.standing(CHURN).epoch == 1


@pytest.mark.parametrize(("kind", "where"), [("failback", "home"), ("move", "standby")])
def test_a_drain_that_is_shorter_than_dns_needs_is_refused_before_anything_moves(protected, kind, where):
    """The fakes' checks need 10 s x 3, an answer lives for 30 s, and either side learns of it within 10 s."""
    pair = protected
    if kind == "failback":
        assert pair.request(pair.standby, "move", "move-1").status == "SUCCEEDED"
        pair.listen()
    world = getattr(pair, where)
    world.policies.put(POLICY.replace("golden: {uri", "failover: {drain: 69s}\n    golden: {uri", 1))
    before, serves = world.catalog.epoch(CHURN), pair.predict()
    ended = pair.request(world, kind, "too-quick")
    assert error(ended) == "DrainTooShort"
    assert all(word in world.evidence.records[-1].reason for word in ("failover.drain is 69s", "at least 70s"))
    assert world.evidence.records[-1].outcome == "refused"
    assert (world.catalog.epoch(CHURN), pair.predict()) == (before, serves)


def test_a_version_promoted_meanwhile_in_the_standby_comes_home(taken_over):
    pair = taken_over
    pair.standby.buckets.put("lake", "churn/two.tar.gz", b"two")
    newer = pair.home.registry.promote(
        "churn", document(ModelDataUrl="s3://lake/churn/two.tar.gz", Image=image_of(STANDBY))
    )
    pair.protect(pair.home, newer)
    assert pair.request(pair.home, "failback", "failback-1").status == "SUCCEEDED"
    [record] = pair.home.catalog.records(CHURN)
    assert record.origin.arn == newer
    assert pair.home.catalog.takeover(CHURN).recovery_point == record.recovery_point


def test_a_standby_that_cannot_say_what_it_serves_keeps_it_until_it_can(taken_over):
    """Its registry refused the copy. An older version that is sealed at home must not be taken for it."""
    pair = taken_over
    served = pair.standby.catalog.takeover(CHURN).recovery_point
    copy = pair.standby.catalog.record(CHURN, served).target_arn
    assert pair.protect(pair.home, copy).status == "SUCCEEDED"
    pair.standby.catalog.annotate(CHURN, served, target_arn=None)
    ended = pair.request(pair.home, "failback", "failback-1")
    assert error(ended) == "MissingArtifact"
    assert "cannot say which version: its registry has no copy of it" in ended.data["error"]["Cause"]
    assert (pair.home.catalog.epoch(CHURN), pair.predict()) == (None, (200, STANDBY))
    pair.standby.catalog.annotate(CHURN, served, target_arn=copy)
    assert pair.request(pair.home, "failback", "failback-2").status == "SUCCEEDED"


def image_of(region):
    return f"123456789012.dkr.ecr.{region}.amazonaws.com/churn:1"


def test_a_move_claims_the_version_that_its_gate_let_through_whatever_was_sealed_since(taken_over):
    """The gate answers for that one alone: what the newer one needs was never looked at."""
    pair, found = taken_over, {}
    served = pair.standby.catalog.takeover(CHURN).recovery_point
    pair.protect(pair.home, pair.standby.catalog.record(CHURN, served).target_arn)
    [gated] = pair.home.catalog.records(CHURN)

    def before(state, attempt):
        if state == "ClaimEpoch" and not found:
            pair.standby.clock.move(seconds=5)
            container = {"Image": image_of(STANDBY), "ModelDataUrl": "s3://lake-3/churn/newer.tar.gz"}
            found["arn"] = pair.home.registry.promote("churn", document(**container))
            pair.home.buckets.put("lake-3", "churn/newer.tar.gz", b"newer")
            pair.protect(pair.home, found["arn"])

    ended = pair.request(pair.home, "failback", "home-1", before=before)
    assert len(pair.home.catalog.records(CHURN)) == 2
    assert ended.data["claim"]["recovery_point"] == gated.recovery_point
    assert error(ended) == "PromotedMeanwhile"


def test_a_version_that_is_promoted_while_the_move_makes_another_one_ready_is_not_left_behind(taken_over):
    pair, newer = taken_over, {}

    def before(state, attempt):
        if state == "WarmServing" and not newer:
            pair.standby.clock.move(seconds=5)
            newer["arn"] = pair.home.registry.promote(
                "churn", document(Image=image_of(STANDBY), ModelDataUrl="s3://lake-3/churn/newer.tar.gz")
            )
            pair.home.buckets.put("lake-3", "churn/newer.tar.gz", b"newer")
            pair.protect(pair.home, newer["arn"])

    served = pair.standby.catalog.takeover(CHURN).recovery_point
    pair.protect(pair.home, pair.standby.catalog.record(CHURN, served).target_arn)
    ended = pair.request(pair.home, "failback", "home-1", before=before)
    assert error(ended) == "PromotedMeanwhile"
    assert pair.home.catalog.takeover(CHURN) is None
    assert newer["arn"] in pair.home.pager.pages[-1][1]
    assert pair.request(pair.home, "failback", "home-2").status == "SUCCEEDED"
    point = pair.home.catalog.takeover(CHURN).recovery_point
    assert pair.home.catalog.record(CHURN, point).origin.arn == newer["arn"]


def test_the_home_gets_no_second_graph_for_what_the_standby_promotes(taken_over):
    pair = taken_over
    came_home(pair)
    assert pair.home.catalog.route(CHURN) is None
    assert pair.home.dns.records == {}


def test_a_region_that_never_heard_who_is_at_home_asks_before_it_onboards(pair):
    pair.protected()
    pair.fail(pair.home)
    pair.request(pair.standby, "failover", "failover-1")
    pair.heal(pair.home)
    pair.home.catalog.learn(CHURN, pair.home.leaders.asked(CHURN).standing)
    pair.home.catalog._standings.clear()
    pair.fail(pair.standby)
    ended = pair.protect(pair.home, pair.home.registry.promote("churn", document(Image=image_of(STANDBY))))
    assert pair.home.dns.records == {}
    assert ended.data["error"]["Error"] == "PeerSilent"


def test_a_silent_peer_refuses_a_planned_move_and_says_what_to_do(taken_over):
    pair = taken_over
    pair.fail(pair.standby)
    ended = pair.request(pair.home, "failback", "failback-1")
    assert error(ended) == "PeerSilent"
    assert "mldr failover churn" in pair.home.evidence.records[-1].reason


@pytest.mark.parametrize(("kind", "where"), [("failback", "standby"), ("move", "home")])
def test_a_planned_move_is_refused_in_the_region_that_it_leaves(taken_over, kind, where):
    ended = taken_over.request(getattr(taken_over, where), kind, "wrong")
    assert error(ended) == "WrongDirection"


def test_a_home_that_serves_has_nothing_to_take_back(protected):
    assert error(protected.request(protected.home, "failback", "failback-1")) == "AlreadyServing"
    assert error(protected.request(protected.home, "failover", "failover-1")) in ("AlreadyServing", "NotRestorable")
    assert protected.home.catalog.epoch(CHURN) is None


# moving for an exercise


def test_a_planned_move_to_the_standby_fails_no_request(protected):
    pair = protected
    seen = pair.asked_meanwhile(pair.standby, "move", "move-1")
    assert {status for status, _ in seen} == {200}
    assert pair.predict() == (200, STANDBY)
    assert pair.standby.catalog.takeover(CHURN).kind is Kind.MOVE
    assert pair.standby.bus.named("Failover Completed")[-1]["kind"] == "move"


# the other direction, unplanned


def test_the_home_takes_over_when_the_standby_that_serves_is_lost(taken_over):
    pair = taken_over
    pair.protect(pair.home, pair.standby.catalog.records(CHURN)[-1].target_arn)
    pair.fail(pair.standby)
    assert pair.request(pair.home, "failover", "failover-2").status == "SUCCEEDED"
    assert pair.home.catalog.takeover(CHURN).epoch == 2
    assert pair.predict() == (200, HOME)
    pair.heal(pair.standby)
    pair.listen()
    assert pair.standby.catalog.takeover(CHURN) is None
    assert pair.predict(STANDBY) == (503, STANDBY)


def test_that_takeover_calls_nothing_in_the_lost_region(taken_over, monkeypatch):
    """Law 1 in the other direction, as the ports see it."""
    pair = taken_over
    pair.protect(pair.home, pair.standby.catalog.records(CHURN)[-1].target_arn)
    pair.fail(pair.standby)
    for port in ("sources", "images", "fronts", "dns", "policies"):
        monkeypatch.delattr(pair.home, port)
    for name in ("describe", "newest_approved", "models"):
        monkeypatch.setattr(pair.home.registry, name, unreachable)
    pair.home.outside.listened.clear()
    monkeypatch.setattr(pair, "dns", lambda: HOME)
    monkeypatch.setattr(pair, "get", lambda host, path: 200)
    assert pair.request(pair.home, "failover", "failover-2").status == "SUCCEEDED"
    assert pair.home.outside.listened == []


def unreachable(*_):
    raise RegionUnreachable("no answer")


# late work and stuck claims


def test_a_version_of_the_older_epoch_that_arrives_late_waits_for_a_person(taken_over):
    pair = taken_over
    pair.standby.buckets.put("lake", "churn/late.tar.gz", b"late")
    late = pair.standby.registry.promote("churn", document(ModelDataUrl="s3://lake/churn/late.tar.gz"))
    assert pair.protect(pair.standby, late).status == "SUCCEEDED"
    record = next(one for one in pair.standby.catalog.records(CHURN) if one.origin.arn == late)
    assert record.restorable
    assert pair.standby.registry.standby[record.target_arn].status == "PendingManualApproval"
    subject, message = pair.standby.pager.pages[-1]
    assert subject == "mldr: sagemaker/churn, a version of an older epoch"
    assert late in message
    assert record.target_arn in message


def test_a_version_that_waits_for_a_person_but_is_served_comes_home_all_the_same(taken_over):
    """Promoted at home while the standby served, moved out for an exercise: its copy there was never approved."""
    pair = taken_over
    pair.standby.buckets.put("lake", "churn/late.tar.gz", b"late")
    late = pair.standby.registry.promote("churn", document(ModelDataUrl="s3://lake/churn/late.tar.gz"))
    pair.protect(pair.standby, late)
    came_home(pair)
    pair.listen()
    assert pair.request(pair.standby, "move", "move-1").status == "SUCCEEDED"
    served = pair.standby.catalog.takeover(CHURN).recovery_point
    copy = pair.standby.catalog.record(CHURN, served).target_arn
    assert pair.standby.catalog.record(CHURN, served).origin.arn == late
    pair.listen()
    assert pair.protect(pair.home, copy).status == "SUCCEEDED"
    assert pair.request(pair.home, "failback", "failback-2").status == "SUCCEEDED"
    back = pair.home.catalog.record(CHURN, pair.home.catalog.takeover(CHURN).recovery_point)
    assert back.target_arn == late


def test_a_failover_under_way_is_refused_once_the_peer_is_seen_to_hold_a_higher_epoch(taken_over):
    """The standby lost its own takeover to the home while it still worked on another claim."""
    pair = taken_over
    came_home(pair)
    pair.listen()
    pair.fail(pair.home)

    def before(state, attempt):
        if state == "FlipSwitch":
            standing = pair.standby.catalog.standing(CHURN)
            pair.standby.catalog.learn(CHURN, standing.model_copy(update={"epoch": 8}))

    ended = pair.request(pair.standby, "failover", "failover-2", before=before)
    assert error(ended) == "StaleEpoch"
    assert pair.standby.catalog.takeover(CHURN) is None


def test_a_claim_whose_execution_died_is_superseded_at_once(protected):
    pair = protected

    def before(state, attempt):
        if state == "RestoreServing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pair.request(pair.standby, "failover", "failover-1", before=before)
    pair.standby.workflows.ended["failover-1"] = Status.LOST
    assert pair.request(pair.standby, "failover", "failover-2").status == "SUCCEEDED"
    assert pair.standby.catalog.takeover(CHURN).epoch == 3


def test_a_hanging_claim_is_cleared_by_a_person_and_its_work_is_refused(protected):
    pair = protected
    cleared = {}

    def before(state, attempt):
        if state == "WarmServing" and not cleared:
            cleared["ended"] = pair.request(pair.standby, "clear", "clear-1")

    ended = pair.request(pair.standby, "failover", "failover-1", before=before)
    assert cleared["ended"].status == "SUCCEEDED"
    assert error(ended) == "EpochTaken"
    assert pair.standby.catalog.takeover(CHURN) is None
    kinds = {record.id: (record.kind, record.outcome) for record in pair.standby.evidence.records}
    assert kinds == {"clear-1": ("clear", "completed"), "failover-1": ("failover", "refused")}
    assert pair.request(pair.standby, "failover", "failover-2").status == "SUCCEEDED"


def test_a_clear_ends_the_claim_that_was_seen_and_no_later_one(protected):
    """Two people see a hang: the first clears it and asks again, and what the second asked for arrives after that."""
    pair = protected
    told = {}

    def before(state, attempt):
        if state == "WarmServing" and not told:
            told["late"] = pair.request(pair.standby, "clear", "clear-2", says={"clears": "failover-1"})

    ended = pair.request(pair.standby, "failover", "failover-2", before=before)
    assert (ended.status, error(told["late"])) == ("SUCCEEDED", "NothingToClear")
    assert "failover-2 holds epoch 1" in pair.standby.pager.pages[0][1]
    assert pair.standby.catalog.takeover(CHURN).epoch == 1


@pytest.mark.parametrize(
    ("kind", "says", "late"),
    [
        ("failover", {"first_failure_at": "2026-03-01T00:00:00Z"}, {"minutes": 16}),
        ("failover", {}, {"minutes": 61}),
        ("failover", {}, {"days": 3}),
        ("move", {}, {"days": 3}),
        ("clear", {}, {"days": 3}),
    ],
)
def test_what_arrives_long_after_it_was_asked_for_is_refused_and_told(protected, kind, says, late):
    pair = protected
    ended = pair.request(pair.standby, kind, "old", says=says, late=dt.timedelta(**late))
    assert error(ended) == "RequestTooLate"
    assert pair.standby.catalog.epoch(CHURN) is None
    [record] = pair.standby.evidence.records
    assert record.outcome == "refused"
    assert "ask again if it is still wanted" in pair.standby.pager.pages[-1][1]


@pytest.mark.parametrize(
    ("says", "late"), [({"first_failure_at": "2026-03-01T00:00:00Z"}, {"minutes": 14}), ({}, {"minutes": 59})]
)
def test_what_a_queue_held_for_a_while_is_still_done(protected, says, late):
    ended = protected.request(protected.standby, "failover", "f", says=says, late=dt.timedelta(**late))
    assert ended.status == "SUCCEEDED"


def test_nothing_is_cleared_where_no_claim_is_open(taken_over):
    assert error(taken_over.request(taken_over.standby, "clear", "clear-1")) == "NothingToClear"
    assert taken_over.standby.catalog.takeover(CHURN).epoch == 1
