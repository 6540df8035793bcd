"""What deep health asks through: a model that does not answer is given up before a health checker gives up on us."""

import socket
import threading
import time

import boto3
import pytest

from mldr.aws.serving import SageMakerServing
from mldr.errors import RegionUnreachable
from mldr.sdk import PROMPT

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


def test_a_silent_endpoint_is_given_up_once_and_before_a_checker_would(silent):
    url, asked = silent
    runtime = boto3.client(
        "sagemaker-runtime", region_name="ap-southeast-3", endpoint_url=url, config=PROMPT,
        aws_access_key_id="testing", aws_secret_access_key="testing",
    )  # fmt: skip
    serving = SageMakerServing(lambda: None, lambda: runtime, lambda: None, lambda: None)
    began = time.monotonic()
    with pytest.raises(RegionUnreachable, match="invoke churn"):
        serving.invoke("churn", b"[1]", "application/json")
    assert time.monotonic() - began < CHECKERS_WAIT
    assert len(asked) == 1
