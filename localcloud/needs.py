"""Which IAM actions on which resources a request needs: the parts of AWS's authorization reference in use here."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from xml.etree import ElementTree

from moto.kms.models import kms_backends
from moto.s3.models import s3_backends
from moto.sagemaker.models import sagemaker_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.sns.models import sns_backends

from localcloud.calls import Identity, bucket_and_key, copy_source, parameters, xml_body
from localcloud.moto_repairs.sagemaker_serving import components
from localcloud.policies import Need

PREFIX = {
    "stepfunctions": "states",
    "sagemaker-runtime": "sagemaker",
    "s3control": "s3",
    "service-quotas": "servicequotas",
    "apigatewayv2": "apigateway",
}
FREE = {("sts", "GetCallerIdentity")}
RENAMED = {
    ("lambda", "Invoke"): "InvokeFunction",
    ("sns", "PublishBatch"): "Publish",
    ("sqs", "ChangeMessageVisibilityBatch"): "ChangeMessageVisibility",
    ("sqs", "DeleteMessageBatch"): "DeleteMessage",
    ("sqs", "SendMessageBatch"): "SendMessage",
}
RESOURCES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "application-autoscaling": (
        ("ResourceId", "arn:aws:application-autoscaling:{region}:{account}:scalable-target/{value}"),
    ),
    "apigatewayv2": (("ApiId", "arn:aws:apigateway:{region}::/apis/{value}"),),
    "dynamodb": (("TableName", "arn:aws:dynamodb:{region}:{account}:table/{value}"),),
    "ecr": (("repositoryName", "arn:aws:ecr:{region}:{account}:repository/{value}"),),
    "lambda": (("FunctionName", "arn:aws:lambda:{region}:{account}:function:{value}"),),
    "logs": (("logGroupName", "arn:aws:logs:{region}:{account}:log-group:{value}:log-stream:x"),),
    "route53": (
        ("HealthCheckId", "arn:aws:route53:::healthcheck/{value}"),
        ("HostedZoneId", "arn:aws:route53:::hostedzone/{value}"),
    ),
    "s3control": (("JobId", "arn:aws:s3:{region}:{account}:job/{value}"),),
    "sagemaker": (
        ("InferenceComponentName", "arn:aws:sagemaker:{region}:{account}:inference-component/{value}"),
        ("EndpointName", "arn:aws:sagemaker:{region}:{account}:endpoint/{value}"),
        ("EndpointConfigName", "arn:aws:sagemaker:{region}:{account}:endpoint-config/{value}"),
        ("ModelName", "arn:aws:sagemaker:{region}:{account}:model/{value}"),
        ("ModelPackageArn", "arn:aws:sagemaker:{region}:{account}:model-package/{value}"),
        ("ModelPackageName", "arn:aws:sagemaker:{region}:{account}:model-package/{value}"),
        ("ModelPackageGroupName", "arn:aws:sagemaker:{region}:{account}:model-package-group/{value}"),
        ("ResourceArn", "{value}"),
    ),
    "sagemaker-runtime": (("EndpointName", "arn:aws:sagemaker:{region}:{account}:endpoint/{value}"),),
    "sns": (("TopicArn", "{value}"), ("TargetArn", "{value}")),
    "ssm": (
        ("Name", "arn:aws:ssm:{region}:{account}:parameter/{value}"),
        ("Path", "arn:aws:ssm:{region}:{account}:parameter/{value}"),
    ),
    "stepfunctions": (("stateMachineArn", "{value}"), ("executionArn", "{value}"), ("mapRunArn", "{value}")),
}
ROLES = ("ExecutionRoleArn", "RoleArn", "roleArn")
TRANSACTED = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
    "Get": "GetItem",
}
OBJECT_READS = {
    "GetObject": "GetObject",
    "HeadObject": "GetObject",
    "GetObjectTagging": "GetObjectTagging",
    "GetObjectAcl": "GetObjectAcl",
}
OBJECT_WRITES = {
    "PutObject",
    "CopyObject",
    "CreateMultipartUpload",
    "UploadPart",
    "UploadPartCopy",
    "CompleteMultipartUpload",
}
S3_RENAMED = {
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "HeadBucket": "ListBucket",
    "ListBuckets": "ListAllMyBuckets",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListParts": "ListMultipartUploadParts",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "PutObjectLockConfiguration": "PutBucketObjectLockConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
}
Environ = Mapping[str, Any]


def needs(identity: Identity, environ: Environ, account: str) -> list[Need]:
    """Everything that the caller must be allowed to do."""
    if (identity.service, identity.operation) in FREE:
        return []
    found = _s3(identity, environ, account) if identity.service == "s3" else _other(identity, environ, account)
    common = (
        ("aws:RequestedRegion", identity.region),
        ("aws:PrincipalAccount", account),
        ("aws:ResourceAccount", account),
    )
    return [
        Need(need.action, need.resources, (*need.context, *common, *_resource_tags(need, identity, account)))
        for need in found
    ]


def _resource_tags(need: Need, identity: Identity, account: str) -> tuple[tuple[str, str], ...]:
    """The tags of an endpoint, of its configuration, or of a model, if it exists."""
    if not need.action.startswith("sagemaker:"):
        return ()
    kind, _, name = need.resources[0].rpartition(":")[2].partition("/")
    backend = sagemaker_backends[account][identity.region]
    held: Mapping[str, Mapping[str, Any]] = {
        "endpoint": backend.endpoints, "endpoint-config": backend.endpoint_configs, "model": backend._models
    }  # fmt: skip
    if kind == "inference-component":
        tags = components(backend).get(name, {}).get("Tags", [])
    else:
        tags = getattr(held.get(kind, {}).get(name), "tags", None) or []
    return tuple((f"aws:ResourceTag/{tag['Key']}", str(tag["Value"])) for tag in tags)


def _other(identity: Identity, environ: Environ, account: str) -> list[Need]:
    given = parameters(environ, identity)
    special = SPECIAL.get((identity.service, identity.operation)) or SPECIAL.get((identity.service, "*"))
    if special:
        found = special(identity, given, account)
    else:
        action = _action(identity.service, RENAMED.get((identity.service, identity.operation), identity.operation))
        found = [Need(action, (_resource(identity, given, account),))]
    if identity.service == "sagemaker" and identity.operation.startswith("Create") and given.get("Tags"):
        found.append(Need("sagemaker:AddTags", found[0].resources))
    for role in (given[name] for name in ROLES if isinstance(given.get(name), str)):
        passed_to = f"{PREFIX.get(identity.service, identity.service)}.amazonaws.com"
        found.append(Need("iam:PassRole", (role,), (("iam:PassedToService", passed_to),)))
    return found


def _action(service: str, operation: str) -> str:
    return f"{PREFIX.get(service, service)}:{operation}"


def _resource(identity: Identity, given: Mapping[str, Any], account: str) -> str:
    for name, template in RESOURCES.get(identity.service, ()):
        value = given.get(name)
        if isinstance(value, str) and value:
            return _arn(identity, template, value, account)
    return "*"


def _arn(identity: Identity, template: str, value: str, account: str) -> str:
    if value.startswith("arn:"):
        return value
    short = value.lstrip("/") if identity.service == "ssm" else value
    return template.format(region=identity.region, account=account, value=short)


def _events(identity: Identity, given: Mapping[str, Any], account: str) -> list[Need]:
    if identity.operation != "PutEvents":
        return [Need(_action("events", identity.operation), ("*",))]
    found = []
    for entry in given.get("Entries", []):
        bus = _arn(
            identity,
            "arn:aws:events:{region}:{account}:event-bus/{value}",
            entry.get("EventBusName") or "default",
            account,
        )
        found.append(Need("events:PutEvents", (bus,), (("events:source", entry.get("Source", "")),)))
    return found


def _scalable_target(identity: Identity, given: Mapping[str, Any], account: str) -> list[Need]:
    """A statement may say what of which service may be scaled."""
    context = tuple(
        (f"application-autoscaling:{key}", str(given[name]))
        for key, name in (("service-namespace", "ServiceNamespace"), ("scalable-dimension", "ScalableDimension"))
        if given.get(name)
    )
    resource = "*" if identity.operation.startswith("Describe") else _resource(identity, given, account)
    return [Need(_action("application-autoscaling", identity.operation), (resource,), context)]


def _topic(identity: Identity, given: Mapping[str, Any], account: str) -> list[Need]:
    """Publishing to a topic with a customer key takes the key, too."""
    action = _action("sns", RENAMED.get(("sns", identity.operation), identity.operation))
    arn = _resource(identity, given, account)
    topic = sns_backends[account][identity.region].topics.get(arn)
    key = topic.kms_master_key_id if topic and action == "sns:Publish" else None
    named = _key_arn(key, identity.region, account) if key else ""
    through = (("kms:ViaService", f"sns.{identity.region}.amazonaws.com"),)
    keys = [Need(f"kms:{use}", (named,), through) for use in ("GenerateDataKey", "Decrypt")] if named else []
    return [Need(action, (arn,)), *keys]


def _queue(identity: Identity, given: Mapping[str, Any], account: str) -> list[Need]:
    name = str(given.get("QueueUrl") or given.get("QueueName") or "*").rpartition("/")[2]
    action = _action("sqs", RENAMED.get(("sqs", identity.operation), identity.operation))
    return [Need(action, (f"arn:aws:sqs:{identity.region}:{account}:{name}",))]


def _table_index(identity: Identity, given: Mapping[str, Any], account: str) -> list[Need]:
    table = _resource(identity, given, account)
    index = f"{table}/index/{given['IndexName']}" if given.get("IndexName") else table
    return [Need(_action("dynamodb", identity.operation), (index,))]


def _tables(identity: Identity, given: Mapping[str, Any], account: str) -> list[Need]:
    tables = [_resource(identity, {"TableName": name}, account) for name in given.get("RequestItems", {})]
    return [Need(_action("dynamodb", identity.operation), (table,)) for table in tables]


def _transaction(identity: Identity, given: Mapping[str, Any], account: str) -> list[Need]:
    return [
        Need(_action("dynamodb", TRANSACTED[verb]), (_resource(identity, item, account),))
        for step in given.get("TransactItems", [])
        for verb, item in step.items()
    ]


def _batch_job(identity: Identity, given: Mapping[str, Any], account: str) -> list[Need]:
    role = re.search(r"<RoleArn>([^<]+)</RoleArn>", str(given.get("xml", "")))
    passed = (("iam:PassedToService", "batchoperations.s3.amazonaws.com"),)
    return [Need("s3:CreateJob", ("*",)), Need("iam:PassRole", (role.group(1) if role else "*",), passed)]


def _create_package(identity: Identity, given: Mapping[str, Any], account: str) -> list[Need]:
    group = given.get("ModelPackageGroupName")
    if not group:
        return [Need("sagemaker:CreateModelPackage", (_resource(identity, given, account),))]
    name = str(group).rpartition("/")[2]
    new = f"arn:aws:sagemaker:{identity.region}:{account}:model-package/{name}/1"
    return [Need("sagemaker:CreateModelPackage", (new, _resource(identity, {"ModelPackageGroupName": group}, account)))]


def _endpoint_and_config(identity: Identity, given: Mapping[str, Any], account: str) -> list[Need]:
    action = _action("sagemaker", identity.operation)
    return [
        Need(action, (_resource(identity, {name: given[name]}, account),))
        for name in ("EndpointName", "EndpointConfigName")
        if name in given
    ]


def _component_and_endpoint(identity: Identity, given: Mapping[str, Any], account: str) -> list[Need]:
    """Both are authorized, where a component is named (Service Authorization Reference)."""
    kinds = (("InferenceComponentName", "inference-component"), ("EndpointName", "endpoint"))
    action = _action(identity.service, identity.operation)
    return [
        Need(action, (f"arn:aws:sagemaker:{identity.region}:{account}:{kind}/{given[name]}",))
        for name, kind in kinds
        if given.get(name)
    ]


def _endpoint_config(identity: Identity, given: Mapping[str, Any], account: str) -> list[Need]:
    return [
        Need(
            "sagemaker:CreateEndpointConfig",
            (_resource(identity, {"EndpointConfigName": given["EndpointConfigName"]}, account),),
        )
    ]


def _secret(identity: Identity, given: Mapping[str, Any], account: str) -> list[Need]:
    name = str(given.get("SecretId") or given.get("Name") or "*")
    if not name.startswith("arn:") and name != "*":
        stored = secretsmanager_backends[account][identity.region].secrets
        name = next((secret.arn for secret in stored.values() if secret.name == name), name)
        name = (
            name
            if name.startswith("arn:")
            else f"arn:aws:secretsmanager:{identity.region}:{account}:secret:{name}-??????"
        )
    return [Need(_action("secretsmanager", identity.operation), (name,))]


def _parameters(identity: Identity, given: Mapping[str, Any], account: str) -> list[Need]:
    return [
        Need("ssm:GetParameters", (_resource(identity, {"Name": name}, account),)) for name in given.get("Names", [])
    ]


def _key(identity: Identity, given: Mapping[str, Any], account: str) -> list[Need]:
    return [
        Need(_action("kms", identity.operation), (_key_arn(str(given.get("KeyId", "*")), identity.region, account),))
    ]


def _metrics(identity: Identity, given: Mapping[str, Any], account: str) -> list[Need]:
    return [
        Need(
            _action("cloudwatch", identity.operation),
            ("*",),
            (("cloudwatch:namespace", str(given.get("Namespace", ""))),),
        )
    ]


def _alarm(identity: Identity, given: Mapping[str, Any], account: str) -> list[Need]:
    name = f"arn:aws:cloudwatch:{identity.region}:{account}:alarm:{given.get('AlarmName', '')}"
    return [Need(_action("cloudwatch", identity.operation), (name,))]


def _alarms(identity: Identity, given: Mapping[str, Any], account: str) -> list[Need]:
    """A search by the beginning of a name is one among all."""
    of = f"arn:aws:cloudwatch:{identity.region}:{account}:alarm"
    named = given.get("AlarmNames") or [one for name, one in given.items() if name.startswith("AlarmNames.")] or ["*"]
    return [Need(_action("cloudwatch", identity.operation), (f"{of}:{name}",)) for name in named]


def _hosted(identity: Identity, given: Mapping[str, Any], account: str) -> list[Need]:
    """Route 53 names zones by `Id` and tags by `ResourceType` and `ResourceId`."""
    if "ResourceId" in given:
        resource = f"arn:aws:route53:::{given.get('ResourceType')}/{given['ResourceId']}"
    elif "Id" in given:
        kind = "change" if identity.operation == "GetChange" else "hostedzone"
        resource = f"arn:aws:route53:::{kind}/{given['Id']}"
    else:
        resource = _resource(identity, given, account)
    return [Need(_action("route53", identity.operation), (resource,), _record_sets(str(given.get("xml", ""))))]


def _record_sets(xml: str) -> tuple[tuple[str, str], ...]:
    """The keys of ChangeResourceRecordSets, one per value."""
    found = []
    for tag, key in (("Name", "NormalizedRecordNames"), ("Type", "RecordTypes"), ("Action", "Actions")):
        for value in re.findall(f"<{tag}>([^<]+)</{tag}>", xml):
            plain = value.lower().rstrip(".") if tag == "Name" else value
            found.append((f"route53:ChangeResourceRecordSets{key}", plain))
    return tuple(found)


Special = Callable[[Identity, Mapping[str, Any], str], list[Need]]
SPECIAL: Mapping[tuple[str, str], Special] = {
    ("application-autoscaling", "*"): _scalable_target,
    ("cloudwatch", "DeleteAlarms"): _alarms,
    ("cloudwatch", "DescribeAlarms"): _alarms,
    ("cloudwatch", "PutMetricAlarm"): _alarm,
    ("cloudwatch", "*"): _metrics,
    ("dynamodb", "BatchGetItem"): _tables,
    ("dynamodb", "BatchWriteItem"): _tables,
    ("dynamodb", "Query"): _table_index,
    ("dynamodb", "Scan"): _table_index,
    ("dynamodb", "TransactGetItems"): _transaction,
    ("dynamodb", "TransactWriteItems"): _transaction,
    ("events", "*"): _events,
    ("kms", "*"): _key,
    ("route53", "*"): _hosted,
    ("s3control", "CreateJob"): _batch_job,
    ("sagemaker", "CreateEndpoint"): _endpoint_and_config,
    ("sagemaker", "CreateEndpointConfig"): _endpoint_config,
    ("sagemaker", "CreateModelPackage"): _create_package,
    ("sagemaker", "CreateInferenceComponent"): _component_and_endpoint,
    ("sagemaker", "UpdateEndpoint"): _endpoint_and_config,
    ("sagemaker-runtime", "InvokeEndpoint"): _component_and_endpoint,
    ("sagemaker-runtime", "InvokeEndpointAsync"): _component_and_endpoint,
    ("secretsmanager", "*"): _secret,
    ("sns", "*"): _topic,
    ("sqs", "*"): _queue,
    ("ssm", "GetParameters"): _parameters,
}


def _s3(identity: Identity, environ: Environ, account: str) -> list[Need]:
    bucket, key = bucket_and_key(environ)
    if identity.operation in OBJECT_WRITES:
        return _writes(identity, environ, account)
    if identity.operation in OBJECT_READS or identity.operation == "GetObjectAttributes":
        version = _version(environ)
        return _reads(identity, f"arn:aws:s3:::{bucket}/{key}", (bucket, key, version), account)
    operation = S3_RENAMED.get(identity.operation, identity.operation)
    if operation in ("DeleteObject", "DeleteObjects"):
        named = [(key, _version(environ))] if key else _listed(xml_body(environ))
        return [need for one in named for need in _deletes(bucket, *one, environ)]
    resource = f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}" if bucket else "*"
    prefix = parameters(environ, identity).get("prefix", "") if operation.startswith("ListBucket") else ""
    needed = [Need(f"s3:{operation}", (resource,), (("s3:prefix", prefix),))]
    return needed + (_bypass(resource, environ) if operation == "PutObjectRetention" else [])


def _deletes(bucket: str, key: str, version: str | None, environ: Environ) -> list[Need]:
    """DeleteObjects is judged key by key; AWS would carry out the ones that are allowed, this refuses them all."""
    resource = f"arn:aws:s3:::{bucket}/{key}"
    needed = [Need("s3:DeleteObjectVersion" if version else "s3:DeleteObject", (resource,))]
    return needed + (_bypass(resource, environ) if version else [])


def _bypass(resource: str, environ: Environ) -> list[Need]:
    asked = str(environ.get("HTTP_X_AMZ_BYPASS_GOVERNANCE_RETENTION", "")).lower() == "true"
    return [Need("s3:BypassGovernanceRetention", (resource,))] if asked else []


def _listed(body: bytes) -> list[tuple[str, str | None]]:
    """The keys and versions that DeleteObjects names."""
    found = []
    for element in ElementTree.fromstring(body):  # noqa: S314 the body of a client on this machine
        said = {child.tag.rpartition("}")[2]: child.text or "" for child in element}
        if "Key" in said:
            found.append((said["Key"], said.get("VersionId")))
    return found


def _lock_mode(environ: Environ) -> tuple[tuple[str, str], ...]:
    mode = str(environ.get("HTTP_X_AMZ_OBJECT_LOCK_MODE", ""))
    return (("s3:object-lock-mode", mode),) if mode else ()


def _reads(identity: Identity, arn: str, source: tuple[str, str, str | None], account: str) -> list[Need]:
    action = OBJECT_READS.get(identity.operation, "GetObject")
    pinned = "GetObjectVersion" + action.removeprefix("GetObject") if source[2] else action
    found = [Need(f"s3:{pinned}", (arn,))]
    if identity.operation == "GetObjectAttributes":
        found.append(Need("s3:GetObjectVersionAttributes" if source[2] else "s3:GetObjectAttributes", (arn,)))
    return found + _decryption(source, account)


def _writes(identity: Identity, environ: Environ, account: str) -> list[Need]:
    bucket, key = bucket_and_key(environ)
    target = (f"arn:aws:s3:::{bucket}/{key}",)
    found = [Need("s3:PutObject", target, _lock_mode(environ))]
    for header, action in (
        ("HTTP_X_AMZ_OBJECT_LOCK_MODE", "s3:PutObjectRetention"),
        ("HTTP_X_AMZ_OBJECT_LOCK_LEGAL_HOLD", "s3:PutObjectLegalHold"),
        ("HTTP_X_AMZ_TAGGING", "s3:PutObjectTagging"),
    ):
        if environ.get(header):
            found.append(Need(action, target, _lock_mode(environ)))
    if source := copy_source(environ):
        reading = identity._replace(operation="GetObject")
        found += _reads(reading, f"arn:aws:s3:::{source[0]}/{source[1]}", source, account)
        found += _copied_tags(identity, environ, source, target, account)
    return found + _encryption(identity, environ, bucket, account)


def _copied_tags(
    identity: Identity, environ: Environ, source: tuple[str, str, str | None], target: tuple[str, ...], account: str
) -> list[Need]:
    """CopyObject carries the source's tags, if it has any and is not told to replace them."""
    if identity.operation != "CopyObject" or environ.get("HTTP_X_AMZ_TAGGING_DIRECTIVE") == "REPLACE":
        return []
    backend = s3_backends[account]["aws"]
    read = backend.get_object(source[0], source[1], version_id=source[2]) if source[0] in backend.buckets else None
    if read is None or not backend.tagger.get_tag_dict_for_resource(read.arn):
        return []
    action = "s3:GetObjectVersionTagging" if source[2] else "s3:GetObjectTagging"
    return [Need(action, (f"arn:aws:s3:::{source[0]}/{source[1]}",)), Need("s3:PutObjectTagging", target)]


