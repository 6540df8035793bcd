"""Requests that wait in S3 for an asynchronous endpoint, and what its container says of them, which is put into S3.

Both by the endpoint's own role, as SageMaker does it; of a container that fails, what it said goes to its failure path.
"""

import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from localcloud.edge.container_process import Unreachable
from localcloud.edge.endpoints import Endpoints, NoEndpoint, NotReady


@dataclass(frozen=True)
class Request:
    """What was taken: S3 URIs of the question, the answer, and of a failure if that is to be told."""

    question: str
    kind: str
    accept: str
    output: str
    failure: str

    @classmethod
    def of(cls, headers: Mapping[str, str], config: Mapping[str, Any]) -> "Request":
        """Read InvokeEndpointAsync's headers; the places are those of the endpoint's configuration."""
        places, name = config["OutputConfig"], uuid.uuid4()
        failed = places.get("S3FailurePath", "")
        return cls(
            question=headers["X-Amzn-SageMaker-InputLocation"],
            kind=headers.get("X-Amzn-SageMaker-Content-Type", "application/json"),
            accept=headers.get("X-Amzn-SageMaker-Accept", "*/*"),
            output=f"{places['S3OutputPath'].rstrip('/')}/{name}.out",
            failure=f"{failed.rstrip('/')}/{name}-error.out" if failed else "",
        )


class LateAnswers:
    """Gives each request to its endpoint, in a thread of its own."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    def take(self, region: str, name: str, request: Request) -> None:
        """Answer later."""
        threading.Thread(target=self._answer, args=(region, name, request), name=f"late-{name}", daemon=True).start()

    def _answer(self, region: str, name: str, request: Request) -> None:
        s3 = boto3.client("s3", **self._endpoints.settings(region, name))
        try:
            place, body = self._said(s3, region, name, request)
            if place:
                s3.put_object(**_object(place), Body=body)
        except (BotoCoreError, ClientError):
            return  # a region that has failed, or a role that may not write: there is no answer, as on AWS

    def _said(self, s3: Any, region: str, name: str, request: Request) -> tuple[str, bytes]:
        """Where what is said goes, and what it is."""
        try:
            question = s3.get_object(**_object(request.question))["Body"].read()
            answer = self._endpoints.invoke(region, name, question, request.kind, request.accept, None).answer
        except (ClientError, NoEndpoint, NotReady, Unreachable) as fault:
            return request.failure, str(fault).encode()
        return request.output if answer.status == 200 else request.failure, answer.body


def _object(uri: str) -> Any:
    return {"Bucket": urlsplit(uri).netloc, "Key": urlsplit(uri).path.lstrip("/")}
