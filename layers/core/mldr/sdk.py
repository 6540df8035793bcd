"""How we speak to AWS: client settings, and botocore's errors turned into ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection

from mldr.domain.warming import LONGEST_ANSWER
from mldr.errors import MldrError, NotAllowed, RegionUnreachable, Throttled

# Few and quick attempts: Step Functions and SQS retry what outlasts them, without a function that waits.
# As many connections as the widest pool of ours has threads: botocore keeps ten, and makes and drops the others.
CONFIG = Config(
    connect_timeout=3, read_timeout=60, retries={"mode": "standard", "max_attempts": 3}, max_pool_connections=64
)

# A container has 60 s, and SageMaker says that it did not answer to whoever waits for longer. Asked once: a model that
# hangs would be asked again. docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
RUNTIME = Config(connect_timeout=3, read_timeout=70, retries={"total_max_attempts": 1})

# What a gateway waits for a model; afterwards it still has to answer its client.
FRONT = Config(connect_timeout=2, read_timeout=LONGEST_ANSWER, retries={"total_max_attempts": 1})

# Route 53's checkers wait two seconds for an answer.
PROMPT = Config(connect_timeout=0.3, read_timeout=0.8, retries={"total_max_attempts": 1})

# One of five endpoints that each can do the work: the next one is asked at once.
ONE_OF_FIVE = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1})

# A cache that is slower than this is worth less than the answer of the endpoint.
CACHE = Config(connect_timeout=0.3, read_timeout=0.3, retries={"total_max_attempts": 1})

# For what a health check of two seconds waits for.
AT_ONCE = Config(connect_timeout=1, read_timeout=1, retries={"mode": "standard", "max_attempts": 1})

_THROTTLED = {
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "ProvisionedThroughputExceededException",
    "PriorRequestNotComplete",
    "TransactionConflictException",
    "503 Slow Down",
}
_DOWN = {
    "ServiceUnavailable",
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "ServiceException",
    "500",
    "502",
    "503",
    "504",
}
_FORBIDDEN = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403", "KMS.AccessDeniedException"}
_ABSENT = {"ValidationException", "ResourceNotFound"}


def code(error: ClientError) -> str:
    """Return the error code that the service gave."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_absent(error: ClientError) -> bool:
    """Return whether SageMaker's answer to a description says that there is no such thing; it has two codes."""
    return code(error) in _ABSENT


@contextmanager
def translated(what: str, **leaves: MldrError) -> Iterator[None]:
    """Raise our error in place of botocore's; `leaves` maps error codes to what they mean here (404 is `_404`)."""
    try:
        yield
    except ClientError as error:
        leaf = leaves.get(code(error).replace(".", "_").replace("-", "_")) or leaves.get(f"_{code(error)}")
        raise (leaf or _general(error, what)) from error
    except (NoConnection, HTTPClientError) as error:
        raise RegionUnreachable(f"{what}: {error}; it is tried again") from error
    except BotoCoreError as error:
        raise RegionUnreachable(f"{what}: {error}") from error


def _general(error: ClientError, what: str) -> Exception:
    status: Any = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code(error) in _THROTTLED:
        return Throttled(f"{what}: {error}; it is tried again, more slowly")
    if code(error) in _DOWN or status >= 500:
        return RegionUnreachable(f"{what}: {error}; it is tried again")
    if code(error) in _FORBIDDEN or status == 403:
        return NotAllowed(f"{what}: {error}; grant it in template.yaml, in the bucket's policy or in the key's policy")
    return error
