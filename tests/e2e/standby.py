"""What the standby region has of a model before anything has failed: how it is served, and what stands for it."""

import time

from mldr.aws.serving_capture import VaultServingCaptures
from mldr.aws.vault import S3Vault
from mldr.domain.recovery_point import newest_restorable
from mldr.domain.serving_state import ServingState
from mldr.steps.seal_recovery_point import read_manifest
from mldr.steps.standing_name import name_of_standing
from tests.e2e.cloud import STANDBY, LocalCloud, key, wait_for


def captured(cloud: LocalCloud, name: str) -> ServingState | None:
    """The newest captured state, as the standby would restore it."""
    table = cloud.outputs(STANDBY)["CatalogTableName"]
    return VaultServingCaptures(_vault(cloud), cloud.aws("dynamodb"), table=table).newest(key(name))


def standing(cloud: LocalCloud, name: str) -> list[str]:
    """The names of the endpoints that stand by and are in service."""
    listed = cloud.aws("sagemaker").list_endpoints(NameContains=f"{name}-", StatusEquals="InService")["Endpoints"]
    return [one["EndpointName"] for one in listed if "-s" in one["EndpointName"]]


def until_it_stands(cloud: LocalCloud, name: str) -> str:
    """Wait for the endpoint of the newest version, as that is served by now; what stood before is gone. Its name."""

    def wanted() -> str | None:
        point, state = newest_restorable(cloud.catalog.records(key(name))), captured(cloud, name)
        if point and state:
            found = name_of_standing(read_manifest(_vault(cloud), point), state)
            if standing(cloud, name) == [found]:
                return found
        cloud.tell("Tiers Due", {"model": f"sagemaker/{name}"})
        time.sleep(2)
        return None

    return str(wait_for(f"what stands for {name} is what is wanted", wanted, 240, lambda: cloud.story(name)))


def _vault(cloud: LocalCloud) -> S3Vault:
    return S3Vault(cloud.aws("s3"), bucket=cloud.vault, key_arn="")
