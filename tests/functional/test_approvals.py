"""A person approves a failover: a token, once, within a time; from the page to the execution."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from functions.decide_failover import app as decide_failover
from mldr.domain.approvals import digest_of
from mldr.domain.health import Sight
from mldr.ports.stack import Status
from tests.fakes.world import ACTIVE, POLICY
from tests.functional.story import CHURN, clients_follow, deliver, promoted, protect, run

ROUND = {"round": 0, "rounds": 5, "pause": 10}
TOKEN = re.compile(r"mldr approve churn (\S+) --region ap-southeast-3")


@pytest.fixture
def asked(world, context):
    """The region of a model is down, and a person was asked."""
    world.policies.put(POLICY.replace("golden:", "failover: {mode: approve, approve_within: 10m}\n    golden:"))
    protect(world, context, promoted(world))
    world.bus.events.clear()
    look(world, context, rounds=4)
    return world


def look(world, context, *, down=True, rounds=1):
    world.outside.texts["_health"] = "unhealthy" if down else "healthy"
    world.outside.probes[f"gateway.{ACTIVE}.example"] = Sight.UNHEALTHY if down else Sight.HEALTHY
    for _ in range(rounds):
        decide_failover.handler(ROUND, context)
        world.clock.move(seconds=10)


def token(world):
    """What the newest page says."""
    return TOKEN.findall(world.pager.pages[-1][1])[0]


def approval(world, text, by="ann", event_id="event-1", **detail):
    """`Failover Approved` as EventBridge delivers it."""
    return {
        "id": event_id, "source": "mldr", "detail-type": "Failover Approved",
        "time": world.clock.now().isoformat(),
        "detail": {"model": str(CHURN), "token": text, "approved_by": by, **detail},
    }  # fmt: skip


def approve(world, context, *events):
    assert deliver("approve_failover", context, *events) == []
    return world.bus.named("Failover Requested")


def test_a_person_is_asked_once_and_nothing_is_requested(asked, context):
    [(subject, message)] = asked.pager.pages
    assert subject == "mldr: sagemaker/churn waits for your approval"
    assert "waiting for a person to approve the failover; route53: unhealthy" in message
    assert "until 2026-03-01 12:10:20 UTC and once" in message
    look(asked, context, rounds=20)
    assert len(asked.pager.pages) == 1
    assert asked.bus.named("Failover Requested") == []


def test_an_approved_failover_runs_under_the_id_that_was_asked_about(asked, context):
    clients_follow(asked)
    wanted = asked.catalog.health(CHURN).ask.id
    [request] = approve(asked, context, approval(asked, token(asked)))
    assert (request["failover_id"], request["requested_by"]) == (wanted, "ann")
    assert request["reason"].startswith("approved by ann: unhealthy for 3 rounds")
    event = {
        "id": "any", "source": "mldr", "detail-type": "Failover Requested", "time": asked.clock.now().isoformat(),
        "detail": request,
    }  # fmt: skip
    assert deliver("start_failover", context, event) == []
    assert run(asked, context, wanted, "failover").status == "SUCCEEDED"
    assert asked.catalog.takeover(CHURN).epoch == 1
    look(asked, context, rounds=20)
    assert len(asked.bus.named("Failover Requested")) == 1


def test_only_a_digest_of_the_token_is_kept(asked):
    kept = asked.decisions.approval(CHURN)
    assert kept.digest == digest_of(token(asked))
    assert token(asked) not in kept.model_dump_json()
    assert all(token(asked) not in line.model_dump_json() for line in asked.decisions.newest(CHURN, 50))


def test_a_token_can_be_typed_as_it_is_and_is_never_taken_for_an_option(asked):
    """One in 64 of those that base64 makes begins with a dash, and the command line takes that for an option."""
    assert re.fullmatch("[0-9a-f]{24}", token(asked))


def test_the_token_reaches_no_log(asked, context, caplog):
    approve(asked, context, approval(asked, token(asked)))
    assert caplog.records
    assert token(asked) not in caplog.text
    assert all(token(asked) not in json.dumps(record.__dict__, default=str) for record in caplog.records)


@pytest.mark.parametrize("wrong", ["wrong-token", "x" * 16])
def test_a_wrong_token_starts_nothing_and_spends_nothing(asked, context, wrong):
    assert approve(asked, context, approval(asked, wrong)) == []
    assert asked.decisions.approval(CHURN).open
    assert len(approve(asked, context, approval(asked, token(asked)))) == 1


def test_a_token_that_has_expired_starts_nothing(asked, context):
    asked.clock.move(seconds=600)
    assert approve(asked, context, approval(asked, token(asked))) == []


def test_after_the_time_another_token_is_sent_and_the_first_counts_no_more(asked, context):
    first = token(asked)
    look(asked, context, rounds=65)
    assert len(asked.pager.pages) == 2
    assert token(asked) != first
    assert approve(asked, context, approval(asked, first)) == []
    assert len(approve(asked, context, approval(asked, token(asked)))) == 1


def test_a_token_is_used_once(asked, context):
    approve(asked, context, approval(asked, token(asked)))
    again = approval(asked, token(asked), by="bob", event_id="event-2")
    assert len(approve(asked, context, again)) == 1
    assert asked.decisions.approval(CHURN).used_by == "ann"


def test_the_same_approval_delivered_twice_asks_for_the_same_failover(asked, context):
    """Law 5. It may be the second delivery that puts the request: the first died before it did."""
    event = approval(asked, token(asked))
    first, second = approve(asked, context, event, event)
    assert first["failover_id"] == second["failover_id"]


def test_of_two_operators_at_once_one_approves(asked, context):
    text = token(asked)
    events = [approval(asked, text, by=f"operator-{n}", event_id=f"event-{n}") for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda event: deliver("approve_failover", context, event), events))
    [request] = asked.bus.named("Failover Requested")
    assert request["requested_by"] == asked.decisions.approval(CHURN).used_by


@pytest.mark.parametrize("other", ["used", "withdrawn"])
def test_who_comes_second_between_the_look_and_the_write_starts_nothing(asked, context, monkeypatch, other):
    settle, now = asked.decisions.settle, asked.clock.now()

    def late(model, approval):
        held = asked.decisions.approval(model)
        if held.open:
            settle(model, held.use("bob", "event-0", now) if other == "used" else held.withdraw("the outage ended"))
        settle(model, approval)

    monkeypatch.setattr(asked.decisions, "settle", late)
    assert approve(asked, context, approval(asked, token(asked))) == []


def test_an_approval_of_a_model_that_waits_for_none_is_told(world, context):
    assert approve(world, context, approval(world, "some-token")) == []


def test_when_the_outage_ends_the_token_counts_no_more(asked, context):
    text = token(asked)
    look(asked, context, down=False, rounds=3)
    assert "the outage ended (healthy:" in asked.decisions.approval(CHURN).withdrawn
    assert approve(asked, context, approval(asked, text)) == []


def test_an_approved_failover_that_was_refused_is_asked_about_again(asked, context):
    [request] = approve(asked, context, approval(asked, token(asked)))
    asked.workflows.start(request["failover_id"], {})
    asked.workflows.active.clear()
    asked.workflows.ended[request["failover_id"]] = Status.FAILED
    look(asked, context, rounds=5)
    assert len(asked.pager.pages) == 2
    again = approve(asked, context, approval(asked, token(asked), event_id="event-2"))
    assert again[-1]["failover_id"] == f"{request['failover_id']}-t2"


def test_an_approval_whose_request_was_lost_is_not_lost(asked, context):
    [request] = approve(asked, context, approval(asked, token(asked)))
    look(asked, context, rounds=8)
    assert [one["failover_id"] for one in asked.bus.named("Failover Requested")] == [request["failover_id"]] * 2


@pytest.mark.parametrize("field", ["token", "approved_by", "model"])
def test_a_malformed_approval_fails_alone(asked, context, field):
    bad = approval(asked, token(asked), **{field: ""})
    assert deliver("approve_failover", context, bad, approval(asked, token(asked))) == ["0"]
    assert len(asked.bus.named("Failover Requested")) == 1
