"""Makers of buckets and tables."""

from typing import Any

from localcloud.deploy.errors import UnknownInTemplate
from localcloud.deploy.maker import Made, Place, Properties, location, makes, only, tags, text, without
from localcloud.policies import refuse_unknown_conditions


@makes(
    "AWS::S3::Bucket",
    "BucketName",
    "VersioningConfiguration",
    "ObjectLockEnabled",
    "ObjectLockConfiguration",
    "PublicAccessBlockConfiguration",
    "BucketEncryption",
    "OwnershipControls",
    "LifecycleConfiguration",
    "NotificationConfiguration",
    "Tags",
)
def bucket(place: Place, name: str, properties: Properties) -> Made:
    """A bucket with its protection; configured before anything can be written to it."""
    named = properties.get("BucketName", place.name_for(name).lower())
    lock = {"ObjectLockEnabledForBucket": True} if _true(properties.get("ObjectLockEnabled")) else {}
    place.call("s3", "create_bucket", Bucket=named, **lock, **location(place.region))
    for configure in (_versioning, _object_lock, _access, _encryption, _lifecycle, _notification):
        configure(place, named, properties)
    if given := tags(properties):
        place.call(
            "s3",
            "put_bucket_tagging",
            Bucket=named,
            Tagging={"TagSet": [{"Key": k, "Value": v} for k, v in given.items()]},
        )
    host = f"{named}.s3.amazonaws.com"
    regional = f"{named}.s3.{place.region}.amazonaws.com"
    return Made(named, {"Arn": f"arn:aws:s3:::{named}", "DomainName": host, "RegionalDomainName": regional})


def _versioning(place: Place, named: str, properties: Properties) -> None:
    if versioning := properties.get("VersioningConfiguration"):
        place.call("s3", "put_bucket_versioning", Bucket=named, VersioningConfiguration=versioning)


def _object_lock(place: Place, named: str, properties: Properties) -> None:
    if lock := properties.get("ObjectLockConfiguration"):
        place.call("s3", "put_object_lock_configuration", Bucket=named, ObjectLockConfiguration=lock)


def _access(place: Place, named: str, properties: Properties) -> None:
    if block := properties.get("PublicAccessBlockConfiguration"):
        place.call("s3", "put_public_access_block", Bucket=named, PublicAccessBlockConfiguration=block)
    if ownership := properties.get("OwnershipControls"):
        place.call("s3", "put_bucket_ownership_controls", Bucket=named, OwnershipControls=ownership)


def _encryption(place: Place, named: str, properties: Properties) -> None:
    if not (encryption := properties.get("BucketEncryption")):
        return
    rules = [
        {
            "ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"],
            **only(rule, "BucketKeyEnabled"),
        }
        for rule in encryption["ServerSideEncryptionConfiguration"]
    ]
    place.call("s3", "put_bucket_encryption", Bucket=named, ServerSideEncryptionConfiguration={"Rules": rules})


def _lifecycle(place: Place, named: str, properties: Properties) -> None:
    if lifecycle := properties.get("LifecycleConfiguration"):
        rules = [_lifecycle_rule(named, rule) for rule in lifecycle["Rules"]]
        place.call("s3", "put_bucket_lifecycle_configuration", Bucket=named, LifecycleConfiguration={"Rules": rules})


def _lifecycle_rule(named: str, rule: Properties) -> dict[str, Any]:
    same = ("Status", "AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration")
    known = {*same, "Id", "Prefix", "TagFilters", "ExpirationInDays", "ExpiredObjectDeleteMarker"}
    noncurrent = {f"NoncurrentVersionExpiration.{name}" for name in rule.get("NoncurrentVersionExpiration", {})}
    if unknown := (set(rule) - known) | (noncurrent - {"NoncurrentVersionExpiration.NoncurrentDays"}):
        raise UnknownInTemplate(f"lifecycle of {named}: the local cloud does not know {', '.join(sorted(unknown))}")
    expiration = {}
    if "ExpirationInDays" in rule:
        expiration["Days"] = rule["ExpirationInDays"]
    if "ExpiredObjectDeleteMarker" in rule:
        expiration["ExpiredObjectDeleteMarker"] = rule["ExpiredObjectDeleteMarker"]
    identified = {"ID": rule["Id"]} if "Id" in rule else {}
    expires = {"Expiration": expiration} if expiration else {}
    return {**identified, "Filter": _filter(rule), **expires, **only(rule, *same)}


def _filter(rule: Properties) -> dict[str, Any]:
    if "TagFilters" not in rule:
        return {"Prefix": rule.get("Prefix", "")}
    return {"And": {"Prefix": rule.get("Prefix", ""), "Tags": rule["TagFilters"]}}


def _notification(place: Place, named: str, properties: Properties) -> None:
    notification = properties.get("NotificationConfiguration", {})
    if unknown := set(notification) - {"EventBridgeConfiguration"}:
        raise UnknownInTemplate(
            f"notifications of {named}: {', '.join(sorted(unknown))} is unknown; send S3 events to EventBridge"
        )
    told = notification.get("EventBridgeConfiguration")
    if told is not None and _true(told.get("EventBridgeEnabled", True)):
        configuration: dict[str, Any] = {"EventBridgeConfiguration": {}}
        place.call("s3", "put_bucket_notification_configuration", Bucket=named, NotificationConfiguration=configuration)


@makes("AWS::S3::BucketPolicy", "Bucket", "PolicyDocument")
def bucket_policy(place: Place, name: str, properties: Properties) -> Made:
    """The policy of a bucket; conditions that the local cloud cannot judge are refused."""
    refuse_unknown_conditions(name, properties["PolicyDocument"])
    place.call("s3", "put_bucket_policy", Bucket=properties["Bucket"], Policy=text(properties["PolicyDocument"]))
    return Made(properties["Bucket"])


@makes(
    "AWS::DynamoDB::Table",
    "TableName",
    "AttributeDefinitions",
    "KeySchema",
    "BillingMode",
    "ProvisionedThroughput",
    "GlobalSecondaryIndexes",
    "LocalSecondaryIndexes",
    "SSESpecification",
    "StreamSpecification",
    "TableClass",
    "DeletionProtectionEnabled",
    "PointInTimeRecoverySpecification",
    "TimeToLiveSpecification",
    "Tags",
)
def table(place: Place, name: str, properties: Properties) -> Made:
    """A table with its recovery and expiry settings."""
    named = properties.get("TableName", place.name_for(name))
    wanted = without(properties, "PointInTimeRecoverySpecification", "TimeToLiveSpecification", "TableName")
    if encryption := wanted.pop("SSESpecification", None):
        wanted["SSESpecification"] = {
            "Enabled": encryption["SSEEnabled"],
            **only(encryption, "SSEType", "KMSMasterKeyId"),
        }
    if stream := wanted.pop("StreamSpecification", None):
        wanted["StreamSpecification"] = {"StreamEnabled": True, **stream}
    made = place.call("dynamodb", "create_table", TableName=named, **wanted)["TableDescription"]
    if recovery := properties.get("PointInTimeRecoverySpecification"):
        place.call("dynamodb", "update_continuous_backups", TableName=named, PointInTimeRecoverySpecification=recovery)
    if expiry := properties.get("TimeToLiveSpecification"):
        place.call("dynamodb", "update_time_to_live", TableName=named, TimeToLiveSpecification=expiry)
    stream_arn = {"StreamArn": made["LatestStreamArn"]} if "LatestStreamArn" in made else {}
    return Made(named, {"Arn": made["TableArn"], **stream_arn})


def _true(value: Any) -> bool:
    return str(value).lower() == "true"
