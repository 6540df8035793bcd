"""Asynchronous SageMaker endpoints of this region: requests through the vault, answers where their owner has them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from mldr.domain.golden import MAX_BYTES
from mldr.domain.kserve_rules import SCHEME
from mldr.domain.late_answers import PARAMETER, Sent
from mldr.errors import EndpointFailed, NotAllowed, RequestRefused
from mldr.ports.stack import Clock
from mldr.sdk import code, is_absent, translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

# S3's words for a right to a key, or for a key that its caller may not know of; an S3 key may have "kms" in its name.
_KEY = re.compile(r"\bkms:[A-Z]|ciphertext refers to a|\(KMS\.")
GOLDEN = "mldr-golden"  # by this its owner tells such a request from a client's: in the answer, and on its SNS topics
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
            if not is_absent(error):
                raise
            return False
        return bool(found.get("AsyncInferenceConfig"))

    def ask(self, endpoint: str, body: bytes, content_type: str) -> Sent:
        digest, now = hashlib.sha256(body).hexdigest(), self._clock.now()
        key = f"{QUESTIONS}/{endpoint}/{digest}"
        with translated(f"write {key}"):
            self._s3().put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=content_type)
        try:
            with translated(f"invoke {endpoint}"):
                taken = self._runtime().invoke_endpoint_async(
                    EndpointName=endpoint,
                    InputLocation=f"s3://{self._bucket}/{key}",
                    ContentType=content_type,
                    InferenceId=f"{GOLDEN}-{digest[:16]}-{now:%Y%m%dT%H%M%SZ}",
                )
        except ClientError as error:
            raise RequestRefused(f"endpoint {endpoint} took no request: {error}") from error
        output = taken.get("OutputLocation")
        if not output:
            raise RequestRefused(
                f"endpoint {endpoint} writes its answers to no place, so they cannot be proven; set S3OutputPath in "
                "its AsyncInferenceConfig.OutputConfig"
            )
        return Sent(endpoint=endpoint, output=output, failure=taken.get("FailureLocation", ""), at=now)

    def answer(self, sent: Sent) -> bytes | None:
        found = self._read(sent.output)
        failure = self._read(sent.failure) if found is None and sent.failure else None
        if failure is not None:
            said = failure[:200].decode("utf-8", errors="replace")
            raise EndpointFailed(f"endpoint {sent.endpoint} did not answer, {sent.failure} says: {said}")
        if found is None and sent.over(self._clock.now()):
            raise EndpointFailed(
                f"endpoint {sent.endpoint} wrote no answer to {sent.output} since {sent.at:%H:%M:%S}, or it may not be "
                "read: both look alike. See the endpoint's log; may its role read the vault's questions and write "
                f"there? Does {PARAMETER} name the place, and does its bucket's policy let the role of verify_serving "
                "read it?"
            )
        return found

    def _read(self, uri: str) -> bytes | None:
        """Return an object of at most so many bytes as golden inferences have, or None.

        What is not there looks forbidden: listing a bucket of its owner's is no right that a proof needs. Of a key S3
        only speaks when the object is there. Raises NotAllowed then.
        """
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        try:
            with translated(f"read {uri}"):
                return self._s3().get_object(Bucket=bucket, Key=key)["Body"].read(MAX_BYTES)
        except NotAllowed as error:
            if _KEY.search(str(error.__cause__)):
                raise NotAllowed(
                    f"the answer {uri} may not be decrypted: {error.__cause__}; let the role of verify_serving "
                    "kms:Decrypt in the policy of that key, then request the failover again"
                ) from error
            return None
        except ClientError as error:
            if code(error) not in ("NoSuchKey", "404"):
                raise EndpointFailed(f"the answer {uri} cannot be read: {error}") from error
            return None
