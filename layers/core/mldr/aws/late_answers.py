"""Asynchronous SageMaker endpoints of this region: requests through the vault, answers where their owner has them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from mldr.domain.golden import MAX_BYTES
from mldr.domain.kserve_rules import SCHEME
from mldr.domain.late_answers import PARAMETER, Sent
from mldr.errors import EndpointFailed, NotAllowed, RequestRefused
from mldr.ports.stack import Clock
from mldr.sdk import code, translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

QUESTIONS = "in-progress/questions"  # of the vault: a lifecycle rule removes what is left there


class SageMakerLateAnswers:
    """Needs sagemaker:DescribeEndpoint and InvokeEndpointAsync; s3:PutObject on the vault's questions and
    kms:GenerateDataKey on its key; s3:GetObject where answers are written, and kms:Decrypt if that has a key.

    The endpoint's own role reads the question and writes the answer:
    docs.aws.amazon.com/sagemaker/latest/dg/async-inference-create-endpoint-prerequisites.html.
    """

    def __init__(
        self,
        sagemaker: Callable[[], SageMakerClient],
        runtime: Callable[[], SageMakerRuntimeClient],
        s3: Callable[[], S3Client],
        clock: Clock,
        *,
        bucket: str,
    ) -> None:
        self._sagemaker, self._runtime, self._s3 = sagemaker, runtime, s3
        self._clock, self._bucket = clock, bucket

    def asynchronous(self, endpoint: str) -> bool:
        if endpoint.startswith(SCHEME):
            return False
        try:
            with translated(f"describe endpoint {endpoint}"):
                found = self._sagemaker().describe_endpoint(EndpointName=endpoint)
        except ClientError as error:
            if code(error) not in ("ValidationException", "ResourceNotFound"):
                raise
            return False
        return bool(found.get("AsyncInferenceConfig"))

    def ask(self, endpoint: str, body: bytes, content_type: str) -> Sent:
        key = f"{QUESTIONS}/{endpoint}/{hashlib.sha256(body).hexdigest()}"
        with translated(f"write {key}"):
            self._s3().put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=content_type)
        try:
            with translated(f"invoke {endpoint}"):
                taken = self._runtime().invoke_endpoint_async(
                    EndpointName=endpoint, InputLocation=f"s3://{self._bucket}/{key}", ContentType=content_type
                )
        except ClientError as error:
            raise RequestRefused(f"endpoint {endpoint} took no request: {error}") from error
        return Sent(
            endpoint=endpoint,
            output=taken["OutputLocation"],
            failure=taken.get("FailureLocation", ""),
            at=self._clock.now(),
        )

    def answer(self, sent: Sent) -> bytes | None:
        found = self._read(sent.output)
        failure = self._read(sent.failure) if found is None and sent.failure else None
        if failure is not None:
            said = failure[:200].decode("utf-8", errors="replace")
            raise EndpointFailed(f"endpoint {sent.endpoint} did not answer, {sent.failure} says: {said}")
        if found is None and sent.over(self._clock.now()):
            raise EndpointFailed(
                f"endpoint {sent.endpoint} wrote no answer to {sent.output} since {sent.at:%H:%M:%S}: see its log; may "
                f"its role read the vault's questions and write there, and does {PARAMETER} name the place?"
            )
        return found

    def _read(self, uri: str) -> bytes | None:
        """Return an object of at most so many bytes as golden inferences have, or None.

        What is not there looks forbidden: listing a bucket of its owner's is no right that a proof needs.
        """
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        try:
            with translated(f"read {uri}"):
                return self._s3().get_object(Bucket=bucket, Key=key)["Body"].read(MAX_BYTES)
        except NotAllowed:
            return None
        except ClientError as error:
            if code(error) not in ("NoSuchKey", "404"):
                raise EndpointFailed(f"the answer {uri} cannot be read: {error}") from error
            return None
