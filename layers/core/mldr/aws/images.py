"""Container images in ECR."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mldr.domain.images import Image
from mldr.errors import MissingArtifact
from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient


class EcrImages:
    """Needs ecr:DescribeImages on the repositories, in both regions."""

    def __init__(self, client: Callable[[str], ECRClient]) -> None:
        self._client = client

    def digest(self, image: Image) -> str | None:
        absent = MissingArtifact(str(image))
        wanted = {"imageDigest": image.digest} if image.digest else {"imageTag": image.tag or "latest"}
        try:
            with translated(f"describe {image}", ImageNotFoundException=absent, RepositoryNotFoundException=absent):
                found = self._client(image.region).describe_images(
                    registryId=image.account,
                    repositoryName=image.repository,
                    imageIds=[wanted],  # type: ignore[list-item]
                )
        except MissingArtifact:
            return None
        return found["imageDetails"][0]["imageDigest"] if found["imageDetails"] else None
