"""A function may do what its role allows and nothing else, as IAM judges it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.deploy.errors import UnknownInTemplate
from localcloud.policies import Grant, Need, judge, refuse_unknown_conditions
from localcloud.principals import access_key, principal
from tests.functional.localcloud.one_endpoint import ACTIVE, STANDBY, OneEndpoint, one_endpoint

VAULT = "arn:aws:s3:::vault/*"
KEY = access_key("function", STANDBY, "worker")


@pytest.fixture
def endpoint() -> Iterator[OneEndpoint]:
    with one_endpoint() as running:
        yield running


def allow(*actions: str, on: str = "*", **condition: Any) -> dict[str, Any]:
    rest = {"Condition": condition} if condition else {}
    return {"Effect": "Allow", "Action": list(actions), "Resource": on, **rest}


def denied(call: Any, **arguments: Any) -> str:
    """The message of the refusal; empty when the call was allowed (whatever else came of it)."""
    try:
        call(**arguments)
    except ClientError as error:
        denial = error.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException", "403")
        return error.response["Error"]["Message"] or "denied" if denial else ""
    return ""


def test_access_keys_name_the_part_of_the_stack() -> None:
    found = principal(access_key("function", STANDBY, "mldr-prod-copy"))
    assert found is not None
    assert (found.kind, found.region, found.name) == ("function", STANDBY, "mldr-prod-copy")
    assert principal("AKIAIOSFODNN7EXAMPLE") is None


def test_a_missing_action_is_refused_by_name(endpoint: OneEndpoint) -> None:
    endpoint.bucket("vault")
    endpoint.function("worker", [allow("s3:GetObject", on=VAULT)])
    message = denied(endpoint.client("s3", key=KEY).put_object, Bucket="vault", Key="k", Body=b"x")
    assert "not authorized to perform: s3:PutObject on resource: arn:aws:s3:::vault/k" in message
    assert endpoint.last_call().refused == "not authorised"


def test_a_pinned_version_needs_the_versioned_action(endpoint: OneEndpoint) -> None:
    endpoint.bucket("vault")
    version = endpoint.client("s3").put_object(Bucket="vault", Key="k", Body=b"x")["VersionId"]
    endpoint.function("worker", [allow("s3:GetObject", "s3:ListBucket", on="arn:aws:s3:::vault*")])
    s3 = endpoint.client("s3", key=KEY)
    assert not denied(s3.head_object, Bucket="vault", Key="k")
    assert denied(s3.head_object, Bucket="vault", Key="k", VersionId=version)
    assert "s3:GetObjectVersion" in denied(s3.get_object, Bucket="vault", Key="k", VersionId=version)


def test_a_copy_needs_both_sides(endpoint: OneEndpoint) -> None:
    endpoint.bucket("vault")
    endpoint.bucket("lake", ACTIVE)
    version = endpoint.client("s3", ACTIVE).put_object(Bucket="lake", Key="k", Body=b"x")["VersionId"]
    copy = {"Bucket": "vault", "Key": "k", "CopySource": {"Bucket": "lake", "Key": "k", "VersionId": version}}
    endpoint.function("writer", [allow("s3:PutObject", on=VAULT)])
    endpoint.function("both", [allow("s3:PutObject", on=VAULT), allow("s3:GetObjectVersion", on="arn:aws:s3:::lake/*")])
    writer = endpoint.client("s3", key=access_key("function", STANDBY, "writer"))
    both = endpoint.client("s3", key=access_key("function", STANDBY, "both"))
    assert "s3:GetObjectVersion on resource: arn:aws:s3:::lake/k" in denied(writer.copy_object, **copy)
    assert not denied(both.copy_object, **copy)


def test_lock_headers_need_put_object_retention(endpoint: OneEndpoint) -> None:
    endpoint.bucket("vault", locked=True)
    endpoint.function("worker", [allow("s3:PutObject", on=VAULT)])
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": datetime.now(UTC) + timedelta(days=1)}
    put = endpoint.client("s3", key=KEY).put_object
    assert "s3:PutObjectRetention" in denied(put, Bucket="vault", Key="k", Body=b"x", **lock)
    assert not denied(put, Bucket="vault", Key="k", Body=b"x")


def test_a_missing_object_looks_forbidden_without_list_bucket(endpoint: OneEndpoint) -> None:
    endpoint.bucket("vault")
    endpoint.function("worker", [allow("s3:GetObject", on=VAULT)])
    endpoint.function("lister", [allow("s3:GetObject", on=VAULT), allow("s3:ListBucket", on="arn:aws:s3:::vault")])
    assert denied(endpoint.client("s3", key=KEY).get_object, Bucket="vault", Key="none")
    lister = endpoint.client("s3", key=access_key("function", STANDBY, "lister"))
    assert not denied(lister.get_object, Bucket="vault", Key="none")


def test_a_customer_key_must_be_usable(endpoint: OneEndpoint) -> None:
    endpoint.bucket("vault")
    key = endpoint.client("kms").create_key()["KeyMetadata"]["Arn"]
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    encryption = {"Rules": [rule]}
    endpoint.client("s3").put_bucket_encryption(Bucket="vault", ServerSideEncryptionConfiguration=encryption)
    through_s3 = {"kms:ViaService": f"s3.{STANDBY}.amazonaws.com"}
    endpoint.function(
        "worker", [allow("s3:*", on=VAULT), allow("kms:GenerateDataKey", on=key, StringEquals=through_s3)]
    )
    s3 = endpoint.client("s3", key=KEY)
    assert not denied(s3.put_object, Bucket="vault", Key="k", Body=b"x")
    assert f"kms:Decrypt on resource: {key}" in denied(s3.get_object, Bucket="vault", Key="k")


def test_an_encrypted_topic_takes_its_key(endpoint: OneEndpoint) -> None:
    key = endpoint.client("kms").create_key()["KeyMetadata"]
    create = endpoint.client("sns").create_topic
    topic = create(Name="pages", Attributes={"KmsMasterKeyId": key["KeyId"]})["TopicArn"]
    endpoint.function("worker", [allow("sns:Publish")])
    endpoint.function("keyed", [allow("sns:Publish"), allow("kms:GenerateDataKey", "kms:Decrypt", on=key["Arn"])])
    keyed = endpoint.client("sns", key=access_key("function", STANDBY, "keyed"))
    assert "kms:GenerateDataKey" in denied(endpoint.client("sns", key=KEY).publish, TopicArn=topic, Message="m")
    assert not denied(keyed.publish, TopicArn=topic, Message="m")


def test_tags_at_creation_need_add_tags(endpoint: OneEndpoint) -> None:
    endpoint.function("worker", [allow("sagemaker:CreateModelPackageGroup")])
    create = endpoint.client("sagemaker", key=KEY).create_model_package_group
    assert not denied(create, ModelPackageGroupName="plain")
    tags = [{"Key": "mldr:tier", "Value": "cold-standby"}]
    assert "sagemaker:AddTags" in denied(create, ModelPackageGroupName="tagged", Tags=tags)


def test_a_passed_role_needs_pass_role(endpoint: OneEndpoint) -> None:
    model = {
        "ModelName": "m",
        "PrimaryContainer": {"Image": "i"},
        "ExecutionRoleArn": "arn:aws:iam::123456789012:role/x",
    }
    for_sagemaker: dict[str, Any] = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    endpoint.function("worker", [allow("sagemaker:CreateModel")])
    endpoint.function("passer", [allow("sagemaker:CreateModel"), allow("iam:PassRole", **for_sagemaker)])
    passer = endpoint.client("sagemaker", key=access_key("function", STANDBY, "passer"))
    assert "iam:PassRole" in denied(endpoint.client("sagemaker", key=KEY).create_model, **model)
    assert not denied(passer.create_model, **model)


def test_every_protocol_raises_the_sdk_s_own_denial(endpoint: OneEndpoint) -> None:
    endpoint.function("worker", [allow("s3:GetObject")])
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("dynamodb", "get_item", {"TableName": "t", "Key": {"pk": {"S": "a"}}}),
        ("sns", "publish", {"TopicArn": f"arn:aws:sns:{STANDBY}:123456789012:t", "Message": "m"}),
        ("sqs", "send_message", {"QueueUrl": f"{endpoint.server.url}/123456789012/q", "MessageBody": "m"}),
        ("route53", "list_hosted_zones", {}),
        ("lambda", "invoke", {"FunctionName": "f"}),
        ("sagemaker-runtime", "invoke_endpoint", {"EndpointName": "e", "Body": b""}),
        ("sagemaker-runtime", "invoke_endpoint_async", {"EndpointName": "e", "InputLocation": "s3://b/k"}),
        ("events", "put_events", {"Entries": [{"Source": "s", "DetailType": "d", "Detail": "{}"}]}),
        ("secretsmanager", "get_secret_value", {"SecretId": "s"}),
        ("cloudwatch", "put_metric_data", {"Namespace": "n", "MetricData": [{"MetricName": "m"}]}),
    ]
    for service, operation, arguments in calls:
        assert denied(getattr(endpoint.client(service, key=KEY), operation), **arguments), service


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        (allow("events:PutEvents", on=f"arn:aws:events:{STANDBY}:123456789012:event-bus/mldr"), True),
        (allow("events:PutEvents", on=f"arn:aws:events:{STANDBY}:123456789012:event-bus/other"), False),
        (allow("events:Put*", StringEquals={"events:source": "mldr"}), True),
        (allow("events:Put*", StringEquals={"events:source": "else"}), False),
    ],
)
def test_resources_and_conditions_decide(endpoint: OneEndpoint, statement: dict[str, Any], allowed: bool) -> None:
    endpoint.function("worker", [statement])
    entry = {"Source": "mldr", "DetailType": "d", "Detail": "{}", "EventBusName": "mldr"}
    assert bool(denied(endpoint.client("events", key=KEY).put_events, Entries=[entry])) is not allowed


def test_record_names_are_judged_one_by_one(endpoint: OneEndpoint) -> None:
    zone = endpoint.client("route53").create_hosted_zone(Name="models.test", CallerReference="c")["HostedZone"]["Id"]
    own = {"ForAllValues:StringLike": {"route53:ChangeResourceRecordSetsNormalizedRecordNames": "*.models.test"}}
    endpoint.function("worker", [allow("route53:ChangeResourceRecordSets", on="arn:aws:route53:::hostedzone/*", **own)])
    change = endpoint.client("route53", key=KEY).change_resource_record_sets

    def batch(*names: str) -> dict[str, Any]:
        sets = [{"Name": name, "Type": "TXT", "TTL": 5, "ResourceRecords": [{"Value": '"x"'}]} for name in names]
        return {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": one} for one in sets]}

    assert not denied(change, HostedZoneId=zone, ChangeBatch=batch("A.models.test.", "b.models.test"))
    assert denied(change, HostedZoneId=zone, ChangeBatch=batch("a.models.test", "models.test"))


def test_a_transaction_needs_each_of_its_actions(endpoint: OneEndpoint) -> None:
    table = f"arn:aws:dynamodb:{STANDBY}:123456789012:table/catalog"
    endpoint.function("worker", [allow("dynamodb:PutItem", on=table)])
    item = {"TableName": "catalog", "Item": {"pk": {"S": "a"}}}
    check = {"TableName": "catalog", "Key": {"pk": {"S": "a"}}, "ConditionExpression": "attribute_exists(pk)"}
    write = endpoint.client("dynamodb", key=KEY).transact_write_items
    assert not denied(write, TransactItems=[{"Put": item}])
    assert "ConditionCheckItem" in denied(write, TransactItems=[{"Put": item}, {"ConditionCheck": check}])


def test_an_explicit_deny_wins(endpoint: OneEndpoint) -> None:
    endpoint.bucket("vault")
    no = {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::vault/sealed/*"}
    endpoint.function("worker", [allow("s3:*"), no])
    put = endpoint.client("s3", key=KEY).put_object
    assert "explicit deny" in denied(put, Bucket="vault", Key="sealed/k", Body=b"x")
    assert not denied(put, Bucket="vault", Key="open/k", Body=b"x")


def test_a_bucket_policy_binds_people_too_and_tls_counts_as_used(endpoint: OneEndpoint) -> None:
    endpoint.bucket("vault")
    not_tls: dict[str, Any] = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": VAULT}
    not_tls["Condition"] = {"Bool": {"aws:SecureTransport": "false"}}
    keep = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObjectVersion", "Resource": VAULT}
    policy = {"Version": "2012-10-17", "Statement": [not_tls, keep]}
    person = endpoint.client("s3")
    person.put_bucket_policy(Bucket="vault", Policy=json.dumps(policy))
    version = person.put_object(Bucket="vault", Key="k", Body=b"x")["VersionId"]
    assert denied(person.delete_object, Bucket="vault", Key="k", VersionId=version)
    assert not denied(person.delete_object, Bucket="vault", Key="k")


def test_a_role_that_a_buckets_and_a_keys_policy_name_may_do_what_they_say(endpoint: OneEndpoint) -> None:
    endpoint.bucket("vault")
    role = f"arn:aws:iam::123456789012:role/{endpoint.function('worker', [allow('sns:Publish')])}"
    person, kms = endpoint.client("s3"), endpoint.client("kms")

    def naming(principal: Any, *actions: str) -> str:
        statement = {"Effect": "Allow", "Principal": principal, "Action": list(actions), "Resource": "*"}
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]})

    account = {"AWS": "arn:aws:iam::123456789012:root"}
    key = kms.create_key(Policy=naming(account, "kms:*"))["KeyMetadata"]["Arn"]
    encryption: Any = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    person.put_object(Bucket="vault", Key="k", Body=b"x", **encryption)
    get = endpoint.client("s3", key=KEY).get_object
    person.put_bucket_policy(Bucket="vault", Policy=naming(account, "s3:GetObject"))
    assert "s3:GetObject" in denied(get, Bucket="vault", Key="k"), "its account decides by the role's own policies"
    person.put_bucket_policy(Bucket="vault", Policy=naming({"AWS": [role]}, "s3:GetObject"))
    assert "kms:Decrypt" in denied(get, Bucket="vault", Key="k")
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=naming({"AWS": role}, "kms:Decrypt"))
    assert not denied(get, Bucket="vault", Key="k")
    assert "s3:PutObject" in denied(endpoint.client("s3", key=KEY).put_object, Bucket="vault", Key="k", Body=b"y")


def test_granted_but_never_used_is_known(endpoint: OneEndpoint) -> None:
    endpoint.bucket("vault")
    role = endpoint.function("worker", [allow("s3:PutObject", "s3:GetObject", on=VAULT)])
    endpoint.client("s3", key=KEY).put_object(Bucket="vault", Key="k", Body=b"x")
    assert endpoint.permissions.used(role) == {Grant("s3:PutObject", VAULT)}
    assert endpoint.permissions.granted(role) - endpoint.permissions.used(role) == {Grant("s3:GetObject", VAULT)}


def test_people_may_do_everything(endpoint: OneEndpoint) -> None:
    assert not denied(endpoint.client("sagemaker").list_models)


def test_not_action_and_not_resource() -> None:
    statement = {"Effect": "Deny", "NotAction": "s3:Get*", "NotResource": "arn:aws:s3:::open/*"}
    document = json.dumps({"Statement": [statement]})
    assert judge(document, Need("s3:PutObject", ("arn:aws:s3:::vault/k",))).denied
    assert not judge(document, Need("s3:GetObject", ("arn:aws:s3:::vault/k",))).denied
    assert not judge(document, Need("s3:PutObject", ("arn:aws:s3:::open/k",))).denied


@pytest.mark.parametrize(
    ("element", "named"),
    [
        ({"Condition": {"NumericLessThan": {"s3:max-keys": "1"}}}, "NumericLessThan"),
        ({"Condition": {"StringEquals": {"aws:SourceVpce": "v"}}}, "aws:SourceVpce"),
        ({"NotPrincipal": "*"}, "NotPrincipal"),
    ],
)
def test_what_cannot_be_judged_is_refused_at_deploy_time(element: dict[str, Any], named: str) -> None:
    with pytest.raises(UnknownInTemplate, match=f"Role.*{named}"):
        refuse_unknown_conditions("Role", {"Statement": [{**allow("s3:GetObject"), **element}]})


def test_an_alarm_is_put_by_its_name_in_its_region(endpoint: OneEndpoint) -> None:
    endpoint.function(
        "worker", [allow("cloudwatch:PutMetricAlarm", on=f"arn:aws:cloudwatch:{STANDBY}:123456789012:alarm:mldr-*")]
    )
    alarm = {
        "Namespace": "mldr", "MetricName": "x", "Statistic": "Maximum", "Period": 60, "EvaluationPeriods": 1,
        "Threshold": 1.0, "ComparisonOperator": "LessThanThreshold",
    }  # fmt: skip
    put = endpoint.client("cloudwatch", key=KEY).put_metric_alarm
    assert not denied(put, AlarmName="mldr-prod-switch-x", **alarm)
    assert "alarm:other" in denied(put, AlarmName="other", **alarm)


def test_alarms_are_deleted_by_their_names_and_searched_among_all(endpoint: OneEndpoint) -> None:
    of = f"arn:aws:cloudwatch:{STANDBY}:123456789012:alarm"
    endpoint.function(
        "worker",
        [allow("cloudwatch:DeleteAlarms", on=f"{of}:mldr-*"), allow("cloudwatch:DescribeAlarms", on=f"{of}:mldr-*")],
    )
    client = endpoint.client("cloudwatch", key=KEY)
    assert not denied(client.delete_alarms, AlarmNames=["mldr-a", "mldr-b"])
    assert "alarm:other" in denied(client.delete_alarms, AlarmNames=["mldr-a", "other"])
    assert not denied(client.describe_alarms, AlarmNames=["mldr-a"])
    assert "alarm:*" in denied(client.describe_alarms, AlarmNamePrefix="mldr-")


def test_what_may_be_scaled_is_told_by_its_service_and_its_dimension(endpoint: OneEndpoint) -> None:
    counts = "sagemaker:variant:DesiredInstanceCount"
    only = {
        "application-autoscaling:scalable-dimension": counts,
        "application-autoscaling:service-namespace": "sagemaker",
    }
    endpoint.function("worker", [allow("application-autoscaling:RegisterScalableTarget", StringEquals=only)])
    register = endpoint.client("application-autoscaling", key=KEY).register_scalable_target
    target = {"ServiceNamespace": "sagemaker", "ResourceId": "endpoint/x/variant/y", "MaxCapacity": 2}
    assert not denied(register, ScalableDimension=counts, **target)
    copies = "sagemaker:inference-component:DesiredCopyCount"
    assert "RegisterScalableTarget" in denied(register, ScalableDimension=copies, **target)


def test_only_what_carries_a_tag_can_be_deleted_by_it(endpoint: OneEndpoint) -> None:
    sagemaker = endpoint.client("sagemaker")
    for name, tags in (("ours", [{"Key": "mldr:owner", "Value": "mldr"}]), ("theirs", [])):
        container = {"Image": "123456789012.dkr.ecr.ap-southeast-3.amazonaws.com/x:1"}
        role = "arn:aws:iam::123456789012:role/serve"
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container, Tags=tags)
    owned = {"aws:ResourceTag/mldr:owner": "mldr"}
    endpoint.function("worker", [allow("sagemaker:DeleteModel", StringEquals=owned)])
    worker = endpoint.client("sagemaker", key=KEY)
    assert not denied(worker.delete_model, ModelName="ours")
    assert "sagemaker:DeleteModel" in denied(worker.delete_model, ModelName="theirs")


def test_only_what_carries_a_tag_can_be_asked_by_it(endpoint: OneEndpoint) -> None:
    sagemaker = endpoint.client("sagemaker")
    container = {"Image": "123456789012.dkr.ecr.ap-southeast-3.amazonaws.com/x:1"}
    variant: Any = {"VariantName": "a", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_model(
        ModelName="m", ExecutionRoleArn="arn:aws:iam::123456789012:role/serve", PrimaryContainer=container
    )
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    for name, tags in (("ours", [{"Key": "mldr:owner", "Value": "mldr"}]), ("theirs", [])):
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName="c", Tags=tags)
    owned = {"aws:ResourceTag/mldr:owner": "mldr"}
    endpoint.function("worker", [allow("sagemaker:InvokeEndpoint", StringEquals=owned)])
    ask = endpoint.client("sagemaker-runtime", key=KEY).invoke_endpoint
    assert "sagemaker:InvokeEndpoint" in denied(ask, EndpointName="theirs", Body=b"")
    assert not denied(ask, EndpointName="ours", Body=b"")


def test_a_component_is_authorized_beside_its_endpoint(endpoint: OneEndpoint) -> None:
    """Service Authorization Reference: InvokeEndpoint and CreateInferenceComponent name both resources."""
    sagemaker = endpoint.client("sagemaker")
    container = {"Image": "123456789012.dkr.ecr.ap-southeast-3.amazonaws.com/x:1"}
    role = "arn:aws:iam::123456789012:role/serve"
    sagemaker.create_model(ModelName="hosted", ExecutionRoleArn=role, PrimaryContainer=container)
    hosts: Any = {"VariantName": "a", "ModelName": "hosted", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="hosts", ProductionVariants=[hosts])
    sagemaker.create_endpoint(EndpointName="hosts", EndpointConfigName="hosts")
    arn = sagemaker.describe_endpoint(EndpointName="hosts")["EndpointArn"].rpartition(":")[0]
    endpoint.function("worker", [allow("sagemaker:InvokeEndpoint", on=f"{arn}:endpoint/*")])
    ask = endpoint.client("sagemaker-runtime", key=KEY).invoke_endpoint
    assert f"{arn}:inference-component/c0" in denied(ask, EndpointName="hosts", InferenceComponentName="c0", Body=b"")
    assert not denied(ask, EndpointName="hosts", Body=b"")
