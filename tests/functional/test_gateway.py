"""The regional gateway: predictions, deep health and the takeover switch, over API Gateway's payload format 2.0."""

import base64
import json

import pytest

from functions.predict_gateway import app
from mldr.errors import EndpointFailed, NotAllowed, RegionUnreachable, RequestRefused, Throttled
from tests.fakes.serving import Endpoint
from tests.fakes.world import STANDBY
from tests.functional.story import CHURN, clients_follow, fail_over, promoted, protect

TOKEN = {"authorization": "Bearer right-token"}


@pytest.fixture
def call(world, context):
    """Ask the gateway; returns (status, body, headers)."""
    world.serving.endpoints["churn"] = Endpoint()

    def ask(method, path, *, body="", headers=TOKEN, is_base64=False):
        event = {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": "",
            "headers": headers,
            "requestContext": {"http": {"method": method, "path": path}, "stage": "$default"},
            "body": body,
            "isBase64Encoded": is_base64,
        }
        answer = app.handler(event, context)
        content = answer["body"]
        return (
            answer["statusCode"],
            base64.b64decode(content) if answer["isBase64Encoded"] else content,
            answer["headers"],
        )

    return ask


def test_a_prediction_comes_from_the_endpoint_that_the_policy_names(call, world):
    status, body, headers = call("POST", "/models/churn/invocations", body="[1, 2]")
    assert (status, body) == (200, "[1, 2]")
    assert (headers["x-mldr-region"], headers["x-mldr-endpoint"]) == (STANDBY, "churn")
    assert world.serving.asked == [("churn", b"[1, 2]", "application/json", "")]


def test_a_warm_request_does_what_a_prediction_does_and_gives_no_answer_away(call, world):
    status, body, _ = call("POST", "/models/churn/invocations", body="[1, 2]", headers={**TOKEN, "x-mldr-warm": "1"})
    assert (status, json.loads(body)) == (200, {"region": STANDBY, "warm": True, "said": ""})
    assert world.serving.asked == [("churn", b"[1, 2]", "application/json", "")]


def test_a_warm_request_without_a_question_asks_no_endpoint(call, world):
    assert call("POST", "/models/churn/invocations", headers={**TOKEN, "x-mldr-warm": "1"})[0] == 200
    assert world.serving.asked == []


def test_a_warm_request_is_answered_before_there_is_anything_to_ask(call, world):
    world.serving.endpoints.clear()
    status, body, _ = call("POST", "/models/churn/invocations", body="[1]", headers={**TOKEN, "x-mldr-warm": "1"})
    assert (status, "RequestRefused" in json.loads(body)["said"]) == (200, True)


def test_a_warm_request_needs_the_token(call):
    assert call("POST", "/models/churn/invocations", body="[1]", headers={"x-mldr-warm": "1"})[0] == 401


def test_a_binary_request_and_a_binary_answer_pass_unchanged(call, world):
    raw = bytes(range(256))
    world.serving.answer = lambda body: body[::-1]
    headers = {**TOKEN, "content-type": "application/x-npy", "accept": "application/x-npy"}
    status, body, answered = call(
        "POST", "/models/churn/invocations", body=base64.b64encode(raw).decode(), headers=headers, is_base64=True
    )
    assert (status, body) == (200, raw[::-1])
    assert answered["Content-Type"] == "application/x-npy"
    assert world.serving.asked[0][2:] == ("application/x-npy", "application/x-npy")


def test_an_answer_in_json_is_not_encoded_twice(call, world):
    world.serving.answer = lambda body: b'{"predictions": ["\xc3\xa4"]}'
    assert call("POST", "/models/churn/invocations", body="{}")[1] == '{"predictions": ["ä"]}'


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": ""}])
def test_without_the_right_token_nothing_is_asked(call, world, headers):
    status, body, _ = call("POST", "/models/churn/invocations", body="[]", headers=headers)
    assert status == 401
    assert "Authorization: Bearer" in json.loads(body)["message"]
    assert world.serving.asked == []


@pytest.mark.parametrize("error", [Throttled("secret:mldr/prod"), RegionUnreachable("secret:mldr/prod")])
def test_where_the_token_cannot_be_read_nobody_is_told_why(call, world, monkeypatch, error):
    monkeypatch.setattr(world.tokens, "valid", raising(error))
    status, body, _ = call("POST", "/models/churn/invocations", body="[]")
    assert (status, "secret" in body) == (503, False)
    assert world.serving.asked == []


def test_a_model_that_is_not_served_here_is_503_and_says_where_it_was_asked(call, world):
    world.serving.endpoints.clear()
    status, body, headers = call("POST", "/models/churn/invocations", body="[]")
    assert status == 503
    assert f"sagemaker/churn is not served in {STANDBY}" in json.loads(body)["message"]
    assert headers["x-mldr-endpoint"] == "churn"


def test_health_is_200_while_the_endpoint_is_in_service(call):
    status, body, _ = call("GET", "/models/churn/health", headers={})
    assert (status, json.loads(body)["status"]) == (200, "InService")


@pytest.mark.parametrize("state", ["Creating", "Failed", "Deleting"])
def test_health_is_503_with_the_reason_otherwise(call, world, state):
    world.serving.endpoints["churn"].statuses = [(state, "out of capacity")]
    status, body, _ = call("GET", "/models/churn/health", headers={})
    assert (status, json.loads(body)["reason"]) == (503, "out of capacity")