def _version(environ: Environ) -> str | None:
    query = str(environ.get("QUERY_STRING", ""))
    return next(
        (value for name, _, value in (pair.partition("=") for pair in query.split("&")) if name == "versionId"), None
    )


def _encryption(identity: Identity, environ: Environ, bucket: str, account: str) -> list[Need]:
    """S3 asks KMS on the caller's behalf when the bucket or the request names a customer key."""
    key = environ.get("HTTP_X_AMZ_SERVER_SIDE_ENCRYPTION_AWS_KMS_KEY_ID") or _bucket_key(bucket, account)
    stored = s3_backends[account]["aws"].buckets.get(bucket)
    if not key or not stored:
        return []
    multipart = identity.operation in ("UploadPart", "UploadPartCopy", "CompleteMultipartUpload")
    action = "kms:Decrypt" if multipart else "kms:GenerateDataKey"
    return [_kms(action, str(key), stored.region_name, account)]


def _bucket_key(bucket: str, account: str) -> str | None:
    stored = s3_backends[account]["aws"].buckets.get(bucket)
    rule = (stored.encryption or {}).get("Rule", {}) if stored else {}
    found: str | None = rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID")
    return found


def _decryption(source: tuple[str, str, str | None], account: str) -> list[Need]:
    stored = s3_backends[account]["aws"].buckets.get(source[0])
    read = s3_backends[account]["aws"].get_object(source[0], source[1], version_id=source[2]) if stored else None
    if stored is None or read is None or read.encryption != "aws:kms" or not read.kms_key_id:
        return []
    return [_kms("kms:Decrypt", read.kms_key_id, stored.region_name, account)]


def _kms(action: str, key: str, region: str, account: str) -> Need:
    arn = _key_arn(key, region, account)
    held = kms_backends[account][region].keys.get(arn.rpartition("/")[2])
    named = tuple(("kms:ResourceAliases", alias) for alias in sorted(held.aliases if held else ()))
    return Need(action, (arn,), (("kms:ViaService", f"s3.{region}.amazonaws.com"), *named))


def _key_arn(key: str, region: str, account: str) -> str:
    if "alias/" in key:
        name = "alias/" + key.partition("alias/")[2]
        key = kms_backends[account][region].get_key_id_from_alias(name) or key
    return key if key.startswith("arn:") else f"arn:aws:kms:{region}:{account}:key/{key}"
