"""`/health` of a model, in depth: in service, and answering a golden request that is sent now and then."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, local

import pytest
from botocore.loaders import Loader

from functions.predict_gateway import app
from mldr.domain.deep_health import AGAIN, EVERY, FAILURES, SILENCES, STALE, Outcome, Proof, down
from mldr.domain.endpoint_status import answers
from mldr.errors import EndpointFailed, LostRace, NotAllowed, RegionUnreachable, RequestRefused, Throttled
from mldr.steps import serve_gateway
from tests.fakes.serving import Endpoint
from tests.fakes.world import POLICY
from tests.functional.story import CHURN, clients_follow, fail_over, promoted, protect, stock

LINE = b'{"request": [1], "answer": [1]}\n{"request": [2], "answer": [2]}\n'


@pytest.fixture
def health(world, context):
    """Ask the gateway for a model's health; returns (status, body)."""
    stock(world)
    world.buckets.put("lake", "churn/golden.jsonl", LINE)
    world.serving.endpoints["churn"] = Endpoint()
    world.serving.asked.clear()

    def ask(model="churn"):
        http = {"method": "GET", "path": f"/models/{model}/health"}
        event = {
            "version": "2.0", "routeKey": "$default", "rawPath": f"/models/{model}/health", "rawQueryString": "",
            "headers": {}, "requestContext": {"http": http, "stage": "$default"}, "isBase64Encoded": False,
        }  # fmt: skip
        answer = app.handler(event, context)
        return answer["statusCode"], json.loads(answer["body"])

    return ask


def answering(world, error=None, seconds=0.04):
    """How the endpoint behaves from now on."""

    def answer(body):
        world.clock.move(seconds=seconds)
        if error:
            raise error
        return body

    world.serving.answer = answer


def rounds(health, world, count, every=AGAIN):
    found = []
    for _ in range(count):
        found.append(health())
        world.clock.move(seconds=every.total_seconds())
    return found


def test_a_golden_request_is_answered_and_told(health, world):
    answering(world)
    status, body = health()
    assert status == 200
    assert body["golden"] == {
        "outcome": "equal", "reason": "all 1 golden answers reproduced", "loaded": True,
        "last_success_seconds_ago": 0.0, "seconds": 0.04, "failed_in_a_row": 0, "silent_in_a_row": 0,
    }  # fmt: skip
    assert world.serving.asked == [("churn", b"[1]", "application/json", "")]


def test_the_age_of_the_last_success_grows_until_the_next_request(health, world):
    health()
    world.clock.move(seconds=12)
    assert health()[1]["golden"]["last_success_seconds_ago"] == 12.0
    assert len(world.serving.asked) == 1


def test_however_often_health_is_asked_one_golden_request_is_sent_in_half_a_minute(health, world):
    for _ in range(100):
        health()
        world.clock.move(seconds=1)
    assert len(world.serving.asked) == 4
    assert EVERY.total_seconds() == 30


@pytest.mark.usefixtures("health")
def test_many_checkers_at_once_cost_one_golden_request(world, monkeypatch):
    """Each is another environment of the function, and all of them find that a request is due."""
    newest, together, before = world.proofs.newest, Barrier(8, timeout=10), local()

    def at_once(model):
        found = newest(model)
        if not hasattr(before, "looked"):
            before.looked = True
            together.wait()
        return found

    def look(_number):
        deep, policies = world.deep_health, world.policies
        return serve_gateway.health(CHURN, leaders=world.leaders, policies=policies, deep=deep).status

    monkeypatch.setattr(world.proofs, "newest", at_once)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(look, range(8))) == {200}
    assert len(world.serving.asked) == 1


SERVE = ["InService", "Updating", "SystemUpdating", "RollingBack", "UpdateRollbackFailed", "SomethingNew"]
SILENT = ["OutOfService", "Creating", "Deleting", "Failed", "Missing"]


def test_every_status_of_sagemaker_is_one_or_the_other():
    words = Loader().load_service_model("sagemaker", "service-2")["shapes"]["EndpointStatus"]["enum"]
    assert {*words, "SomethingNew", "Missing"} == {*SERVE, *SILENT}
    assert {one for one in {*SERVE, *SILENT} if answers(one)} == set(SERVE)


