"""What SageMaker's word for an endpoint means: whether clients are answered, and whether it is a state to keep.

Source: docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html, `EndpointStatus`.
"""

from __future__ import annotations

IN_SERVICE = "InService"
MISSING = "Missing"  # mldr's own word: there is no such endpoint

# "Not available to take incoming requests", not there yet, or not there any more. Everything else goes on answering:
# Updating ("there is no availability loss", API_UpdateEndpoint; autoscaling sets it with every step, by
# UpdateEndpointWeightsAndCapacities), SystemUpdating (maintenance that changes nothing that a customer set),
# RollingBack (to the configuration before), UpdateRollbackFailed ("in service with a mix of the old and new").
_SILENT = frozenset({"OutOfService", "Creating", "Deleting", "Failed", MISSING})

# Serves, or will without anybody's help.
_STANDS = frozenset({IN_SERVICE, "Creating", "Updating", "SystemUpdating", "RollingBack"})

# What stays so until somebody does something, and what that is.
_STUCK = {
    "UpdateRollbackFailed": "an update and its rollback failed, so it serves a mix of two configurations, and neither "
    "is how it is to serve; finish the update (UpdateEndpoint)",
    "Failed": "it answers nobody, and DeleteEndpoint is all that it takes; its FailureReason says why, make it anew",
    "OutOfService": "it takes no requests; look at its FailureReason and bring it back",
}


def answers(status: str) -> bool:
    """Return whether clients may be answered in this status. A word that nobody knows says nothing against it."""
    return status not in _SILENT


def stands(status: str) -> bool:
    """Return whether an endpoint in this status serves, or will without anybody's help."""
    return status in _STANDS


def stuck(status: str) -> str:
    """Return why an endpoint in this status is no state to keep, and what mends that; '' for what passes by itself."""
    return _STUCK.get(status, "")
