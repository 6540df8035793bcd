"""What is to stand and does not: it is remembered, a person hears of it once, and it is looked at again in time."""

import datetime as dt

import pytest

from mldr.domain.failover import Epoch
from mldr.domain.setbacks import PATIENCE
from mldr.errors import EndpointFailed, MissingArtifact, RegionUnreachable, Throttled
from mldr.steps.converge_serving import SOON, TRIES
from tests.fakes.world import STANDBY
from tests.functional.pair import Pair
from tests.functional.story import CHURN, clients_follow, deliver, point, promoted, protect
from tests.functional.test_beside import let_both_answer, look, row, rules, spread
from tests.functional.test_tiers import due, standing, tier


@pytest.fixture
def pair(monkeypatch, context):
    return let_both_answer(Pair(monkeypatch, context))


@pytest.fixture
def warm(world, context):
    """A sealed point of a warm-standby churn."""
    tier(world)
    protect(world, context, promoted(world))
    clients_follow(world)
    return world


def pages(world):
    """What a person was told about what stands."""
    return [message for subject, message in world.pager.pages if "does not stand" in subject]


def met(world):
    """What is remembered of churn."""
    found = world.setbacks.of(CHURN)
    return found and found.met


def wrong(body):
    return b"[2]"


def right(body):
    return body


def changed(world, context, endpoint, status="IN_SERVICE"):
    """SageMaker tells that an endpoint changed its state; whether that was handled."""
    event = {"id": "event-1", "source": "aws.sagemaker", "detail-type": "SageMaker Endpoint State Change",
             "region": STANDBY, "detail": {"EndpointName": endpoint, "EndpointStatus": status}}  # fmt: skip
    return deliver("converge_serving", context, event) == []


# beside the home


def test_wrong_golden_answers_page_once_and_say_what_is_wrong(pair, context):
    pair.standby.serving.answer = wrong
    assert all(look(pair, context, 20)), "no message fails, so none becomes a dead letter"
    [message] = pages(pair.standby)
    assert message.startswith("WrongAnswers: sagemaker/churn: ")
    assert "mldr status churn" in message
    assert met(pair.standby).kind == "WrongAnswers"


def test_it_is_forgotten_once_it_answers_and_told_anew_when_it_comes_again(pair, context):
    pair.standby.serving.answer = wrong
    look(pair, context, 3)
    pair.standby.serving.answer = right
    look(pair, context)
    assert (met(pair.standby), bool(row(pair))) == (None, True)
    pair.standby.serving.endpoints[row(pair).endpoint].statuses = [("Failed", "no capacity")]
    pair.standby.serving.answer = wrong
    look(pair, context, 4)
    assert [one.partition(":")[0] for one in pages(pair.standby)] == ["WrongAnswers", "Failed", "WrongAnswers"]


def test_another_reason_is_another_page_and_two_that_take_turns_are_two(pair, context, monkeypatch):
    pair.standby.serving.answer = wrong
    look(pair, context, 3)

    def silent(*_, **__):
        raise EndpointFailed("the container does not answer")

    for _ in range(4):
        with monkeypatch.context() as broken:
            broken.setattr(pair.standby.serving, "invoke", silent)
            look(pair, context)
        look(pair, context)
    assert [one.partition(":")[0] for one in pages(pair.standby)] == ["WrongAnswers", "EndpointFailed"]


def test_a_newer_version_that_answers_wrongly_as_well_is_another_page(pair, context):
    pair.standby.serving.answer = wrong
    look(pair, context, 3)
    pair.standby.clock.move(hours=1)
    pair.protect(pair.standby, promoted(pair.standby))
    look(pair, context, 4)
    assert len(pages(pair.standby)) == 2
    assert (
        met(pair.standby).version
        == max(pair.standby.catalog.records(CHURN), key=lambda one: one.origin.promoted_at).recovery_point
    )


def test_golden_inferences_that_are_gone_are_told(pair, context, monkeypatch):
    def gone(*_, **__):
        raise MissingArtifact("the golden inferences cannot be read")

    monkeypatch.setattr("mldr.steps.answer_beside.golden_of", gone)
    look(pair, context, 5)
    assert len(pages(pair.standby)) == 1


def test_what_is_wrong_is_not_forgotten_while_the_endpoint_comes_up_again(pair, context):
    pair.standby.serving.coming = [("Failed", "no capacity")]
    look(pair, context)
    pair.standby.serving.coming = [("Creating", "")]
    look(pair, context, 3)
    assert met(pair.standby).kind == "Failed"


def test_nothing_is_forgotten_or_told_while_a_claim_is_open(pair, context):
    pair.standby.serving.answer = wrong
    look(pair, context, 3)
    now = pair.standby.clock.now()
    claim = Epoch(number=1, failover_id="f", region=STANDBY, recovery_point="p", claimed_at=now)
    pair.standby.catalog.claim(CHURN, claim, None)
    before = pair.standby.setbacks.of(CHURN)
    look(pair, context)
    assert (pair.standby.setbacks.of(CHURN), len(pages(pair.standby))) == (before, 1)