@pytest.mark.parametrize("status", SERVE)
def test_an_endpoint_that_is_scaled_updated_or_maintained_serves_on_and_is_asked(health, world, status):
    """AWS: "there is no availability loss"; autoscaling sets Updating with every step."""
    world.serving.endpoints["churn"].statuses = [(status, "")]
    told, body = health()
    assert (told, body["status"], body["golden"]["outcome"]) == (200, status, "equal")
    assert len(world.serving.asked) == 1


@pytest.mark.parametrize("status", SILENT)
def test_an_endpoint_that_takes_no_requests_is_asked_nothing(health, world, status):
    world.serving.endpoints["churn"].statuses = [(status, "")]
    told, body = health()
    assert (told, body["status"]) == (503, status)
    assert world.serving.asked == []


def test_an_endpoint_that_fails_while_it_is_updated_is_down(health, world):
    world.serving.endpoints["churn"].statuses = [("Updating", "")]
    answering(world, EndpointFailed("its container answers 500"))
    assert [status for status, _ in rounds(health, world, FAILURES)] == [200] * (FAILURES - 1) + [503]


def test_a_request_that_is_not_taken_is_told_and_never_counts(health, world):
    """A changed schema, an asynchronous endpoint: others may be answered."""
    answering(world, RequestRefused("Received client error (400) from primary"))
    found = rounds(health, world, 3 * FAILURES, every=EVERY)
    assert {status for status, _ in found} == {200}
    golden = found[-1][1]["golden"]
    assert (golden["outcome"], golden["failed_in_a_row"], golden["loaded"]) == ("refused", 0, None)
    assert "client error (400)" in golden["reason"]


@pytest.mark.parametrize("error", [RequestRefused("Received client error (400) from primary"), Throttled("429")])
def test_a_request_that_is_not_taken_ends_a_row_of_failures(health, world, error):
    """Nor is a model down that is overloaded: three failures, and then throttles, must not move it."""
    answering(world, EndpointFailed("its container answers 500"))
    rounds(health, world, FAILURES)
    answering(world, error)
    status, body = health()
    assert (status, body["golden"]["outcome"], body["golden"]["failed_in_a_row"]) == (200, "refused", 0)


def test_a_model_that_asks_for_fewer_requests_is_asked_less_often(health, world):
    answering(world, EndpointFailed("its container answers 500"))
    rounds(health, world, 2)
    answering(world, Throttled("429"))
    world.serving.asked.clear()
    rounds(health, world, round(EVERY / AGAIN))
    assert len(world.serving.asked) == 1


def test_failures_are_forgotten_while_nobody_can_ask_again(health, world):
    answering(world, EndpointFailed("its container answers 500"))
    rounds(health, world, FAILURES)
    answering(world, NotAllowed("forbidden"))
    times = round(STALE / AGAIN) + 2
    found = rounds(health, world, times)
    assert found[-1][0] == 200
    world.clock.move(seconds=-1)
    assert health()[0] == 200, "this one is not asked, and sees what the others saw"


def test_an_endpoint_that_fails_several_golden_requests_in_a_row_is_down(health, world):
    health()
    answering(world, EndpointFailed("its container answers 500"))
    world.clock.move(seconds=30)
    found = rounds(health, world, FAILURES)
    assert [status for status, _ in found] == [200] * (FAILURES - 1) + [503]
    assert found[-1][1]["reason"] == f"{FAILURES} golden requests in a row failed: its container answers 500"
    assert found[-1][1]["golden"]["last_success_seconds_ago"] > 30
    answering(world)
    assert [status for status, _ in rounds(health, world, 2)] == [200, 200]


def test_an_endpoint_that_fell_silent_is_down_after_a_while(health, world):
    answering(world)
    health()
    answering(world, RegionUnreachable("read timeout"), seconds=0.8)
    world.clock.move(seconds=30)
    assert [status for status, _ in rounds(health, world, SILENCES)] == [200] * (SILENCES - 1) + [503]


