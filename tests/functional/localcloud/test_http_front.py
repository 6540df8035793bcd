"""The HTTP front speaks as API Gateway's HTTP APIs do, and falls silent with its region."""

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from moto.apigatewayv2.models import apigatewayv2_backends
from moto.awslambda.exceptions import LambdaClientError

from localcloud.edge.addresses import ACCOUNT
from localcloud.edge.http_apis import Api, HttpApis, Route
from localcloud.edge.http_front import HttpFront
from localcloud.outage import Outage

HERE, THERE = "ap-southeast-1", "ap-southeast-3"
HOST = f"abc123.execute-api.{HERE}.amazonaws.com"
ROUTES = [
    Route("POST", "/models/{model}/invocations", "predict"),
    Route("GET", "/models/{model}/health", "health"),
    Route("ANY", "/files/{path+}", "files"),
]


@dataclass
class Outcome:
    """What a function returned."""

    payload: bytes
    error: bool = False


class Functions:
    """Functions that the test writes."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.names: list[tuple[str, str]] = []
        self.work: Callable[[dict[str, Any]], Any] = lambda event: {"statusCode": 200, "body": event["rawPath"]}

    def invoke(self, region: str, function: str, payload: bytes) -> Outcome:
        """Run the test's function."""
        event = json.loads(payload)
        self.events.append(event)
        self.names.append((region, function))
        answer = self.work(event)
        return answer if isinstance(answer, Outcome) else Outcome(json.dumps(answer).encode())