def test_a_tier_that_wants_nothing_any_more_ends_it(pair, context):
    pair.standby.serving.answer = wrong
    look(pair, context, 3)
    rules(pair, "tier: cold-standby")
    look(pair, context)
    assert met(pair.standby) is None


def test_a_page_that_could_not_be_sent_is_sent_at_the_next_look(pair, context, monkeypatch):
    pair.standby.serving.answer = wrong
    due(pair.standby, context)

    def throttled(*_, **__):
        raise Throttled("SNS is busy")

    with monkeypatch.context() as busy:
        busy.setattr(pair.standby.pager, "page", throttled)
        assert not due(pair.standby, context)
    look(pair, context)
    assert len(pages(pair.standby)) == 1


# a warm standby


def test_an_endpoint_that_comes_to_nothing_is_told_once_with_sagemakers_reason(warm, context):
    warm.serving.coming = [("Failed", "Unable to provision requested ML compute capacity")]
    for _ in range(10):
        assert due(warm, context)
    [message] = pages(warm)
    assert "Unable to provision requested ML compute capacity; it is made anew" in message
    warm.serving.coming = [("InService", "")]
    for _ in range(3):
        due(warm, context)
    assert (met(warm), len(standing(warm)), len(pages(warm))) == (None, 1, 1)


def test_a_person_hears_of_it_when_it_is_refused_as_well(warm, context, monkeypatch):
    def refuse(plan):
        raise EndpointFailed("the limit is 0")

    monkeypatch.setattr(warm.serving, "restore", refuse)
    for _ in range(5):
        assert due(warm, context)
    assert len(pages(warm)) == 1


def test_a_region_that_does_not_answer_is_an_error_as_ever(warm, context, monkeypatch):
    def silent(*_, **__):
        raise RegionUnreachable("SageMaker does not answer")

    monkeypatch.setattr(warm.serving, "restore", silent)
    assert not due(warm, context)
    assert (met(warm), pages(warm)) == (None, [])


# again in time


def test_what_route_53_does_not_say_yet_is_looked_at_again_soon_and_pages_only_after_long(pair, context):
    pair.standby.outside.texts["_beside"] = None
    look(pair, context)
    assert pair.standby.reminders.sent == [(str(CHURN), 1, SOON)]
    assert (met(pair.standby).kind, pages(pair.standby)) == ("ChecksNotReported", [])
    pair.standby.clock.move(seconds=PATIENCE.total_seconds() - 1)
    due(pair.standby, context)
    assert pages(pair.standby) == []
    pair.standby.clock.move(seconds=1)
    look(pair, context, 3)
    assert len(pages(pair.standby)) == 1
    pair.standby.outside.texts["_beside"] = "healthy"
    due(pair.standby, context)
    assert (met(pair.standby), bool(spread(pair))) == (None, True)


def test_looks_so_soon_come_to_an_end_before_the_schedules_next_one(pair, context):
    pair.standby.outside.texts["_beside"] = None
    look(pair, context)
    while len(pair.standby.reminders.sent) < 100:
        model, tries, _ = pair.standby.reminders.sent[-1]
        before = len(pair.standby.reminders.sent)
        due(pair.standby, context, model=model, tries=tries)
        if len(pair.standby.reminders.sent) == before:
            break
    assert [tries for _, tries, _ in pair.standby.reminders.sent] == list(range(1, TRIES + 1))
    assert dt.timedelta(minutes=5) > TRIES * SOON


def test_what_another_look_cannot_mend_is_not_looked_at_again_soon(pair, context):
    pair.standby.serving.answer = wrong
    look(pair, context, 3)
    assert pair.standby.reminders.sent == []


def test_an_endpoint_that_comes_into_service_answers_at_once(pair, context):
    due(pair.standby, context)
    [name] = standing(pair.standby)
    assert row(pair) is None
    assert changed(pair.standby, context, name)
    assert (row(pair).endpoint, bool(spread(pair))) == (name, True)


def test_an_endpoint_that_fails_is_told_at_once(warm, context):
    warm.serving.coming = [("Failed", "no capacity")]
    due(warm, context)
    [name] = standing(warm)
    assert changed(warm, context, name, "FAILED")
    assert (len(pages(warm)), standing(warm)) == (1, [])


@pytest.mark.parametrize("name", ["churn", "somebody-elses", f"other-{'x' * 8}-s012345"])
def test_endpoints_of_others_are_left_alone(warm, context, name):
    before = point(warm)
    assert changed(warm, context, name)
    assert (standing(warm), point(warm)) == ([], before)


def test_an_endpoint_that_cannot_be_mldrs_by_its_name_costs_no_call(warm, context, monkeypatch):
    monkeypatch.setattr(warm.standing_endpoints, "held", None)
    assert changed(warm, context, "somebody-elses")