def test_a_model_that_was_always_slow_is_not_down(health, world):
    """It is told, and nobody waits for it."""
    answering(world, RegionUnreachable("read timeout"), seconds=0.8)
    found = rounds(health, world, 3 * SILENCES, every=EVERY)
    assert {status for status, _ in found} == {200}
    assert found[-1][1]["golden"]["outcome"] == "slow"
    assert found[-1][1]["golden"]["loaded"] is None


def test_a_model_that_answers_otherwise_than_recorded_is_told_and_not_down(health, world):
    world.serving.answer = lambda body: b"[7]"
    status, body = health()
    assert (status, body["golden"]["outcome"]) == (200, "differs")
    assert "expected [1], got [7]" in body["golden"]["reason"]


def test_a_model_without_golden_inferences_is_as_healthy_as_its_endpoint(health, world):
    world.serving.endpoints["plain"] = Endpoint()
    status, body = health("plain")
    assert (status, body["golden"]["outcome"]) == (200, "never asked")
    assert world.serving.asked == []


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


@pytest.mark.parametrize(
    ("port", "name", "error"),
    [
        ("proofs", "newest", Throttled("slow down")),
        ("proofs", "newest", RegionUnreachable("no answer")),
        ("proofs", "put", NotAllowed("forbidden")),
        ("goldens", "first", NotAllowed("forbidden")),
        ("serving", "invoke", NotAllowed("forbidden")),
    ],
)
def test_what_hinders_a_golden_request_makes_nothing_look_down(health, world, monkeypatch, port, name, error):
    """Law 6."""
    monkeypatch.setattr(getattr(world, port), name, raising(error))
    status, body = health()
    assert status == 200
    assert body["golden"]["outcome"].startswith(f"cannot be asked: {type(error).__name__}")


def test_golden_inferences_that_are_gone_make_nothing_look_down(health, world):
    world.buckets.put("lake", "churn/golden.jsonl", None)
    assert health()[0] == 200


def test_a_turn_that_another_gateway_took_is_left_to_it(health, world, monkeypatch):
    monkeypatch.setattr(world.proofs, "put", raising(LostRace("another gateway asks")))
    assert health()[0] == 200
    assert world.serving.asked == []


def test_a_gateway_that_died_while_it_asked_holds_nothing_up(health, world, monkeypatch):
    with monkeypatch.context() as dying:
        dying.setattr(world.serving, "invoke", raising(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            health()
    assert world.proofs.newest(CHURN).outcome == "asking"
    world.clock.move(seconds=31)
    assert health()[1]["golden"]["outcome"] == "equal"


def test_old_failures_say_nothing_of_now(health, world):
    answering(world, EndpointFailed("its container answers 500"))
    rounds(health, world, FAILURES)
    world.clock.move(seconds=STALE.total_seconds())
    answering(world)
    assert health()[0] == 200


def test_another_endpoint_is_proven_anew(health, world):
    answering(world, EndpointFailed("its container answers 500"))
    rounds(health, world, FAILURES)
    world.policies.put(POLICY.replace("golden:", "serving: {endpoint: churn-2}\n    golden:"))
    world.serving.endpoints["churn-2"] = Endpoint()
    answering(world)
    assert health()[0] == 200
    assert world.proofs.newest(CHURN).endpoint == "churn-2"


def test_what_one_endpoint_did_says_nothing_of_the_next(world):
    failing = Proof(endpoint="churn", asked_at=world.clock.now(), outcome=Outcome.FAILED, failures=FAILURES)
    assert down(failing, "churn", world.clock.now())
    assert down(failing, "churn-e1", world.clock.now()) == ""


def test_a_restored_model_is_asked_what_its_recovery_point_holds(health, world, context):
    """Without a policy, and without the bucket of the region that is gone."""
    protect(world, context, promoted(world))
    clients_follow(world)
    fail_over(world, context)
    world.policies.text = None
    world.buckets.put("lake", "churn/golden.jsonl", None)
    world.serving.asked.clear()
    status, body = health()
    assert (status, body["golden"]["outcome"]) == (200, "equal")
    assert world.serving.asked[0][0] == world.catalog.takeover(CHURN).endpoint
