"""What models are asked through: each asker gives up a model that does not answer before it is given up itself."""

import io
import socket
import threading
import time
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError

from localcloud.deploy.translate import load
from mldr import settings, wiring
from mldr.aws.serving import SageMakerServing
from mldr.errors import RegionUnreachable
from mldr.kserve.serving import CONNECT
from mldr.sdk import FRONT, PROMPT, RUNTIME
from mldr.steps.prove_answers import RESERVE
from tests.unit.test_settings import ENVIRONMENT

ROOT = Path(__file__).parents[2]
INTEGRATION = 30  # seconds that API Gateway waits, apigateway/latest/developerguide/http-api-quotas
LEFT = 4  # seconds for who serves, the token, the policy and what is kept, and for the answer

CHECKERS_WAIT = 2.0  # seconds for a status, Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints


@pytest.fixture
def silent():
    """A runtime endpoint that takes requests and says nothing; yields how often it was asked."""
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        stop = threading.Event()

        def serve() -> None:
            held = []
            while not stop.is_set():
                try:
                    held.append(listening.accept()[0])
                    asked.append(1)
                except TimeoutError:
                    continue
            for one in held:
                one.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", asked
        stop.set()
        thread.join()


def asking(url, config):
    runtime = boto3.client(
        "sagemaker-runtime", region_name="ap-southeast-3", endpoint_url=url, config=config,
        aws_access_key_id="testing", aws_secret_access_key="testing",
    )  # fmt: skip
    return SageMakerServing(lambda: None, lambda: runtime, lambda: None, lambda: None)


@pytest.fixture
def world(monkeypatch):
    """The adapters of a function, as they are wired."""
    for name, value in {**ENVIRONMENT, "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}.items():
        monkeypatch.setenv(name, value)
    return wiring.World(settings.load())


def patience(serving):
    """How long a wired adapter waits for a connection and for an answer, and how often it asks."""
    given = serving._sagemaker._runtime().meta.config
    return given.connect_timeout, given.read_timeout, given.retries["total_max_attempts"]


def test_the_gateway_still_answers_its_client_where_a_model_does_not(world):
    """API Gateway waits 30 s, and the function ends before that."""
    limit = load(ROOT / "template.yaml")["Resources"]["PredictGatewayFunction"]["Properties"]["Timeout"]
    assert limit < INTEGRATION
    connect, read, attempts = patience(world.front_serving)
    assert attempts == 1
    assert connect + read <= limit - LEFT
    assert world.front_serving._kserve()._timeout + CONNECT <= limit - LEFT


def test_a_proof_waits_until_sagemaker_itself_says_that_a_model_did_not_answer(world):
    """Else a model that hangs would look like a region that is lost, and be asked again and again."""
    connect, read, attempts = patience(world.serving)
    assert (read, attempts) == (70, 1)
    assert connect + read < RESERVE / 1000


@pytest.mark.parametrize("config", [RUNTIME, FRONT])
def test_a_silent_model_is_asked_once(silent, config):
    url, asked = silent
    with pytest.raises(RegionUnreachable, match="invoke churn"):
        asking(url, config.merge(Config(read_timeout=0.3))).invoke("churn", b"[1]", "application/json")
    assert len(asked) == 1


def test_a_connection_that_was_closed_meanwhile_costs_no_client_its_answer():
    """An environment of Lambda keeps connections while it sleeps, and finds them closed."""

    class Runtime:
        asked = 0

        def invoke_endpoint(self, **_):
            self.asked += 1
            if self.asked == 1:
                raise ConnectionClosedError(endpoint_url="https://runtime")
            return {"Body": io.BytesIO(b"[1]"), "ContentType": "application/json"}

    runtime = Runtime()
    serving = SageMakerServing(lambda: None, lambda: runtime, lambda: None, lambda: None)
    assert serving.invoke("churn", b"[1]", "application/json")[0] == b"[1]"
    assert runtime.asked == 2


def test_a_silent_endpoint_is_given_up_once_and_before_a_checker_would(silent):
    url, asked = silent
    serving = asking(url, PROMPT)
    began = time.monotonic()
    with pytest.raises(RegionUnreachable, match="invoke churn"):
        serving.invoke("churn", b"[1]", "application/json")
    assert time.monotonic() - began < CHECKERS_WAIT
    assert len(asked) == 1
