"""Functions run in processes of their own, with the limits, errors and credentials that Lambda gives them."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.lambda_runtime import RegionDown
from localcloud.principals import principal
from tests.functional.localcloud.small_cloud import HERE, THERE, SmallCloud, archive, small_cloud, wait_until

REPOSITORY = Path(__file__).parents[3]
PROBE = """
    import os, time

    calls = 0

    class NoSuchModel(Exception):
        pass

    def handler(event, context):
        global calls
        calls += 1
        print(f"asked for {event}")
        if event.get("raise"):
            raise NoSuchModel("model-7")
        if event.get("exit"):
            os._exit(3)
        time.sleep(event.get("sleep", 0))
        return {
            "calls": calls, "pid": os.getpid(), "request": context.aws_request_id,
            "left": context.get_remaining_time_in_millis(), "env": dict(os.environ),
            "arn": context.invoked_function_arn,
        }
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallCloud]:
    with small_cloud(tmp_path_factory.mktemp("state")) as started:
        yield started


def call(cloud: SmallCloud, name: str, event: dict[str, Any], region: str = HERE) -> tuple[Any, bool]:
    outcome = cloud.runtime.invoke(region, name, json.dumps(event).encode())
    return json.loads(outcome.payload), outcome.error


def gone(pid: int) -> bool:
    """Whether the process has ended; one that nobody waited for yet counts."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except (ProcessLookupError, FileNotFoundError):  # it ended between the two looks
        return True


@pytest.mark.parametrize("bootstrap", ["awslambdaric", "own"])
def test_a_function_answers_and_its_process_is_used_again(
    cloud: SmallCloud, bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLDR_BOOTSTRAP", bootstrap)
    name = f"warm-{bootstrap}"
    arn = cloud.function(name, PROBE, environment={"COLOUR": "blue", "DNS_RESOLVER": "1.1.1.1:53"})
    first, failed = call(cloud, name, {})
    second, _ = call(cloud, name, {})
    assert not failed
    assert first["pid"] == second["pid"]
    assert (first["calls"], second["calls"]) == (1, 2)
    assert first["request"] != second["request"]
    assert 9000 < first["left"] <= 10000
    assert first["arn"] == arn
    environment = first["env"]
    assert environment["COLOUR"] == "blue"
    assert environment["AWS_ENDPOINT_URL"] == cloud.server.url
    assert environment["DNS_RESOLVER"] == "127.0.0.1:53"
    holder = principal(environment["AWS_ACCESS_KEY_ID"])
    assert holder is not None
    assert (holder.kind, holder.region, holder.name) == ("function", HERE, name)


@pytest.mark.parametrize("bootstrap", ["awslambdaric", "own"])
def test_errors_carry_the_name_of_their_class(
    cloud: SmallCloud, bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLDR_BOOTSTRAP", bootstrap)
    cloud.function(f"raises-{bootstrap}", PROBE)
    cloud.function(f"unimportable-{bootstrap}", "import no_such_module")
    raised, failed = call(cloud, f"raises-{bootstrap}", {"raise": True})
    assert failed
    assert (raised["errorType"], raised["errorMessage"]) == ("NoSuchModel", "model-7")
    survivor, failed = call(cloud, f"raises-{bootstrap}", {})
    assert not failed
    assert survivor["calls"] == 2
    unimportable, failed = call(cloud, f"unimportable-{bootstrap}", {})
    assert failed
    assert unimportable["errorType"] == "Runtime.ImportModuleError"
    assert "no_such_module" in unimportable["errorMessage"]


def test_a_function_that_runs_too_long_is_killed_and_the_next_event_gets_a_new_process(cloud: SmallCloud) -> None:
    cloud.function("slow", PROBE, Timeout=1)
    before, _ = call(cloud, "slow", {})
    late, failed = call(cloud, "slow", {"sleep": 30})
    assert failed
    assert late["errorType"] == "Sandbox.Timedout"
    assert "Task timed out after 1.00 seconds" in late["errorMessage"]
    wait_until(lambda: gone(before["pid"]))
    after, failed = call(cloud, "slow", {})
    assert not failed
    assert after["pid"] != before["pid"]
    log = (cloud.state / "logs" / HERE / "slow.log").read_text()
    assert json.loads(next(line for line in log.splitlines() if "timed out" in line))["function"] == "slow"


def test_a_function_whose_process_ends_reports_it(cloud: SmallCloud) -> None:
    cloud.function("exits", PROBE)
    ended, failed = call(cloud, "exits", {"exit": True})
    assert failed
    assert ended["errorType"] == "Runtime.ExitError"
    assert "exit status 3" in ended["errorMessage"]


def test_an_answer_comes_with_all_that_was_written_before_it(cloud: SmallCloud) -> None:
    """Metrics are lines of the log; the answer takes another way, and must not overtake them."""
    cloud.function("talks", "def handler(event, context):\n    for line in range(200):\n        print(event, line)\n")
    for number in range(60):
        outcome = cloud.runtime.invoke(HERE, "talks", str(number).encode())
        assert outcome.log.splitlines() == [f"{number} {line}" for line in range(200)]


def test_the_invoke_api_answers_like_lambda(cloud: SmallCloud) -> None:
    cloud.function("by-api", PROBE)
    client = cloud.client("lambda")
    good = client.invoke(FunctionName="by-api", Payload=b'{"a": 1}', LogType="Tail")
    assert "FunctionError" not in good
    assert json.load(good["Payload"])["calls"] == 1
    bad = client.invoke(FunctionName="by-api", Payload=b'{"raise": true}')
    assert bad["FunctionError"] == "Unhandled"
    assert json.load(bad["Payload"])["errorType"] == "NoSuchModel"
    assert client.invoke(FunctionName="by-api", InvocationType="DryRun")["StatusCode"] == 204
    assert client.invoke(FunctionName="by-api", InvocationType="Event", Payload=b'{"b": 2}')["StatusCode"] == 202
    log = cloud.state / "logs" / HERE / "by-api.log"
    wait_until(lambda: "asked for {'b': 2}" in log.read_text())


def test_a_layer_is_importable_and_the_function_wins_over_it(cloud: SmallCloud) -> None:
    layer = cloud.client("lambda").publish_layer_version(
        LayerName="core", Content={"ZipFile": archive({"python/core.py": "VALUE = 'layer'", "python/app.py": "1/0"})}
    )["LayerVersionArn"]
    cloud.function("layered", "import core\ndef handler(event, context): return core.VALUE", Layers=[layer])
    assert call(cloud, "layered", {}) == ("layer", False)


def test_new_code_and_new_settings_reach_the_next_event(cloud: SmallCloud) -> None:
    cloud.function("changing", "def handler(event, context): return 'old'")
    assert call(cloud, "changing", {})[0] == "old"
    cloud.client("lambda").update_function_code(
        FunctionName="changing", ZipFile=archive({"app.py": "import os\ndef handler(*_): return os.getenv('A', 'new')"})
    )
    assert call(cloud, "changing", {})[0] == "new"
    cloud.client("lambda").update_function_configuration(
        FunctionName="changing", Environment={"Variables": {"A": "newest"}}
    )
    assert call(cloud, "changing", {})[0] == "newest"


def test_reserved_concurrency_throttles(cloud: SmallCloud) -> None:
    cloud.function("single", PROBE, reserved=1)
    background = threading.Thread(target=call, args=(cloud, "single", {"sleep": 1}))
    background.start()
    time.sleep(0.3)
    with pytest.raises(ClientError) as refused:
        cloud.client("lambda").invoke(FunctionName="single")
    assert refused.value.response["Error"]["Code"] == "TooManyRequestsException"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    background.join()
    assert not call(cloud, "single", {})[1]


def test_more_events_than_slots_wait_their_turn(cloud: SmallCloud) -> None:
    cloud.function("busy", PROBE)
    seen: list[int] = []
    threads = [
        threading.Thread(target=lambda: seen.append(call(cloud, "busy", {"sleep": 0.05})[0]["pid"])) for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 12
    assert len(set(seen)) <= 4


def test_a_process_that_is_there_does_not_wait_for_the_start_of_another(
    cloud: SmallCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All functions together are bounded in what they start: who asks a warm one is not to queue behind that."""
    cloud.function("ready", PROBE)
    first, _ = call(cloud, "ready", {})
    monkeypatch.setattr("localcloud.lambda_runtime.TOTAL", 0)
    monkeypatch.setattr("localcloud.lambda_runtime.SLOT_SECONDS", 1.0)
    assert call(cloud, "ready", {})[0]["pid"] == first["pid"]