# damaged in the vault


def damage(world, recovery_point, why="damaged: model.tar.gz: other bytes"):
    world.catalog.annotate(CHURN, recovery_point, damaged=why)


def test_what_stands_of_a_damaged_point_stays_and_a_person_hears_of_it_once(warm, context):
    due(warm, context)
    before, bad = standing(warm), point(warm).recovery_point
    damage(warm, bad)
    for _ in range(3):
        assert due(warm, context)
    assert (standing(warm), warm.standing_endpoints.deleted) == (before, [])
    [message] = pages(warm)
    assert message.startswith(f"DamagedPoint: {bad} is damaged: model.tar.gz: other bytes; {before[0]} has its own")
    assert ("docs/runbooks/bad-object.md" in message, "from the vault, as for a cold" in message) == (True, False)
    damage(warm, bad, None)
    due(warm, context)
    assert (standing(warm), met(warm)) == (before, None)


def test_its_tier_holds_while_the_tag_that_set_it_is_only_on_the_damaged_point(warm, context):
    due(warm, context)
    before, bad = standing(warm), point(warm).recovery_point
    warm.catalog.annotate(CHURN, bad, tier_tag="warm-standby", damaged="damaged: other bytes")
    tier(warm, "cold-standby")
    due(warm, context)
    assert standing(warm) == before


def test_beside_what_stands_of_a_damaged_point_stands_the_older_one_that_a_failover_restores(warm, context):
    first = point(warm).recovery_point
    warm.clock.move(hours=1)
    protect(warm, context, promoted(warm))
    due(warm, context)
    [newer] = standing(warm)
    bad = max(warm.catalog.records(CHURN), key=lambda one: one.origin.promoted_at).recovery_point
    damage(warm, bad)
    for _ in range(3):
        due(warm, context)
    assert {one.recovery_point for one in warm.standing_endpoints.held()} == {first, bad}
    assert (newer in standing(warm), met(warm).version) == (True, bad)
    damage(warm, bad, None)
    due(warm, context)
    assert standing(warm) == [newer], "mended, it is the newest again"


def test_a_verdict_that_comes_during_a_look_waits_for_the_next_one(warm, context, monkeypatch):
    """One look goes by one reading: between two, the point that stands would have been nobody's."""
    warm.clock.move(hours=1)
    protect(warm, context, promoted(warm))
    due(warm, context)
    before = standing(warm)
    bad = max(warm.catalog.records(CHURN), key=lambda one: one.origin.promoted_at).recovery_point
    records = warm.catalog.records

    def read(model):
        found = records(model)
        damage(warm, bad)
        return found

    monkeypatch.setattr(warm.catalog, "records", read)
    due(warm, context)
    assert (standing(warm), warm.standing_endpoints.deleted) == (before, [])


def test_a_damaged_point_of_which_nothing_stands_is_told_and_holds_nothing_else_up(warm, context):
    due(warm, context)
    [name] = standing(warm)
    damage(warm, point(warm).recovery_point)
    warm.serving.endpoints[name].statuses = [("Failed", "no capacity")]
    due(warm, context)
    assert "nothing of it stands here" in met(warm).reason
    assert standing(warm) == [], "what failed is of no use"


def test_a_cold_model_has_nothing_to_tell_of_a_damaged_point(warm, context):
    due(warm, context)
    tier(warm, "cold-standby")
    damage(warm, point(warm).recovery_point)
    due(warm, context)
    assert (standing(warm), met(warm)) == ([], None)


def test_what_answers_beside_the_home_goes_on_when_its_point_is_damaged(pair, context):
    look(pair, context, 2)
    before = row(pair)
    damage(pair.standby, before.recovery_point)
    for _ in range(3):
        look(pair, context)
        pair.standby.clock.move(minutes=6)
    assert (row(pair), bool(spread(pair)), standing(pair.standby)) == (before, True, [before.endpoint])
    assert met(pair.standby).kind == "DamagedPoint"


def test_no_older_version_answers_beside_the_home_in_place_of_a_damaged_one(pair, context):
    look(pair, context, 2)
    first = row(pair)
    pair.standby.clock.move(hours=1)
    pair.protect(pair.standby, promoted(pair.standby))
    look(pair, context, 3)
    newer = row(pair)
    assert newer.recovery_point != first.recovery_point
    pair.standby.clock.move(minutes=6)
    look(pair, context)
    damage(pair.standby, newer.recovery_point)
    for _ in range(3):
        look(pair, context)
        pair.standby.clock.move(minutes=6)
    assert (row(pair), standing(pair.standby)) == (newer, [newer.endpoint])
    pair.standby.serving.endpoints[newer.endpoint].statuses = [("Failed", "no capacity")]
    look(pair, context, 3)
    assert (row(pair), bool(spread(pair)), standing(pair.standby)) == (None, True, []), "the home answers alone"
