"""The pieces of the demo, each without the others: the model, the client, its process, the screen, the command."""

import http.server
import importlib.util
import io
import json
import socketserver
import threading
import time
from contextlib import contextmanager

import dns.message
import dns.rrset
import pytest
from rich.console import Console

from cli.demo import client as client_module
from cli.demo import publish
from cli.demo import run as run_module
from cli.demo.client import Client
from cli.demo.scene import BUCKET, CLIENTS, MODELS
from cli.demo.screen import Screen
from cli.demo.traffic import Traffic, good_in_a_row
from cli.demo.train import train
from cli.outcomes import Ended, Exit
from mldr.domain.model_rules import Tier
from tests.functional.cli_stage import run

GOLDEN = [
    {"request": {"pixels": [1.0]}, "answer": {"digit": 7}},
    {"request": {"pixels": [2.0]}, "answer": {"digit": 2}},
]


@pytest.fixture(scope="module")
def trained():
    return train()


@pytest.fixture
def script(trained, tmp_path):
    """The script among the model's files, as the container loads it."""
    for name, content in trained.files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    spec = importlib.util.spec_from_file_location("served", tmp_path / "code" / "inference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_classifier_is_a_real_one(trained):
    assert trained.accuracy > 0.95
    assert trained.images == 1797
    assert len(trained.files) == 3
    assert trained.files == train().files


def test_the_artifact_answers_as_the_container_contract_wants(trained, script, tmp_path):
    model = script.model_fn(str(tmp_path))
    body = json.dumps({"pixels": trained.samples[0]})
    text, kind = script.output_fn(script.predict_fn(script.input_fn(body, "application/json"), model), "*/*")
    answer = json.loads(text)
    assert kind == "application/json"
    assert 0 <= answer["digit"] <= 9
    assert sum(answer["chances"]) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="text/csv"):
        script.input_fn(body, "text/csv")


@contextmanager
def gateway(respond):
    """A gateway that answers with (status, body) and keeps what it was asked."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, dict(self.headers), body))
            status, answer = respond(body)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("x-mldr-region", "ap-southeast-1")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server.server_address[1], asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def named(monkeypatch):
    """The model's name leads to this machine."""
    monkeypatch.setattr(client_module, "Resolver", Here)


class Here:
    """A resolver for which every name is this machine; it keeps who was asked."""

    asked: list[object] = []

    def __init__(self, dns: str) -> None:
        pass

    def resolve(self, name: str) -> tuple[str, float]:
        self.asked.append(self)
        return "127.0.0.1", 5.0


def asked_of(*names: str, golden=GOLDEN) -> list[dict]:
    """Models as the client is told of them."""
    return [{"name": name, "host": f"{name}.models.mldr.test", "golden": golden} for name in names]


def ask(port: int, number: int = 0, names=("digits-classifier",)) -> dict:
    """Send one request; returns its record."""
    paper = io.StringIO()
    Client({"dns": "127.0.0.1:1", "port": port, "token": "secret", "models": asked_of(*names)}, paper).ask(number)
    return json.loads(paper.getvalue())


