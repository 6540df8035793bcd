"""What clients see, over a real DNS server and a real HTTP server on this machine."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset
import pytest

from mldr.aws.outside import PublicNetwork
from mldr.domain.failover import Kind
from mldr.domain.health import Observation, Sight
from mldr.domain.identity import ModelKey
from mldr.domain.leadership import Announcement

CHURN = ModelKey(registry="sagemaker", name="churn")
RECORDS = {
    ("_health.churn.example.", "TXT"): '"healthy"',
    ("churn.example.", "CNAME"): "gateway.example.",
    ("gateway.example.", "A"): "127.0.0.1",
}


def answer(query: dns.message.Message) -> dns.message.Message:
    """The records of the zone, or NXDOMAIN."""
    reply = dns.message.make_response(query)
    [question] = query.question
    value = RECORDS.get((question.name.to_text(), dns.rdatatype.to_text(question.rdtype)))
    if value is None:
        reply.set_rcode(dns.rcode.NXDOMAIN)
    else:
        reply.answer.append(dns.rrset.from_text(question.name, 1, "IN", question.rdtype, value))
    return reply


@pytest.fixture
def resolver():
    """A DNS server; yields ip:port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(0.1)
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                try:
                    data, client = listening.recvfrom(4096)
                except TimeoutError:
                    continue
                listening.sendto(answer(dns.message.from_wire(data)).to_wire(), client)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        stop.set()
        thread.join()


class Status(BaseHTTPRequestHandler):
    """Answers with the status that the path names; `/hang-up` closes the connection."""

    def do_GET(self):
        self.server.asked.append((self.headers["Host"], self.path))
        if self.path == "/hang-up":
            self.close_connection = True
            return
        if self.path in self.server.said:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.server.said[self.path])
            return
        self.send_response(int(self.path.rpartition("/")[2]))
        self.end_headers()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.headers["Host"], self.path, body, self.headers["x-mldr-warm"]))
        # Nobody is answered before all have asked.
        self.server.together.wait(5)
        self.send_response(200 if self.headers["Authorization"] == "Bearer right-token" else 401)
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def server():
    running = ThreadingHTTPServer(("127.0.0.1", 0), Status)
    running.asked, running.said, running.together = [], {}, threading.Barrier(1)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


@pytest.fixture
def outside(resolver, server):
    return PublicNetwork(resolver=resolver, transport=f"http:{server.server_port}")


def test_a_canary_is_read(outside):
    assert outside.text("_health.churn.example") == "healthy"


def test_a_name_is_followed_to_its_target(outside):
    assert outside.target("churn.example") == "gateway.example"


def test_a_name_that_does_not_resolve_is_none(outside):
    assert (outside.text("nothing.example"), outside.target("nothing.example")) == (None, None)


@pytest.mark.parametrize(
    ("status", "sight"),
    [
        (200, Sight.HEALTHY),
        (301, Sight.HEALTHY),
        (401, Sight.UNKNOWN),
        (404, Sight.UNKNOWN),
        (424, Sight.UNKNOWN),
        (500, Sight.UNHEALTHY),
        (503, Sight.UNHEALTHY),
    ],
)
def test_a_gateways_status_is_judged(outside, server, status, sight):
    seen = outside.probe("gateway.example", f"/models/churn/{status}")
    assert (seen.vantage, seen.sight) == ("standby", sight)
    assert str(status) in seen.detail
    assert server.asked == [("gateway.example", f"/models/churn/{status}")]


SAID = Announcement(
    model="sagemaker/churn", region="ap-southeast-3", epoch=1, holder="ap-southeast-3", home="ap-southeast-1",
    kind=Kind.FAILOVER, since=None, route=None,
)  # fmt: skip
MODEL = ModelKey(registry="sagemaker", name="churn")


def test_a_gateways_announcement_is_heard(outside, server):
    server.said["/models/churn/epoch"] = SAID.model_dump_json().encode()
    assert outside.announcement("gateway.example", MODEL) == SAID


@pytest.mark.parametrize("said", [b"", b"<html>", b"[]", b'{"epoch": "many"}'])
def test_what_is_no_announcement_is_silence(outside, server, said):
    server.said["/models/churn/epoch"] = said
    assert outside.announcement("gateway.example", MODEL) is None


def test_a_gateway_that_does_not_answer_or_resolve_is_silent(outside, resolver):
    assert outside.announcement("nothing.example", MODEL) is None
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        free = held.getsockname()[1]
    assert PublicNetwork(resolver=resolver, transport=f"http:{free}").announcement("gateway.example", MODEL) is None


def test_a_gateway_that_is_slow_is_silent_after_a_second(resolver):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        outside = PublicNetwork(resolver=resolver, transport=f"http:{mute.getsockname()[1]}")
        began = time.monotonic()
        assert outside.announcement("gateway.example", MODEL) is None
        assert time.monotonic() - began < 3


def test_a_gateway_is_warmed_by_requests_that_come_together(outside, server):
    server.together = threading.Barrier(3)
    took = outside.warm("gateway.example", MODEL, b"[1]", "application/json", "right-token", requests=3)
    assert len(took) == 3
    assert all(one > 0 for one in took)
    assert server.asked == [("gateway.example", "/models/churn/invocations", b"[1]", "1")] * 3


def test_a_gateway_that_refuses_or_cannot_be_found_is_not_warm(outside, server):
    assert outside.warm("gateway.example", MODEL, b"[1]", "application/json", "wrong", requests=1) == []
    assert outside.warm("nothing.example", MODEL, b"[1]", "application/json", "right-token", requests=2) == []


