"""Makers of roles and their policies; conditions that the local cloud cannot judge are refused here."""

from localcloud.deploy.maker import Made, Place, Properties, makes, only, text
from localcloud.policies import refuse_unknown_conditions


@makes(
    "AWS::IAM::Role",
    "RoleName",
    "AssumeRolePolicyDocument",
    "Policies",
    "ManagedPolicyArns",
    "Description",
    "MaxSessionDuration",
    "Path",
    "Tags",
)
def role(place: Place, name: str, properties: Properties) -> Made:
    """A role with its inline and managed policies."""
    named = properties.get("RoleName", place.name_for(name)[-64:].lstrip("-"))
    wanted = only(properties, "Description", "MaxSessionDuration", "Path", "Tags")
    trust = text(properties["AssumeRolePolicyDocument"])
    made = place.call("iam", "create_role", RoleName=named, AssumeRolePolicyDocument=trust, **wanted)["Role"]
    for arn in properties.get("ManagedPolicyArns", []):
        place.call("iam", "attach_role_policy", RoleName=named, PolicyArn=arn)
    for policy in properties.get("Policies", []):
        _inline(place, name, named, policy)
    return Made(named, {"Arn": made["Arn"], "RoleId": made["RoleId"]})


@makes("AWS::IAM::Policy", "PolicyName", "PolicyDocument", "Roles")
def policy(place: Place, name: str, properties: Properties) -> Made:
    """An inline policy of roles that stand already."""
    for named in properties["Roles"]:
        _inline(place, name, named, properties)
    return Made(place.name_for(name))


def _inline(place: Place, logical: str, role_name: str, wanted: Properties) -> None:
    # SAM's policy templates leave the version out, which IAM accepts and moto does not.
    document = {"Version": "2012-10-17", **wanted["PolicyDocument"]}
    refuse_unknown_conditions(logical, document)
    place.call(
        "iam", "put_role_policy", RoleName=role_name, PolicyName=wanted["PolicyName"], PolicyDocument=text(document)
    )
