"""Rewrite a container image reference for another region.

AWS owns the accounts of its own images, one per region; `image_accounts.json` beside this module has them.
A repository of one's own keeps its account: ECR replication carries the image.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

from mldr.domain.identity import Frozen
from mldr.errors import BadReference

_IMAGE = re.compile(
    r"^(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.(?P<suffix>amazonaws\.com(?:\.cn)?)"
    r"/(?P<repository>[^:@\s]+)(?::(?P<tag>[^@\s]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?$"
)


class Image(Frozen):
    """An ECR image reference, taken apart."""

    account: str
    region: str
    suffix: str
    repository: str
    tag: str | None
    digest: str | None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag and not self.digest else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.account}.dkr.ecr.{self.region}.{self.suffix}/{self.repository}{tag}{digest}"

    @property
    def owned_by_aws(self) -> bool:
        """Whether AWS publishes this image in its own account of that region."""
        return _accounts(self.repository).get(self.region) == self.account


@cache
def _groups() -> dict[str, dict[str, str]]:
    document = json.loads((Path(__file__).parent / "image_accounts.json").read_text())
    return {repository: group["accounts"] for group in document["groups"] for repository in group["repositories"]}


def _accounts(repository: str) -> dict[str, str]:
    return _groups().get(repository, {})


def parse_image(reference: str) -> Image:
    """Return the parts of an ECR image reference. Raises BadReference when it is none."""
    match = _IMAGE.fullmatch(reference)
    if not match:
        raise BadReference(
            f"image {reference!r} is not an ECR reference, so it has no twin in the standby region; "
            "push it to ECR, replicate the repository, and register a version that names it"
        )
    return Image.model_validate(match.groupdict())


def twin(image: Image, region: str) -> Image:
    """Return the same image in `region`. Raises BadReference when AWS does not publish it there."""
    if not image.owned_by_aws:
        return image.model_copy(update={"region": region})
    account = _accounts(image.repository).get(region)
    if account is None:
        raise BadReference(
            f"image {image}: AWS does not publish {image.repository} in {region}; "
            "copy it to a repository of your own that is replicated there, and register a version that names that"
        )
    return image.model_copy(update={"account": account, "region": region})
