"""`mldr local`: what it shows of a running local cloud, what it switches, and how it ends."""

import http.server
import json
import re
import threading

import pytest

from tests.functional.cli_stage import run

CALL = {
    "at": 1769860800.5, "region": "ap-southeast-3", "service": "s3", "operation": "PutObject",
    "principal": "function:ap-southeast-3:mldr-prod-copy-objects", "status": 503, "refused": "region failed",
    "control_plane": False,
}  # fmt: skip


class Cloud(http.server.BaseHTTPRequestHandler):
    """The doors of a local cloud with two regions."""

    failed: set[str] = set()
    asked: list[str] = []

    def do_GET(self):
        regions = {
            name: {"failed": name in self.failed, "stack": "mldr-prod"} for name in ("ap-southeast-1", "ap-southeast-3")
        }
        self.asked.append(self.path)
        answers = {
            "status": {"ready": True, "regions": regions, "failed": sorted(self.failed), "now": 0.0},
            "outputs": {"ap-southeast-3": {"BusName": "mldr"}},
            "calls": [CALL],
        }
        self._send(answers[re.split(r"[/?]", self.path)[2]])

    def do_POST(self):
        _, _, door, region = self.path.split("/")
        (self.failed.add if door == "fail" else self.failed.discard)(region)
        self._send({"region": region, "failed": region in self.failed})

    def _send(self, answer):
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def cloud(monkeypatch):
    Cloud.failed, Cloud.asked = set(), []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cloud)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("COLUMNS", "120")
    yield Cloud
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("cloud")
class TestRunning:
    def test_a_region_fails_and_heals(self):
        assert "ap-southeast-1 is down" in run("local", "fail", "ap-southeast-1").stdout
        assert run("local", "status").exit_code == 1
        healed = run("local", "heal", "ap-southeast-1", "--json")
        assert json.loads(healed.stdout) == {"region": "ap-southeast-1", "failed": False}
        assert run("local", "status").exit_code == 0

    def test_the_region_of_the_global_control_planes_can_fail_too(self):
        assert run("local", "fail", "us-east-1").exit_code == 0

    def test_a_region_that_is_not_there_is_bad_input(self):
        ended = run("local", "fail", "eu-west-1")
        assert ended.exit_code == 2
        assert "it has ap-southeast-1, ap-southeast-3, us-east-1" in ended.stderr

    def test_outputs_are_given_by_region(self):
        assert json.loads(run("local", "outputs", "--json").stdout) == {"ap-southeast-3": {"BusName": "mldr"}}
        assert "BusName mldr" in run("local", "outputs").stdout

    def test_calls_are_shown_whole(self):
        assert json.loads(run("local", "calls", "--json").stdout) == [CALL]
        shown = run("local", "calls", "--since", "30s").stdout
        assert "12:00:00.500" in shown
        assert "s3:PutObject" in shown
        assert "503 region failed" in shown

    def test_the_time_is_understood_in_every_spelling(self, cloud):
        for since in ("1769860800", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00"):
            run("local", "calls", "--since", since)
        assert {path.partition("since=")[2] for path in cloud.asked} == {"1769860800.0"}

    def test_a_time_that_is_none_is_bad_input(self):
        assert run("local", "calls", "--since", "yesterday").exit_code == 2


@pytest.mark.parametrize("command", ["status", "outputs", "calls", "fail ap-southeast-1"])
def test_without_a_local_cloud_the_exit_code_is_3_and_it_says_how_to_start_one(command, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    ended = run("local", *command.split())
    assert ended.exit_code == 3
    assert "mldr local up" in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--regions", "ap-southeast-1"],
        ["--regions", "ap-southeast-1,mars-1"],
        ["--set", "RecordTtl"],
        ["--policy", "nowhere.yaml"],
        ["--witness", "nowhere"],
        ["--witness", "ap-southeast-1"],
    ],
)
def test_a_local_cloud_that_cannot_be_is_refused_before_it_starts(arguments):
    assert run("local", "up", *arguments).exit_code == 2
