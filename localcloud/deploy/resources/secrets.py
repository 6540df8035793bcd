"""Makers of keys, secrets and parameters."""

import json

from localcloud.deploy.maker import Made, Place, Properties, makes, only, tags, text, without


@makes(
    "AWS::KMS::Key",
    "Description",
    "KeyPolicy",
    "EnableKeyRotation",
    "Enabled",
    "KeySpec",
    "KeyUsage",
    "MultiRegion",
    "PendingWindowInDays",
    "Tags",
)
def key(place: Place, name: str, properties: Properties) -> Made:
    """A key; its pending window only matters when a stack is deleted."""
    wanted = only(properties, "Description", "KeySpec", "KeyUsage", "MultiRegion")
    if "KeyPolicy" in properties:
        wanted["Policy"] = text(properties["KeyPolicy"])
    labels = [{"TagKey": tag, "TagValue": value} for tag, value in tags(properties).items()]
    made = place.call("kms", "create_key", Tags=labels, **wanted)["KeyMetadata"]
    if str(properties.get("EnableKeyRotation")).lower() == "true":
        place.call("kms", "enable_key_rotation", KeyId=made["KeyId"])
    if str(properties.get("Enabled", True)).lower() == "false":
        place.call("kms", "disable_key", KeyId=made["KeyId"])
    return Made(made["KeyId"], {"Arn": made["Arn"], "KeyId": made["KeyId"]})


@makes("AWS::KMS::Alias", "AliasName", "TargetKeyId")
def alias(place: Place, name: str, properties: Properties) -> Made:
    """Another name of a key."""
    place.call("kms", "create_alias", **properties)
    return Made(properties["AliasName"])


@makes(
    "AWS::SecretsManager::Secret",
    "Name",
    "Description",
    "KmsKeyId",
    "SecretString",
    "GenerateSecretString",
    "ReplicaRegions",
    "Tags",
)
def secret(place: Place, name: str, properties: Properties) -> Made:
    """A secret, generated when the template says so, with its replicas in other regions."""
    value = properties.get("SecretString") or _generated(place, properties.get("GenerateSecretString", {}))
    replicas = {"AddReplicaRegions": properties["ReplicaRegions"]} if properties.get("ReplicaRegions") else {}
    wanted = only(properties, "Description", "KmsKeyId", "Tags")
    named = properties.get("Name", place.name_for(name))
    made = place.call("secretsmanager", "create_secret", Name=named, SecretString=value, **wanted, **replicas)
    return Made(made["ARN"], {"Id": made["ARN"]})


def _generated(place: Place, wanted: Properties) -> str:
    rules = without(wanted, "SecretStringTemplate", "GenerateStringKey")
    password: str = place.call("secretsmanager", "get_random_password", **rules)["RandomPassword"]
    if "GenerateStringKey" not in wanted:
        return password
    return json.dumps({**json.loads(wanted["SecretStringTemplate"]), wanted["GenerateStringKey"]: password})


@makes("AWS::SSM::Parameter", "Name", "Type", "Value", "Description", "Tier", "AllowedPattern", "Tags")
def parameter(place: Place, name: str, properties: Properties) -> Made:
    """A parameter of Systems Manager."""
    named = properties.get("Name", place.name_for(name))
    labels = (
        {"Tags": [{"Key": tag, "Value": value} for tag, value in tags(properties).items()]}
        if "Tags" in properties
        else {}
    )
    place.call("ssm", "put_parameter", Name=named, **without(properties, "Name", "Tags"), **labels)
    return Made(named, {"Type": properties["Type"], "Value": properties["Value"]})