@pytest.mark.usefixtures("named")
class TestClient:
    def test_a_right_answer_is_recorded_with_its_region(self):
        with gateway(lambda _: (200, {"digit": 7})) as (port, asked):
            found = ask(port)
        assert (found["ok"], found["equal"], found["region"]) == (True, True, "ap-southeast-1")
        assert found["model"] == "digits-classifier"
        path, headers, body = asked[0]
        assert path == "/models/digits-classifier/invocations"
        assert headers["Host"] == "digits-classifier.models.mldr.test"
        assert headers["Authorization"] == "Bearer secret"
        assert body == {"pixels": [1.0]}

    def test_a_wrong_answer_is_not_equal(self):
        with gateway(lambda _: (200, {"digit": 7})) as (port, _):
            assert ask(port, 1)["equal"] is False

    def test_models_take_turns_and_each_is_asked_all_of_its_questions(self):
        names = ("one", "other")
        with gateway(lambda _: (200, {"digit": 7})) as (port, asked):
            records = [ask(port, number, names) for number in range(4)]
        assert [one["model"] for one in records] == ["one", "other", "one", "other"]
        assert [path for path, _, _ in asked] == [f"/models/{name}/invocations" for name in (*names, *names)]
        assert [body for _, _, body in asked] == [
            one["request"] for one in (GOLDEN[0], GOLDEN[0], GOLDEN[1], GOLDEN[1])
        ]

    def test_clients_take_turns_and_each_remembers_dns_for_itself(self):
        with gateway(lambda _: (200, {"digit": 7})) as (port, _):
            spec = {"dns": "127.0.0.1:1", "port": port, "token": "secret", "models": asked_of("one", "other")}
            client = Client(spec, io.StringIO())
            Here.asked.clear()
            for number in range(4 * CLIENTS):
                client.ask(number)
        first = [id(one) for one in Here.asked[: 2 * CLIENTS]]
        assert len(set(first)) == CLIENTS
        assert first[::2] == first[1::2], "a client asks every model"
        assert [id(one) for one in Here.asked[2 * CLIENTS :]] == first

    def test_an_error_is_a_failed_request(self):
        with gateway(lambda _: (503, {})) as (port, _):
            found = ask(port)
        assert (found["ok"], found["error"]) == (False, "HTTP 503")

    def test_a_refused_connection_is_a_failed_request(self):
        with gateway(lambda _: (200, {})) as (port, _):
            pass
        assert (ask(port)["ok"], ask(port)["error"]) == (False, "ConnectionRefusedError")

    def test_a_client_does_not_wait_for_ever(self, monkeypatch):
        monkeypatch.setattr(client_module, "TIMEOUT", 0.2)
        over = threading.Event()
        with gateway(lambda _: (over.wait(5), (200, {}))[1]) as (port, _):
            found = ask(port)
            over.set()
        assert (found["ok"], found["error"]) == (False, "TimeoutError")
        assert found["seconds"] < 2


@contextmanager
def name_server():
    """A name server that says that every name is this machine."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            wire, sock = self.request
            query = dns.message.from_wire(wire)
            answer = dns.message.make_response(query)
            answer.answer = [dns.rrset.from_text(query.question[0].name, 5, "IN", "A", "127.0.0.1")]
            sock.sendto(answer.to_wire(), self.client_address)

    with socketserver.UDPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_the_client_is_a_process_of_its_own_that_asks_steadily_and_ends_when_told(tmp_path):
    with name_server() as address, gateway(lambda body: (200, {"digit": 7})) as (port, _):
        spec = {"dns": address, "port": port, "token": "secret",
                "models": asked_of("digits-classifier", golden=GOLDEN[:1])}  # fmt: skip
        traffic = Traffic(spec, tmp_path / "requests.jsonl")
        deadline = time.monotonic() + 30
        while good_in_a_row(traffic.requests(), "ap-southeast-1") < 12 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert traffic.alive
        traffic.stop()
    assert not traffic.alive
    requests = traffic.requests()
    assert good_in_a_row(requests, "ap-southeast-1") >= 12
    rate = (len(requests) - 1) / (requests[-1].at - requests[0].at)
    assert rate > 5


def test_the_policy_of_the_demo_gives_its_models_different_tiers_and_golden_inferences_in_its_bucket():
    owed = [publish.owed(model) for model in MODELS]
    assert [rules.tier for rules in owed] == [Tier.COLD_STANDBY, Tier.WARM_STANDBY, Tier.ACTIVE_ACTIVE]
    assert [rules.golden.uri for rules in owed] == [f"s3://{BUCKET}/{model.name}/golden.jsonl" for model in MODELS]


def test_without_a_terminal_every_word_is_a_line_of_its_own():
    paper = io.StringIO()
    with Screen(Console(file=paper)) as screen, screen.act("a region fails") as say:
        say("its APIs refuse")
        say("its APIs refuse")
    lines = [line.split(" s  ", 1)[1].strip() for line in paper.getvalue().splitlines()]
    assert lines == ["• a region fails", "its APIs refuse"]


def test_a_demo_that_breaks_names_the_act_and_the_logs(monkeypatch, tmp_path):
    def broken(self, say):
        say("deploying")
        raise Ended(Exit.DOES_NOT_HOLD, "the local cloud did not start: no")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_module.DemoCloud, "launch", lambda self: None)
    monkeypatch.setattr(run_module.DemoCloud, "ready", broken)
    ended = run("demo")
    assert ended.exit_code == 1
    assert "two AWS regions, from template.yaml: the local cloud did not start: no" in ended.stderr
    assert "local-cloud.log" in ended.stderr
    assert not (tmp_path / ".mldr/demo/report.json").exists()
