"""KServe's real model server, started from what was restored: it answers the golden requests before traffic moves.

`make test-kserve` installs the server and runs this; elsewhere it is skipped by name.
"""

import http.client
import json
import os
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.functional.kserve_story import ASKED, ENDPOINT, Two
from tests.functional.story import CHURN, clients_follow, fail_over

PYTHON = os.environ.get("MLDR_KSERVE_PYTHON", "")
pytestmark = [
    pytest.mark.skipif(not PYTHON, reason="KServe's model server is not installed: make test-kserve"),
    pytest.mark.timeout(300),
]
STARTS_WITHIN = 90  # seconds


class ModelServers:
    """Real servers, one process for each revision; each loads its model from a folder of its own."""

    def __init__(self, stack, folder):
        self._stack, self._folder, self.ports = stack, folder, []

    def start(self, name, factor):
        """Serve a model, once what its storageUri names is in a folder; returns how it is asked."""
        storage = self._folder / f"model-{len(self.ports)}"
        storage.mkdir()
        (storage / "factor.txt").write_text(str(factor))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        script = Path(__file__).parent / "model_server.py"
        command = [PYTHON, script, "--model_name", name, "--storage", storage, "--http_port", str(port)]
        log = self._stack.enter_context((self._folder / f"server-{port}.log").open("wb"))
        process = subprocess.Popen([str(one) for one in command], stdout=log, stderr=log)
        self._stack.callback(process.wait, 10)
        self._stack.callback(process.terminate)
        self.ports.append(port)
        self._wait(process, port, Path(log.name))
        return lambda path, body: ask(port, "POST", path, body)

    def _wait(self, process, port, log):
        until = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < until and process.poll() is None:
            try:
                if ask(port, "GET", "/v2/health/ready")[0] == 200:
                    return
            except OSError:
                time.sleep(0.2)
        pytest.fail(f"the model server did not come up: {log.read_text()[-2000:]}")


def ask(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.fixture
def two(world, tmp_path):
    with ExitStack() as stack:
        servers = ModelServers(stack, tmp_path)
        made = Two(world, stack, servers.start)
        made.servers = servers
        clients_follow(world)
        yield made


def test_a_real_model_server_reproduces_the_golden_answers_from_what_was_restored(two, world, context):
    two.promote(context, 1, 1.0)
    two.roll_out(1)
    two.promote(context, 2, 1.001)
    two.roll_out(2, canaryTrafficPercent=10)
    assert two.capture(context)
    ended = fail_over(world, context)
    assert ended.status == "SUCCEEDED", ended.data
    assert world.catalog.takeover(CHURN).endpoint == ENDPOINT
    [said] = [one for one in world.evidence.records if one.outcome == "completed"]
    assert said.epoch == 1
    values = set()
    for _ in range(20):
        answer, kind = world.serving.invoke(ENDPOINT, json.dumps(ASKED).encode(), "application/json")
        assert kind == "application/json"
        values.add(round(json.loads(answer)["outputs"][0]["data"][0], 3))
    assert values == {100.0, 100.1}
    assert len(two.servers.ports) == 2, "a server for each of the two revisions"


def test_a_real_model_server_with_another_model_switches_nothing(two, world, context):
    two.promote(context, 1, 3.0)
    two.roll_out(1)
    assert two.capture(context)
    ended = fail_over(world, context)
    assert (ended.status, ended.data["error"]["Error"]) == ("FAILED", "WrongAnswers")
    assert world.catalog.takeover(CHURN) is None
