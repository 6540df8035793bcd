"""Decisions and Proofs: what was decided, asked and proven, on memory and on DynamoDB."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest

from mldr.aws.decisions import KEPT, DynamoDecisions
from mldr.aws.proofs import DynamoProofs
from mldr.domain import deep_health
from mldr.domain.approvals import Approval
from mldr.domain.health import Action, Decided, Sight, Why
from mldr.domain.identity import ModelKey
from mldr.errors import LostRace
from tests.fakes.decisions import FakeDecisions
from tests.fakes.proofs import FakeProofs

SERVICE = "dynamodb"
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
CHURN = ModelKey(registry="sagemaker", name="churn")
OTHER = ModelKey(registry="sagemaker", name="churn-2")
ASKED = Approval.ask(
    "token-1", failover_id="f-1", reason="it is down", now=NOW, until=NOW + dt.timedelta(minutes=15), first=NOW
)
TURN = deep_health.asking(None, "churn", NOW)


def line(minutes=0, **changes):
    at = NOW + dt.timedelta(minutes=minutes)
    fields = {
        "at": at, "until": at, "rounds": 1, "verdict": Sight.HEALTHY, "action": Action.NONE, "why": Why.HEALTHY,
        "reason": "healthy: ünï cödé",
    }  # fmt: skip
    return Decided(**{**fields, **changes})


def table(cloud):
    """The catalog's table."""
    cloud.client("dynamodb").create_table(
        TableName="catalog",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    return cloud.client("dynamodb")


@pytest.fixture
def decisions(backend):
    return DynamoDecisions(table(backend), table="catalog") if backend else FakeDecisions()


@pytest.fixture
def proofs(backend):
    return DynamoProofs(table(backend), table="catalog") if backend else FakeProofs()


def outcomes(action, count=8):
    """What `count` threads got at once: a result, or the race that they lost."""

    def one(number):
        try:
            return action(number)
        except LostRace as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


# the log


def test_nothing_is_logged_of_a_model_that_nobody_watched(decisions):
    assert decisions.newest(CHURN, 10) == []


def test_the_newest_lines_come_first_and_no_more_than_asked_for(decisions):
    lines = [line(minutes) for minutes in (3, 1, 2, 0)]
    for one in lines:
        decisions.log(CHURN, one)
    decisions.log(OTHER, line(9))
    assert decisions.newest(CHURN, 10) == [line(3), line(2), line(1), line(0)]
    assert decisions.newest(CHURN, 2) == [line(3), line(2)]


def test_a_line_is_written_over_when_its_rounds_are_known(decisions):
    decisions.log(CHURN, line())
    decisions.log(CHURN, line(rounds=7, until=NOW + dt.timedelta(minutes=1)))
    [found] = decisions.newest(CHURN, 10)
    assert found.rounds == 7


def test_lines_of_the_same_second_are_kept_apart_and_in_order(decisions):
    lines = [line(at=NOW + dt.timedelta(microseconds=number)) for number in (0, 1, 999_999)]
    for one in lines:
        decisions.log(CHURN, one)
    assert decisions.newest(CHURN, 10) == lines[::-1]


def test_a_line_is_forgotten_after_a_month(cloud):
    client = table(cloud)
    DynamoDecisions(client, table="catalog").log(CHURN, line())
    [item] = client.scan(TableName="catalog")["Items"]
    assert item["expires"] == {"N": str(int((NOW + KEPT).timestamp()))}
    assert dt.timedelta(days=30) == KEPT


# approvals


def test_nobody_was_asked(decisions):
    assert decisions.approval(CHURN) is None


def test_a_question_is_read_back_whole(decisions):
    decisions.ask(CHURN, ASKED)
    assert decisions.approval(CHURN) == ASKED
    assert decisions.approval(OTHER) is None


def test_another_question_takes_the_place_of_the_one_before(decisions):
    decisions.ask(CHURN, ASKED)
    decisions.settle(CHURN, ASKED.use("ann", "event-1", NOW))
    newer = Approval.ask("token-2", failover_id="f-2", reason="again", now=NOW, until=NOW, first=None)
    decisions.ask(CHURN, newer)
    assert decisions.approval(CHURN) == newer
    decisions.settle(CHURN, newer.use("bob", "event-2", NOW))
    assert decisions.approval(CHURN).used_by == "bob"


def test_of_eight_operators_one_approves(decisions):
    decisions.ask(CHURN, ASKED)
    found = outcomes(lambda n: decisions.settle(CHURN, ASKED.use(f"operator-{n}", f"event-{n}", NOW)))
    winners = [number for number, one in enumerate(found) if one is None]
    assert len(winners) == 1
    assert decisions.approval(CHURN).used_by == f"operator-{winners[0]}"


def test_a_question_that_is_withdrawn_cannot_be_used_nor_the_other_way_round(decisions):
    decisions.ask(CHURN, ASKED)
    decisions.settle(CHURN, ASKED.withdraw("the outage ended"))
    with pytest.raises(LostRace):
        decisions.settle(CHURN, ASKED.use("ann", "event-1", NOW))
    assert decisions.approval(CHURN).withdrawn == "the outage ended"


def test_a_question_whose_place_another_took_cannot_be_settled(decisions):
    newer = Approval.ask("token-2", failover_id="f-1", reason="again", now=NOW, until=NOW, first=None)
    decisions.ask(CHURN, ASKED)
    decisions.ask(CHURN, newer)
    with pytest.raises(LostRace):
        decisions.settle(CHURN, ASKED.use("ann", "event-1", NOW))
    assert decisions.approval(CHURN) == newer


def test_what_nobody_asked_cannot_be_settled(decisions):
    with pytest.raises(LostRace):
        decisions.settle(CHURN, ASKED.use("ann", "event-1", NOW))


# proofs


def test_nothing_is_proven_of_a_model_that_nobody_asked(proofs):
    assert proofs.newest(CHURN) is None


def test_a_proof_follows_the_one_before(proofs):
    proofs.put(CHURN, TURN, None)
    assert proofs.newest(CHURN) == TURN
    answered = deep_health.answered(TURN, equal=True, reason="all", seconds=0.1, now=NOW)
    proofs.put(CHURN, answered, TURN)
    assert (proofs.newest(CHURN), proofs.newest(OTHER)) == (answered, None)


@pytest.mark.parametrize("previous", [None, TURN])
def test_of_eight_gateways_one_takes_the_turn(proofs, previous):
    if previous:
        proofs.put(CHURN, previous, None)
    later = NOW + dt.timedelta(seconds=31)
    found = outcomes(lambda _: proofs.put(CHURN, deep_health.asking(previous, "churn", later), previous))
    assert found.count(None) == 1
    assert proofs.newest(CHURN).asked_at == later


def test_what_comes_too_late_proves_nothing(proofs):
    later = deep_health.asking(TURN, "churn", NOW + dt.timedelta(seconds=31))
    proofs.put(CHURN, TURN, None)
    proofs.put(CHURN, later, TURN)
    with pytest.raises(LostRace):
        proofs.put(CHURN, deep_health.failed(TURN, "late", NOW), TURN)
    assert proofs.newest(CHURN) == later