class World:
    """Two regions' fronts, the first with one API."""

    def __init__(self) -> None:
        self.outage, self.functions, self.apis = Outage(), Functions(), HttpApis()
        self.apis.register(HERE, "abc123", ROUTES)
        self.port = free_port()
        self.front = HttpFront((HERE, THERE), self.apis, self.functions, self.outage, self.port, 0.5)
        self.front.start()

    def connect(self, region: str = HERE) -> http.client.HTTPConnection:
        """A connection to the region's front."""
        return http.client.HTTPConnection(self.front.addresses[region], self.port, timeout=5)

    def ask(
        self,
        method: str = "POST",
        target: str = "/models/iris/invocations",
        body: bytes = b"",
        region: str = HERE,
        **headers: str,
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own."""
        connection = self.connect(region)
        connection.request(method, target, body, {"Host": HOST} | headers)
        response = connection.getresponse()
        answer = response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        connection.close()
        return answer


def again(connection: http.client.HTTPConnection) -> int:
    """One more request on an open connection."""
    connection.request("GET", "/models/iris/health", headers={"Host": HOST})
    response = connection.getresponse()
    response.read()
    return response.status


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.11", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def world() -> Iterator[World]:
    """Fronts that listen."""
    made = World()
    yield made
    made.front.stop()


def test_the_event_has_payload_format_2(world: World) -> None:
    headers = {"Content-Type": "application/json", "Authorization": "Bearer secret", "Cookie": "a=1; b=2"}
    world.ask(target="/models/ir%20is/invocations?x=1&y=2&x=3&empty=", body=b'{"rows": [1]}', **headers)
    (event,) = world.functions.events
    context = event.pop("requestContext")
    assert world.functions.names == [(HERE, "predict")]
    assert event["headers"].pop("host") == HOST
    assert event["headers"].pop("content-length") == "13"
    event["headers"].pop("accept-encoding")
    assert event == {
        "version": "2.0",
        "routeKey": "POST /models/{model}/invocations",
        "rawPath": "/models/ir is/invocations",
        "rawQueryString": "x=1&y=2&x=3&empty=",
        "cookies": ["a=1", "b=2"],
        "headers": {"content-type": "application/json", "authorization": "Bearer secret"},
        "queryStringParameters": {"x": "1,3", "y": "2", "empty": ""},
        "pathParameters": {"model": "ir is"},
        "body": '{"rows": [1]}',
        "isBase64Encoded": False,
    }
    assert (context["apiId"], context["stage"], context["accountId"]) == ("abc123", "$default", ACCOUNT)
    assert context["http"]["method"] == "POST"
    assert context["domainName"] == HOST


def test_a_binary_body_travels_in_base64_both_ways(world: World) -> None:
    def echo(event: dict[str, Any]) -> dict[str, Any]:
        assert event["isBase64Encoded"]
        headers = {"Content-Type": "application/x-npy"}
        return {"statusCode": 201, "headers": headers, "body": event["body"], "isBase64Encoded": True}

    world.functions.work = echo
    status, headers, body = world.ask(body=b"\x00\xff\x01", **{"Content-Type": "application/x-npy"})
    assert (status, headers["content-type"], body) == (201, "application/x-npy", b"\x00\xff\x01")


def test_what_a_function_returns_without_a_status_is_the_body(world: World) -> None:
    world.functions.work = lambda _event: {"answer": 42}
    status, headers, body = world.ask()
    assert (status, headers["content-type"], json.loads(body)) == (200, "application/json", {"answer": 42})


def test_cookies_and_headers_of_the_answer_arrive(world: World) -> None:
    world.functions.work = lambda _event: {"statusCode": 204, "headers": {"X-Model": 7}, "cookies": ["a=1; Secure"]}
    status, headers, body = world.ask()
    assert (status, headers["x-model"], headers["set-cookie"], body) == (204, "7", "a=1; Secure", b"")


@pytest.mark.parametrize(
    "answer",
    [
        Outcome(b'{"errorType": "ValueError"}', error=True),
        Outcome(b"no json"),
        {"statusCode": "many"},
        {"statusCode": 200, "body": {"not": "text"}},
        {"statusCode": 200, "body": "!", "isBase64Encoded": True},
    ],
    ids=["failed", "no json", "no status", "no text", "no base64"],
)
def test_a_function_that_fails_or_answers_nonsense_is_an_internal_error(world: World, answer: Any) -> None:
    world.functions.work = lambda _event: answer
    status, _, body = world.ask()
    assert (status, json.loads(body)) == (500, {"message": "Internal Server Error"})


def test_a_function_that_cannot_be_invoked_is_an_internal_error(world: World) -> None:
    def refuse(_event: dict[str, Any]) -> None:
        raise LambdaClientError("TooManyRequestsException", "Rate Exceeded.")

    world.functions.work = refuse
    assert world.ask()[0] == 500


def test_a_function_that_takes_too_long_is_unavailable(world: World) -> None:
    over = threading.Event()
    world.functions.work = lambda _event: over.wait(5)
    assert world.ask()[0] == 503
    over.set()


@pytest.mark.parametrize(
    ("method", "target", "host", "status", "text"),
    [
        ("GET", "/nothing", HOST, 404, "Not Found"),
        ("DELETE", "/models/iris/health", HOST, 404, "Not Found"),
        ("GET", "/models/a/b/health", HOST, 404, "Not Found"),
        ("GET", "/models/iris/health", "127.0.0.11", 403, "Forbidden"),
        ("GET", "/models/iris/health", f"abc123.execute-api.{THERE}.amazonaws.com", 403, "Forbidden"),
        ("GET", "/models/iris/health", f"other.execute-api.{HERE}.amazonaws.com", 403, "Forbidden"),
    ],
)
def test_requests_without_an_api_or_a_route_are_refused(
    world: World, method: str, target: str, host: str, status: int, text: str
) -> None:
    refused = world.ask(method, target, Host=host)
    assert (refused[0], json.loads(refused[2])) == (status, {"message": text})
    assert world.functions.events == []


def test_a_custom_domain_leads_to_its_mapped_api(world: World) -> None:
    backend = apigatewayv2_backends[ACCOUNT][HERE]
    backend.reset()
    api = backend.create_api("", "", "", "", "", "gateway", "HTTP", "", {}, "")
    backend.create_domain_name("*.models.mldr.test", [], {}, {})
    backend.create_api_mapping(api.api_id, "", "*.models.mldr.test", "$default")
    world.apis.register(HERE, api.api_id, ROUTES)
    assert world.ask("GET", "/models/iris/health", Host="iris.models.mldr.test")[0] == 200
    assert world.ask("GET", "/models/iris/health", Host="iris.elsewhere.test")[0] == 403
    backend.reset()


def test_the_most_specific_route_wins() -> None:
    api = Api(HERE, "x", (Route("ANY", "$default", "all"), *ROUTES, Route("ANY", "/models/{m}/health", "any")))

    def chosen(method: str, path: str) -> str:
        found = api.route(method, path)
        return found[0].function if found else "none"

    assert chosen("GET", "/models/iris/health") == "health"
    assert chosen("PUT", "/models/iris/health") == "any"
    assert chosen("GET", "/files/a/b/c") == "files"
    assert chosen("GET", "/anything") == "all"


def test_a_body_above_10_mb_is_too_large(world: World) -> None:
    connection = world.connect()
    connection.putrequest("POST", "/models/iris/invocations", skip_host=True)
    connection.putheader("Host", HOST)
    connection.putheader("Content-Length", str(10 * 1024 * 1024 + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_a_failed_region_refuses_connections_and_a_healed_one_listens_again(world: World) -> None:
    kept = world.connect()
    assert again(kept) == 200
    world.outage.fail(HERE)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        again(kept)
    with pytest.raises(ConnectionRefusedError):
        world.ask()
    assert world.ask(region=THERE)[0] == 403
    world.outage.heal(HERE)
    assert world.ask()[0] == 200


def test_an_answer_that_is_under_way_dies_with_the_region(world: World) -> None:
    begun, over = threading.Event(), threading.Event()

    def work(_event: dict[str, Any]) -> dict[str, Any]:
        begun.set()
        over.wait(5)
        return {"statusCode": 200}

    world.functions.work = work
    connection = world.connect()
    connection.request("GET", "/models/iris/health", headers={"Host": HOST})
    assert begun.wait(2)
    world.outage.fail(HERE)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        connection.getresponse()
    over.set()