def raising(error):
    """A port that answers with an error."""

    def fail(*_):
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "expected"),
    [(RegionUnreachable("no answer"), 503), (Throttled("slow down"), 424), (NotAllowed("forbidden"), 424)],
)
def test_health_that_cannot_be_told_is_not_down_but_a_silent_region_is(call, world, monkeypatch, error, expected):
    """Law 6: the prober takes a 4xx for unknown, which pages, and a 5xx for down, which fails over."""
    monkeypatch.setattr(world.serving, "status", raising(error))
    status, body, _ = call("GET", "/models/churn/health", headers={})
    assert (status, json.loads(body)["message"]) == (expected, f"{type(error).__name__}: {error}")


def test_a_policy_with_mistakes_makes_no_model_look_down(call, world):
    world.policies.text = "version: 9"
    status, body, _ = call("GET", "/models/churn/health", headers={})
    assert status == 424
    assert "BadPolicy" in json.loads(body)["message"]


def test_a_policy_with_mistakes_stops_no_prediction(call, world):
    world.policies.text = "version: 9"
    assert call("POST", "/models/churn/invocations", body="[1]")[:2] == (200, "[1]")


REASON = "Received client error (422) from primary. See https://console/log-group in account 123456789012"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ('{"error": "age: not a number"}', "application/json"),
        ("age: not a number", "text/plain; charset=utf-8"),
        ("<html>no</html>", "text/plain; charset=utf-8"),
        ("", "text/plain; charset=utf-8"),
    ],
)
def test_what_the_model_refuses_reaches_the_client_with_its_status_in_its_words(call, world, monkeypatch, said, kind):
    monkeypatch.setattr(world.serving, "invoke", raising(RequestRefused(REASON, status=422, said=said)))
    status, body, headers = call("POST", "/models/churn/invocations", body="[1]")
    assert (status, body, headers["Content-Type"]) == (422, said, kind)
    assert (headers["x-mldr-region"], headers["x-mldr-endpoint"]) == (STANDBY, "churn")
    assert "123456789012" not in str((body, headers)), "what SageMaker adds is the operator's"


def test_the_words_of_a_refusal_are_bounded(call, world, monkeypatch):
    monkeypatch.setattr(world.serving, "invoke", raising(RequestRefused(REASON, status=400, said="ä" * 10_000)))
    status, body, _ = call("POST", "/models/churn/invocations", body="[1]")
    assert (status, body) == (400, "ä" * 2048)


@pytest.mark.parametrize(("said", "heard"), [("[" * 5000, "[" * 2048), ("no \ud800", "no ?")])
def test_no_words_of_a_model_break_the_gateway(call, world, monkeypatch, said, heard):
    monkeypatch.setattr(world.serving, "invoke", raising(RequestRefused(REASON, status=400, said=said)))
    assert call("POST", "/models/churn/invocations", body="[1]")[:2] == (400, heard)


def test_a_refusal_that_is_not_the_models_stays_the_gateways_failure(call, world, monkeypatch):
    monkeypatch.setattr(world.serving, "invoke", raising(RequestRefused("endpoint churn did not answer: not found")))
    status, body, _ = call("POST", "/models/churn/invocations", body="[1]")
    assert (status, "not found" in body) == (503, True)


def test_a_throttle_is_429_and_says_when_to_ask_again(call, world, monkeypatch):
    monkeypatch.setattr(world.serving, "invoke", raising(Throttled("slow down")))
    status, body, headers = call("POST", "/models/churn/invocations", body="[1]")
    assert (status, headers["retry-after"]) == (429, "1")
    assert "slow down" in json.loads(body)["message"]


@pytest.mark.parametrize("name", ["content-type", "accept"])
@pytest.mark.parametrize("value", ["x" * 1025, "text/cäv"])
def test_a_header_that_no_endpoint_takes_is_the_clients_mistake(call, world, name, value):
    status, body, _ = call("POST", "/models/churn/invocations", body="[1]", headers={**TOKEN, name: value})
    assert (status, "ASCII" in json.loads(body)["message"]) == (400, True)
    assert world.serving.asked == []


@pytest.mark.parametrize("error", [RegionUnreachable("no answer"), EndpointFailed("it broke"), NotAllowed("forbidden")])
def test_an_endpoint_that_cannot_be_asked_is_503_with_the_reason(call, world, monkeypatch, error):
    monkeypatch.setattr(world.serving, "invoke", raising(error))
    status, body, headers = call("POST", "/models/churn/invocations", body="[1]")
    assert (status, headers["x-mldr-region"]) == (503, STANDBY)
    assert str(error) in json.loads(body)["message"]


def test_the_takeover_switch_is_404_until_it_is_flipped(call, world, context):
    assert call("GET", "/models/churn/takeover", headers={})[0] == 404
    protect(world, context, promoted(world))
    clients_follow(world)
    fail_over(world, context)
    status, body, _ = call("GET", "/models/churn/takeover", headers={})
    assert (status, json.loads(body)["epoch"]) == (200, 1)


def test_after_a_failover_the_restored_endpoint_answers_without_a_policy(call, world, context):
    protect(world, context, promoted(world))
    clients_follow(world)
    fail_over(world, context)
    world.policies.text = None
    restored = world.catalog.takeover(CHURN).endpoint
    status, _, headers = call("POST", "/models/churn/invocations", body="[1]")
    assert (status, headers["x-mldr-endpoint"]) == (200, restored)
    assert call("GET", "/models/churn/health", headers={})[0] == 200


@pytest.mark.parametrize("path", ["/models/bad_name!/health", "/models/-/takeover", f"/models/{'x' * 64}/health"])
def test_a_name_that_is_none_is_400(call, path):
    status, body, _ = call("GET", path, headers={})
    assert status == 400
    assert "is not a model name" in json.loads(body)["message"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("DELETE", "/models/churn/health"), ("GET", "/models")])
def test_anything_else_is_404(call, method, path):
    assert call(method, path)[0] == 404
