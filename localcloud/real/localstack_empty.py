"""Runs inside LocalStack once it is ready: POST /_mldr/empty makes its S3 forget every bucket and every byte."""

import tempfile
from pathlib import Path

from localstack.http import Request, Response
from localstack.services.internal import get_internal_apis
from localstack.services.plugins import SERVICE_PLUGINS
from localstack.services.s3.models import s3_stores

STORED = SERVICE_PLUGINS.get_service("s3")._provider._storage_backend
# One folder for every LocalStack of a machine is the default; two at a time would delete each other's bytes.
STORED.root_directory = str(Path(tempfile.gettempdir()) / "s3")
Path(STORED.root_directory).mkdir()


def empty(request: Request) -> Response:
    """Answer 204 when nothing is left, whatever was locked."""
    s3_stores.reset()
    for bucket in list(STORED._filesystem):
        STORED.delete_bucket(bucket)
    return Response(status=204)


get_internal_apis().add("/_mldr/empty", empty, methods=["POST"])
