"""A witness: what a gateway of another pair looks like from here, to whoever has the token."""

import json

import pytest

from functions.probe_witness import app
from mldr.domain.health import Sight

HOST = "gateway.active.example"
TOKEN = {"authorization": "Bearer right-token"}


@pytest.fixture
def ask(world, context):
    """Ask the witness; returns (status, body)."""

    def asked(host=HOST, model="churn", headers=TOKEN):
        http = {"method": "GET", "path": f"/witness/{model}"}
        event = {
            "version": "2.0", "routeKey": "$default", "rawPath": http["path"], "rawQueryString": "", "headers": headers,
            "queryStringParameters": {"host": host} if host is not None else None,
            "requestContext": {"http": http, "stage": "$default"}, "isBase64Encoded": False,
        }  # fmt: skip
        answer = app.handler(event, context)
        return answer["statusCode"], answer["body"]

    return asked


@pytest.mark.parametrize("sight", list(Sight))
def test_a_witness_tells_what_it_sees_itself(ask, world, sight):
    world.outside.probes[HOST] = sight
    status, body = ask()
    assert (status, json.loads(body)["sight"], json.loads(body)["vantage"]) == (200, sight, "witness")
    assert world.outside.probed == [(HOST, "/models/churn/health")]


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}])
def test_without_the_token_nobody_looks(ask, world, headers):
    assert ask(headers=headers)[0] == 401
    assert world.outside.probed == []


@pytest.mark.parametrize(
    "host", [None, "", "localhost", "169.254.169.254", "active.example/path", "active.example:22", "a@active.example"]
)
def test_what_is_no_name_of_a_gateway_is_not_looked_at(ask, world, host):
    """The witness is no way to the addresses around it."""
    assert ask(host=host)[0] == 400
    assert world.outside.probed == []


def test_a_name_that_is_no_models_is_refused(ask, world):
    assert ask(model="bad_name!")[0] == 400
    assert world.outside.probed == []
