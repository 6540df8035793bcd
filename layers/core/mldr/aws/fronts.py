"""Where each region's gateway is: a parameter that its stack writes. Read at onboarding, never during recovery."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from mldr.domain.routing import Front
from mldr.errors import ZoneMissing
from mldr.sdk import translated

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


class ParameterFronts:
    """Needs ssm:GetParameter on /mldr/<environment>/gateway in both regions."""

    def __init__(self, client: Callable[[str], SSMClient], *, environment: str) -> None:
        self._client, self._name = client, f"/mldr/{environment}/gateway"

    def front(self, region: str) -> Front:
        absent = ZoneMissing(
            f"{region} has no parameter {self._name}; deploy mldr's stack there, then protect the model again"
        )
        with translated(f"find the gateway of {region}", ParameterNotFound=absent):
            value = self._client(region).get_parameter(Name=self._name)["Parameter"]["Value"]
        return Front(region=region, **json.loads(value))
