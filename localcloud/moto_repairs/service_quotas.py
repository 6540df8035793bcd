"""Service Quotas of SageMaker's hosting, which moto lacks: it knows only the defaults of VPC.

Restores ListAWSDefaultServiceQuotas and ListServiceQuotas for `sagemaker`, page by page, with the names that AWS gives
("ml.m5.large for endpoint usage") among quotas of other things. As on AWS, a quota that was never raised is only among
the defaults: https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_ListServiceQuotas.html
"""

from __future__ import annotations

import json
from typing import Any

from moto.servicequotas.responses import ServiceQuotasResponse

from localcloud.patches import Patches

SAGEMAKER = "sagemaker"
PAGE = 3
# Generous: what a laptop can run is its own limit. A test lowers one by raising it to something else.
DEFAULTS = {
    "ml.m5.large for endpoint usage": 100.0,
    "ml.m5.large for training job usage": 20.0,
    "ml.m5.xlarge for endpoint usage": 100.0,
    "ml.t2.medium for endpoint usage": 100.0,
    "ml.c5.large for endpoint usage": 100.0,
    "ml.p4d.24xlarge for endpoint usage": 0.0,
    "Maximum number of instances per endpoint": 100.0,
    "Number of instances across active endpoints": 500.0,
}


class ServiceQuotaRepairs:
    """Answers for SageMaker; `applied` are quotas that were raised, by region and name."""

    def __init__(self) -> None:
        self.applied: dict[tuple[str, str], float] = {}
        self._patches = Patches()

    def start(self) -> None:
        """Install the repairs."""
        defaults = vars(ServiceQuotasResponse)["list_aws_default_service_quotas"]

        def list_defaults(response: Any) -> str:
            if json.loads(response.body).get("ServiceCode") != SAGEMAKER:
                return str(defaults(response))
            return _page(response, list(DEFAULTS.items()))

        def list_applied(response: Any) -> str:
            raised = [(name, value) for (region, name), value in self.applied.items() if region == response.region]
            return _page(response, raised)

        self._patches.replace(ServiceQuotasResponse, "list_aws_default_service_quotas", list_defaults)
        # moto has no such operation, so there is nothing to put back.
        ServiceQuotasResponse.list_service_quotas = list_applied  # type: ignore[attr-defined]

    def stop(self) -> None:
        """Restore moto."""
        self._patches.undo()
        del ServiceQuotasResponse.list_service_quotas  # type: ignore[attr-defined]


def _page(response: Any, quotas: list[tuple[str, float]]) -> str:
    first = int(json.loads(response.body).get("NextToken") or 0)
    more = {"NextToken": str(first + PAGE)} if first + PAGE < len(quotas) else {}
    found = [
        {"ServiceCode": SAGEMAKER, "ServiceName": "Amazon SageMaker", "QuotaName": name, "Value": value,
         "QuotaCode": f"L-{sum(map(ord, name)):08X}", "Unit": "None", "Adjustable": True, "GlobalQuota": False}
        for name, value in quotas[first : first + PAGE]
    ]  # fmt: skip
    return json.dumps({"Quotas": found, **more})