@pytest.fixture
def asked(monkeypatch):
    """A resolver that knows a zone's servers and says that there is no canary, and those servers, which have it."""
    said = {
        ("models.example", "NS"): ("10 models.example. IN NS ns-1.example.", "10 models.example. IN NS ns-2.example."),
        ("ns-1.example.", "A"): ("10 ns-1.example. IN A 192.0.2.1",),
        ("ns-2.example.", "A"): ("10 ns-2.example. IN A 192.0.2.2",),
        ("_switch.churn.models.example", "TXT"): ('10 _switch.churn.models.example. IN TXT "off"',),
    }
    seen = []

    def resolve(resolver, name, kind):
        servers = tuple(str(one) for one in resolver.nameservers)
        seen.append((str(name), kind, servers))
        if kind == "TXT" and servers != ("192.0.2.1", "192.0.2.2"):
            raise dns.resolver.NXDOMAIN
        rows = [row.split(maxsplit=4) for row in said[str(name), kind]]
        return dns.rrset.from_text_list(rows[0][1], 10, "IN", kind, [row[4] for row in rows])

    monkeypatch.setattr(dns.resolver.Resolver, "resolve", resolve)
    return seen


def test_a_canary_of_the_stacks_zone_is_read_from_the_zones_own_servers(asked):
    """A resolver that was asked for it too early says for 15 minutes that there is none."""
    outside = PublicNetwork(resolver="", transport="https:443", zone="models.example")
    assert [outside.text("_switch.churn.models.example") for _ in range(2)] == ["off", "off"]
    assert [kind for _, kind, _ in asked] == ["NS", "A", "A", "TXT", "TXT"]
    assert PublicNetwork(resolver="", transport="https:443").text("_switch.churn.models.example") is None


def test_a_zone_whose_servers_are_not_found_is_asked_for_again(asked, monkeypatch):
    outside = PublicNetwork(resolver="", transport="https:443", zone="models.example")
    found = dns.resolver.Resolver.resolve
    with monkeypatch.context() as silent:
        silent.setattr(dns.resolver.Resolver, "resolve", lambda *_: (_ for _ in ()).throw(dns.resolver.NoNameservers))
        assert outside.text("_switch.churn.models.example") is None
    assert dns.resolver.Resolver.resolve is found
    assert outside.text("_switch.churn.models.example") == "off"


def test_a_gateway_that_hangs_up_is_down(outside):
    assert outside.probe("gateway.example", "/hang-up").sight is Sight.UNHEALTHY


def test_a_gateway_that_refuses_connections_is_down(resolver):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        free = held.getsockname()[1]
    outside = PublicNetwork(resolver=resolver, transport=f"http:{free}")
    seen = outside.probe("gateway.example", "/200")
    assert seen.sight is Sight.UNHEALTHY
    assert "Connection" in seen.detail


def test_a_gateway_whose_name_does_not_resolve_is_unknown(outside):
    assert outside.probe("nothing.example", "/200").sight is Sight.UNKNOWN


def test_over_https_too_a_name_that_does_not_resolve_is_unknown():
    """There the system's resolver fails, with an error of its own."""
    seen = PublicNetwork(resolver="", transport="https:443").probe("nothing.invalid", "/200")
    assert seen.sight is Sight.UNKNOWN
    assert "does not resolve" in seen.detail


def test_https_that_does_not_speak_tls_is_down(server):
    outside = PublicNetwork(resolver="", transport=f"https:{server.server_port}")
    assert outside.probe("localhost", "/200").sight is Sight.UNHEALTHY


def test_a_resolver_that_is_gone_makes_nothing_look_down(server):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        resolver = f"127.0.0.1:{silent.getsockname()[1]}"
        outside = PublicNetwork(resolver=resolver, transport=f"http:{server.server_port}")
        outside._resolver.lifetime = 0.2
        assert outside.text("_health.churn.example") is None
        assert outside.probe("gateway.example", "/200").sight is Sight.UNKNOWN


# a witness


class Witness(BaseHTTPRequestHandler):
    """Answers as `bear_witness` does, or as the test wants."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers["Authorization"]))
        status, body = self.server.says
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def witness(server):
    server.RequestHandlerClass = Witness
    seen = Observation(vantage="witness", sight=Sight.UNHEALTHY, detail="as seen from there")
    server.says = (200, seen.model_dump_json().encode())
    return server


def test_a_witness_is_shown_the_token_and_believed(outside, witness):
    seen = outside.ask_witness("gateway.example", "active.example", CHURN, "secret")
    assert (seen.vantage, seen.sight, seen.detail) == ("witness", Sight.UNHEALTHY, "as seen from there")
    assert witness.asked == [("/witness/churn?host=active.example", "Bearer secret")]


@pytest.mark.parametrize("says", [(401, b"{}"), (503, b""), (404, b""), (200, b"what?"), (200, b'{"sight": "fine"}')])
def test_a_witness_that_does_not_testify_is_unknown(outside, witness, says):
    witness.says = says
    assert outside.ask_witness("gateway.example", "active.example", CHURN, "secret").sight is Sight.UNKNOWN


def test_a_witness_that_is_gone_is_unknown_and_never_down(outside):
    assert outside.ask_witness("nothing.example", "active.example", CHURN, "secret").sight is Sight.UNKNOWN