def test_a_failed_region_kills_its_workers_and_only_those(cloud: SmallCloud) -> None:
    for region in (HERE, THERE):
        cloud.function("regional", PROBE, region=region)
    here, _ = call(cloud, "regional", {}, HERE)
    there, _ = call(cloud, "regional", {}, THERE)
    interrupted: list[Exception] = []

    def run_long() -> None:
        try:
            call(cloud, "regional", {"sleep": 9}, HERE)
        except RegionDown as error:
            interrupted.append(error)

    running = threading.Thread(target=run_long)
    running.start()
    time.sleep(0.3)
    cloud.outage.fail(HERE)
    try:
        running.join(2)
        assert interrupted
        wait_until(lambda: gone(here["pid"]), 1)
        with pytest.raises(RegionDown):
            call(cloud, "regional", {}, HERE)
        assert call(cloud, "regional", {}, THERE)[0]["pid"] == there["pid"]
    finally:
        cloud.outage.heal(HERE)
    assert call(cloud, "regional", {}, HERE)[0]["calls"] == 1


def test_idle_workers_are_stopped(cloud: SmallCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.function("idle", PROBE)
    pid = call(cloud, "idle", {})[0]["pid"]
    monkeypatch.setattr(cloud.runtime, "_idle_seconds", 0.1)
    wait_until(lambda: gone(pid), 3)


ORPHAN = """
import sys, time
from pathlib import Path
from localcloud.lambda_worker import Deployed, Worker

root = Path(sys.argv[1])
(root / "app.py").write_text("import os, time\\ndef handler(e, c):\\n    time.sleep(e)\\n    return os.getpid()")
deployed = Deployed("r", "f", "arn", "app.handler", "1", 60, 128, None, root, (root,), {}, "x")
worker = Worker(deployed, root / "f.log")
print(worker.run(b"0").payload.decode(), flush=True)
worker.run(b"60")
"""


def test_a_busy_worker_dies_with_its_parent_even_when_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHAN, str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    time.sleep(0.2)
    assert not gone(pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until(lambda: gone(pid), 3)


LAYERED = """
    import os, sys, time

    AT_IMPORT = os.environ["COLOUR"]
    import mldr

    def handler(event, context):
        if event.get("exit"):
            os._exit(3)
        if event.get("raise"):
            raise ValueError("model-7")
        return {
            "pid": os.getpid(), "parent": os.getppid(), "colour": AT_IMPORT, "mldr": mldr.__file__,
            "said": getattr(mldr, "SAID", None), "env": dict(os.environ), "zone": time.tzname[0],
            "stamp": os.environ["AWS_LAMBDA_LOG_STREAM_NAME"], "seed": sys.flags.hash_randomization,
        }
"""


@pytest.fixture(scope="module")
def layer(cloud: SmallCloud) -> str:
    files = {"python/mldr/__init__.py": "SAID = 'the layer'", "python/mldr/wiring.py": "import json, argparse"}
    published = cloud.client("lambda").publish_layer_version(LayerName="mldr", Content={"ZipFile": archive(files)})
    return str(published["LayerVersionArn"])


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")


def layered(cloud: SmallCloud, layer: str, name: str, code: str = LAYERED, **environment: str) -> dict[str, Any]:
    cloud.function(name, code, Layers=[layer], environment={"COLOUR": name, **environment})
    told, failed = call(cloud, name, {})
    assert not failed, told
    return dict(told)


@on_linux
def test_functions_with_one_layer_are_forked_from_one_process_and_have_nothing_else_in_common(
    cloud: SmallCloud, layer: str
) -> None:
    one, other = layered(cloud, layer, "blue", ONLY_ONE="1"), layered(cloud, layer, "red")
    assert one["parent"] == other["parent"] != os.getpid()
    assert one["pid"] != other["pid"]
    assert (one["colour"], other["colour"]) == ("blue", "red")
    assert (one["env"]["AWS_LAMBDA_FUNCTION_NAME"], other["env"]["AWS_LAMBDA_FUNCTION_NAME"]) == ("blue", "red")
    assert "ONLY_ONE" not in other["env"]
    assert one["stamp"] != other["stamp"]
    assert (one["said"], one["zone"]) == ("the layer", "UTC")
    assert one["mldr"] == other["mldr"]
    assert str(cloud.state) in one["mldr"]


@on_linux
def test_a_forked_process_has_the_environment_of_one_of_its_own(cloud: SmallCloud, layer: str) -> None:
    forked = layered(cloud, layer, "forked")
    own = layered(cloud, layer, "owned", PYTHONHASHSEED="random")
    assert own["env"]["PYTHONHASHSEED"] == "random"
    assert forked["env"].keys() == own["env"].keys() - {"PYTHONHASHSEED"}


@on_linux
def test_what_ends_a_forked_process_is_told_and_the_next_event_gets_another(cloud: SmallCloud, layer: str) -> None:
    before = layered(cloud, layer, "ends")
    raised, failed = call(cloud, "ends", {"raise": True})
    assert (raised["errorType"], failed) == ("ValueError", True)
    ended, failed = call(cloud, "ends", {"exit": True})
    assert failed
    assert "exit status 3" in ended["errorMessage"]
    after, failed = call(cloud, "ends", {})
    assert not failed
    assert after["pid"] != before["pid"]


IN_MEMORY = """
    import sys
    def handler(event, context):
        import argparse, mldr
        return {"said": argparse.SAID, "memory": "mldr.wiring" in sys.modules}
"""


@on_linux
def test_a_module_of_the_functions_own_wins_over_one_that_is_in_memory(cloud: SmallCloud, layer: str) -> None:
    files = {"app.py": IN_MEMORY, "argparse.py": "SAID = 'the function'"}
    layered(cloud, layer, "shadowing")
    cloud.client("lambda").update_function_code(FunctionName="shadowing", ZipFile=archive(files))
    assert call(cloud, "shadowing", {}) == ({"said": "the function", "memory": False}, False)


@on_linux
def test_what_the_layer_reads_of_the_environment_while_it_is_loaded_is_the_functions_own(cloud: SmallCloud) -> None:
    files = {"python/mldr/__init__.py": "", "python/mldr/wiring.py": "import os\nSEEN = os.environ.get('COLOUR')"}
    reads = cloud.client("lambda").publish_layer_version(LayerName="reads", Content={"ZipFile": archive(files)})
    code = "import mldr.wiring\ndef handler(event, context): return {'seen': mldr.wiring.SEEN}"
    assert layered(cloud, reads["LayerVersionArn"], "green", code) == {"seen": "green"}


@on_linux
def test_functions_start_although_what_they_were_forked_from_was_killed(cloud: SmallCloud, layer: str) -> None:
    first = layered(cloud, layer, "orphaned")
    os.kill(first["parent"], signal.SIGKILL)
    wait_until(lambda: gone(first["parent"]) and gone(first["pid"]))
    second = layered(cloud, layer, "after-it")
    third = layered(cloud, layer, "and-another")
    assert first["parent"] not in (second["parent"], third["parent"])
    assert third["parent"] != os.getpid(), "a new one to fork from was started"
