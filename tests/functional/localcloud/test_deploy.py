"""The deployer makes what a template says or refuses by name; nothing is silently skipped."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from localcloud.deploy.errors import DeployError, UnknownInTemplate
from localcloud.deploy.intrinsics import Scope
from localcloud.deploy.maker import MAKERS, Place
from localcloud.deploy.order import creation_order
from localcloud.deploy.package import archive
from localcloud.deploy.parameters import from_samconfig, resolve
from localcloud.deploy.stack import Deployment, Stack, create
from tests.functional.localcloud.one_endpoint import ACCOUNT, STANDBY, OneEndpoint, one_endpoint

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  EnvironmentName: {Type: String, Default: test}
  PeerRegion: {Type: String}
  Interval: {Type: Number, Default: 10, AllowedValues: [10, 30]}
Conditions:
  Never: !Equals [!Ref EnvironmentName, other]
Globals:
  Function: {Runtime: python3.13, Handler: app.handler, Timeout: 10}
Resources:
  Vault:
    Type: AWS::S3::Bucket
    Properties:
      BucketName: !Sub mldr-${EnvironmentName}-vault-${AWS::Region}
      ObjectLockEnabled: true
      VersioningConfiguration: {Status: Enabled}
      PublicAccessBlockConfiguration: {BlockPublicAcls: true, BlockPublicPolicy: true}
      BucketEncryption:
        ServerSideEncryptionConfiguration:
          - {BucketKeyEnabled: true, ServerSideEncryptionByDefault: {SSEAlgorithm: aws:kms, KMSMasterKeyID: !GetAtt Key.Arn}}
      LifecycleConfiguration:
        Rules: [{Id: parts, Status: Enabled, AbortIncompleteMultipartUpload: {DaysAfterInitiation: 7}}]
  Key: {Type: AWS::KMS::Key, Properties: {EnableKeyRotation: true}}
  Never:
    Type: AWS::SNS::Topic
    Condition: Never
  Bus: {Type: AWS::Events::EventBus, Properties: {Name: mldr}}
  Dead: {Type: AWS::SQS::Queue, Properties: {QueueName: dead}}
  Queue:
    Type: AWS::SQS::Queue
    Properties: {QueueName: work, VisibilityTimeout: 60, RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 3}}
  Rule:
    Type: AWS::Events::Rule
    Properties: {EventBusName: !Ref Bus, EventPattern: {source: [mldr]}, Targets: [{Id: q, Arn: !GetAtt Queue.Arn}]}
  Catalog:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: !Sub mldr-${EnvironmentName}-catalog
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
      PointInTimeRecoverySpecification: {PointInTimeRecoveryEnabled: true}
      DeletionProtectionEnabled: true
  Layer: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: layer}}
  Door:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: door
      CodeUri: door
      Layers: [!Ref Layer]
      Environment: {Variables: {BUCKET: !Ref Vault, INTERVAL: !Ref Interval}}
      Policies: [{Version: "2012-10-17", Statement: [{Effect: Allow, Action: "s3:PutObject", Resource: !Sub "${Vault.Arn}/*"}]}]
      Events:
        Work: {Type: SQS, Properties: {Queue: !GetAtt Queue.Arn, FunctionResponseTypes: [ReportBatchItemFailures], ScalingConfig: {MaximumConcurrency: 2}}}
        Ask: {Type: HttpApi, Properties: {Path: "/models/{model}/health", Method: GET}}
  Machine:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: machine
      DefinitionUri: machine.asl.json
      DefinitionSubstitutions: {DoorArn: !GetAtt Door.Arn}
      Policies: [{LambdaInvokePolicy: {FunctionName: !Ref Door}}]
  Alarm:
    Type: AWS::CloudWatch::Alarm
    Properties: {AlarmName: dead-letters, Namespace: AWS/SQS, MetricName: X, Statistic: Maximum, Period: 60, EvaluationPeriods: 1, Threshold: 0, ComparisonOperator: GreaterThanThreshold}
Outputs:
  VaultBucketName: {Value: !Ref Vault}
  Queues: {Value: !Join [",", [!Ref Queue, !Ref Dead]]}
  Peer: {Value: !If [Never, nobody, !Ref PeerRegion]}
"""  # noqa: E501 - one property list per line reads better
TAG = {"Key": "state", "Value": "released"}
KEEP_SOME = {"NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 2}}
MACHINE = {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "${DoorArn}", "End": True}}}


@pytest.fixture
def endpoint() -> Iterator[OneEndpoint]:
    with one_endpoint() as running:
        yield running


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in {
        "template.yaml": TEMPLATE,
        "door/app.py": "def handler(event, context): ...",
        "layer/mldr/__init__.py": "",
        "layer/requirements.txt": "boto3",
        "machine.asl.json": json.dumps(MACHINE),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def place(endpoint: OneEndpoint) -> Place:
    return Place(endpoint.server.url, STANDBY, ACCOUNT, "mldr-test")


def one(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Resources": {"Thing": {"Type": kind, "Properties": properties}}}


def deploy(endpoint: OneEndpoint, root: Path, **overrides: str) -> Stack:
    return Deployment(
        root / "template.yaml", endpoint.server.url, STANDBY, ACCOUNT, overrides, {"PeerRegion": "peer-1"}
    ).run()


@pytest.fixture
def managed_policies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")


@pytest.mark.usefixtures("managed_policies")
def test_a_sam_template_stands_with_every_property(endpoint: OneEndpoint, root: Path) -> None:
    stack = deploy(endpoint, root, Interval="30")
    vault = f"mldr-test-vault-{STANDBY}"
    assert stack.outputs["VaultBucketName"] == vault
    assert stack.outputs["Peer"] == "peer-1"
    assert [url.rpartition("/")[2] for url in stack.outputs["Queues"].split(",")] == ["work", "dead"]
    assert "Never" not in stack.resources
    _assert_storage(endpoint, vault)
    _assert_function(endpoint, vault)
    machine = endpoint.client("stepfunctions").list_state_machines()["stateMachines"][0]["stateMachineArn"]
    definition = endpoint.client("stepfunctions").describe_state_machine(stateMachineArn=machine)["definition"]
    assert json.loads(definition)["States"]["A"]["Resource"].endswith(":function:door")


def _assert_storage(endpoint: OneEndpoint, vault: str) -> None:
    s3, dynamodb = endpoint.client("s3"), endpoint.client("dynamodb")
    assert s3.get_object_lock_configuration(Bucket=vault)["ObjectLockConfiguration"]["ObjectLockEnabled"] == "Enabled"
    assert s3.get_bucket_lifecycle_configuration(Bucket=vault)["Rules"][0]["ID"] == "parts"
    rule = s3.get_bucket_encryption(Bucket=vault)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"].startswith("arn:aws:kms:")
    backups = dynamodb.describe_continuous_backups(TableName="mldr-test-catalog")["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    assert dynamodb.describe_table(TableName="mldr-test-catalog")["Table"]["DeletionProtectionEnabled"]


def _assert_function(endpoint: OneEndpoint, vault: str) -> None:
    found = endpoint.client("lambda").get_function_configuration(FunctionName="door")
    assert found["Environment"]["Variables"] == {"BUCKET": vault, "INTERVAL": "30"}
    assert len(found["Layers"]) == 1
    mapping = endpoint.client("lambda").list_event_source_mappings()["EventSourceMappings"][0]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    api = endpoint.client("apigatewayv2").get_apis()["Items"][0]["ApiId"]
    routes = endpoint.client("apigatewayv2").get_routes(ApiId=api)["Items"]
    assert [route["RouteKey"] for route in routes] == ["GET /models/{model}/health"]


def test_an_unknown_type_and_an_unknown_property_are_refused_before_anything_stands(endpoint: OneEndpoint) -> None:
    template = one("AWS::SQS::Queue", QueueName="q", Colour="red")
    template["Resources"]["Odd"] = {"Type": "AWS::Kinesis::Stream"}
    template["Resources"]["Good"] = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "good"}}
    with pytest.raises(UnknownInTemplate, match=r"(?s)Thing.*Colour.*Odd.*AWS::Kinesis::Stream"):
        create(template, {}, place(endpoint))
    assert "QueueUrls" not in endpoint.client("sqs").list_queues()


@pytest.mark.parametrize(
    ("template", "named"),
    [
        ({**one("AWS::SQS::Queue"), "Rules": {}}, "Rules"),
        ({"Resources": {"Q": {"Type": "AWS::SQS::Queue", "CreationPolicy": {}}}}, "CreationPolicy"),
        (one("AWS::SQS::Queue", QueueName={"Fn::ImportValue": "x"}), "Fn::ImportValue"),
        (one("AWS::SQS::Queue", QueueName={"Fn::GetAZs": ""}), "Fn::GetAZs"),
        (one("AWS::SQS::Queue", QueueName={"Ref": "Nobody"}), "Ref Nobody"),
        (one("AWS::S3::Bucket", NotificationConfiguration={"QueueConfigurations": []}), "QueueConfigurations"),
        (one("AWS::S3::Bucket", LifecycleConfiguration={"Rules": [{"Status": "Enabled", "Odd": 1}]}), "Odd"),
        (
            one("AWS::S3::Bucket", LifecycleConfiguration={"Rules": [{"Status": "Enabled", **KEEP_SOME}]}),
            "NoncurrentVersionExpiration.NewerNoncurrentVersions",
        ),
    ],
)
def test_what_is_not_known_is_refused_by_name(endpoint: OneEndpoint, template: dict[str, Any], named: str) -> None:
    with pytest.raises(DeployError, match=named):
        create(template, {}, place(endpoint))


def test_a_bucket_keeps_every_lifecycle_rule_and_its_default_retention(endpoint: OneEndpoint) -> None:
    rules = [
        {"Id": "markers", "Status": "Enabled", "ExpiredObjectDeleteMarker": True},
        {"Id": "old", "Status": "Enabled", "Prefix": "a/", "ExpirationInDays": 3, "TagFilters": [TAG]},
        {"Id": "versions", "Status": "Disabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 1}},
        {"Id": "parts", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}},
    ]
    retention = {"Mode": "GOVERNANCE", "Days": 5}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}}
    properties = {
        "ObjectLockEnabled": True,
        "ObjectLockConfiguration": lock,
        "LifecycleConfiguration": {"Rules": rules},
    }
    create(one("AWS::S3::Bucket", BucketName="vault", **properties), {}, place(endpoint))
    s3 = endpoint.client("s3")
    found = {rule.pop("ID"): rule for rule in s3.get_bucket_lifecycle_configuration(Bucket="vault")["Rules"]}
    assert list(found) == ["markers", "old", "versions", "parts"]
    assert found["markers"]["Expiration"] == {"ExpiredObjectDeleteMarker": True}
    assert found["old"]["Filter"] == {"And": {"Prefix": "a/", "Tags": [TAG]}}
    assert (found["old"]["Expiration"], found["versions"]["Status"]) == ({"Days": 3}, "Disabled")
    assert found["versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
    assert found["parts"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    kept = s3.get_object_lock_configuration(Bucket="vault")["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    assert {name: kept[name] for name in retention} == retention


@pytest.mark.parametrize(
    ("configuration", "told"),
    [
        ({}, False),
        ({"EventBridgeConfiguration": {}}, True),
        ({"EventBridgeConfiguration": {"EventBridgeEnabled": True}}, True),
        ({"EventBridgeConfiguration": {"EventBridgeEnabled": False}}, False),
    ],
)
def test_a_bucket_tells_event_bridge_when_its_template_says_so(
    endpoint: OneEndpoint, configuration: dict[str, Any], told: bool
) -> None:
    create(one("AWS::S3::Bucket", BucketName="lake", NotificationConfiguration=configuration), {}, place(endpoint))
    found = endpoint.client("s3").get_bucket_notification_configuration(Bucket="lake")
    assert ("EventBridgeConfiguration" in found) is told


def test_a_table_forgets_by_the_attribute_that_its_template_names(endpoint: OneEndpoint) -> None:
    keys: dict[str, Any] = {
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    keys["KeySchema"] = [{"AttributeName": "pk", "KeyType": "HASH"}]
    expiry = {"TimeToLiveSpecification": {"Enabled": True, "AttributeName": "expires"}}
    create(one("AWS::DynamoDB::Table", TableName="catalog", **keys, **expiry), {}, place(endpoint))
    found = endpoint.client("dynamodb").describe_time_to_live(TableName="catalog")["TimeToLiveDescription"]
    assert found == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}


def test_an_unknown_attribute_says_which_ones_are_known(endpoint: OneEndpoint) -> None:
    template = one("AWS::SQS::Queue", QueueName="q")
    template["Outputs"] = {"Age": {"Value": {"Fn::GetAtt": ["Thing", "Age"]}}}
    with pytest.raises(UnknownInTemplate, match=r"output Age.*Thing\.Age.*Arn, QueueName, QueueUrl"):
        create(template, {}, place(endpoint))


def test_a_failing_resource_is_named_with_aws_s_reason(endpoint: OneEndpoint) -> None:
    template = one("AWS::SNS::Topic", TopicName="no spaces allowed")
    with pytest.raises(DeployError, match=rf"Thing \(AWS::SNS::Topic\) in {STANDBY}.*Topic names"):
        create(template, {}, place(endpoint))


def test_a_missing_required_property_is_named(endpoint: OneEndpoint) -> None:
    with pytest.raises(DeployError, match=r"Thing.*RoleArn|Thing.*DefinitionString"):
        create(one("AWS::StepFunctions::StateMachine"), {}, place(endpoint))


def test_text_from_a_template_becomes_what_the_api_wants(endpoint: OneEndpoint) -> None:
    create(one("AWS::SQS::Queue", QueueName="q", VisibilityTimeout=60, SqsManagedSseEnabled=True), {}, place(endpoint))
    rule = one("AWS::Events::Rule", Name="r", ScheduleExpression="rate(1 minute)", State="DISABLED")
    create(rule, {}, place(endpoint))
    url = endpoint.client("sqs").get_queue_url(QueueName="q")["QueueUrl"]
    found = endpoint.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert found["VisibilityTimeout"] == "60"


def test_parameters_are_checked_all_at_once() -> None:
    declared = {
        "Peer": {"Type": "String"},
        "Interval": {"Type": "Number", "AllowedValues": [10, 30]},
        "Name": {"Type": "String", "AllowedPattern": "[a-z]+"},
        "Count": {"Type": "Number", "MinValue": 1, "MaxValue": 3},
    }
    with pytest.raises(DeployError) as refusal:
        resolve(declared, {"Interval": "20", "Name": "Prod", "Count": "7", "Typo": "x"})
    for named in ("Peer", "Interval", "Name", "Count", "Typo"):
        assert named in str(refusal.value)


def test_of_a_list_each_item_has_to_match() -> None:
    declared = {"Roles": {"Type": "CommaDelimitedList", "AllowedPattern": "(role/[a-z]+)?", "Default": ""}}
    assert resolve(declared, {}) == {"Roles": []}
    assert resolve(declared, {"Roles": "role/a, role/b"}) == {"Roles": ["role/a", "role/b"]}
    with pytest.raises(DeployError, match="'b' does not match"):
        resolve(declared, {"Roles": "role/a,b"})


def test_lists_come_apart_and_defaults_hold() -> None:
    declared = {"Buckets": {"Type": "CommaDelimitedList"}, "Ttl": {"Type": "Number", "Default": 30}}
    assert resolve(declared, {"Buckets": "a, b"}) == {"Buckets": ["a", "b"], "Ttl": "30"}


@pytest.mark.parametrize("overrides", ['"A=1 B=two"', '["A=1", "B=two"]'])
def test_samconfig_gives_the_parameters_of_its_environment(tmp_path: Path, overrides: str) -> None:
    config = tmp_path / "samconfig.toml"
    config.write_text(f"[here.deploy.parameters]\nparameter_overrides = {overrides}\n")
    assert from_samconfig(config, "here") == {"A": "1", "B": "two"}
    assert from_samconfig(config, "there") == {}


def test_every_intrinsic_function_gives_what_cloudformation_gives() -> None:
    scope = Scope(
        {"Env": "prod", "List": ["a", "b"]},
        {"AWS::Region": STANDBY},
        {"Map": {"x": {"y": "z"}}},
        {"IsProd": {"Fn::Equals": [{"Ref": "Env"}, "prod"]}, "Not": {"Fn::Not": [{"Condition": "IsProd"}]}},
        {"Queue": "url"},
        {"Queue": {"Arn": "arn"}},
    )
    resolved = scope.resolve(
        yaml.safe_load("""
        sub: {"Fn::Sub": "${Env}-${AWS::Region}-${Queue}-${Queue.Arn}-${!Literal}"}
        local: {"Fn::Sub": ["${X}", {X: {Ref: Env}}]}
        join: {"Fn::Join": ["+", {Ref: List}]}
        select: {"Fn::Select": [1, {"Fn::Split": [",", "p,q"]}]}
        chosen: {"Fn::If": [IsProd, yes-it-is, {Ref: Missing}]}
        gone: {"Fn::If": [Not, x, {Ref: "AWS::NoValue"}]}
        items: [{Ref: "AWS::NoValue"}, 1]
        map: {"Fn::FindInMap": [Map, x, y]}
        both: {"Fn::And": [{Condition: IsProd}, {"Fn::Or": [{Condition: Not}, {Condition: IsProd}]}]}
        """)
    )
    assert resolved == {
        "sub": f"prod-{STANDBY}-url-arn-${{Literal}}",
        "local": "prod",
        "join": "a+b",
        "select": "q",
        "chosen": "yes-it-is",
        "items": [1],
        "map": "z",
        "both": True,
    }


def test_a_policy_s_condition_block_is_not_a_function() -> None:
    scope = Scope({}, {}, {}, {}, {}, {})
    statement = {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    assert scope.resolve(statement) == statement


def test_what_is_referred_to_comes_first() -> None:
    resources = {
        "A": {"Properties": {"x": {"Fn::Sub": "${B.Arn}"}}, "DependsOn": "C"},
        "B": {"Properties": {"y": {"Fn::GetAtt": ["D", "Arn"]}}},
        "C": {"Properties": {"z": {"Ref": "D"}}},
        "D": {},
    }
    order = creation_order(resources)
    assert order[0] == "D"
    assert order[-1] == "A"
    with pytest.raises(DeployError, match="circle"):
        creation_order({"A": {"Properties": {"Ref": "B"}}, "B": {"Properties": {"Ref": "A"}}})
    with pytest.raises(DeployError, match="DependsOn names Nobody"):
        creation_order({"A": {"DependsOn": "Nobody"}})


def test_an_archive_is_the_same_for_the_same_code_and_a_layer_holds_only_packages(tmp_path: Path) -> None:
    (tmp_path / "mldr" / "__pycache__").mkdir(parents=True)
    (tmp_path / "mldr" / "__init__.py").write_text("")
    (tmp_path / "mldr" / "__pycache__" / "x.pyc").write_text("")
    (tmp_path / "requirements.txt").write_text("boto3")
    packed = archive(tmp_path, under="python", packages_only=True)
    assert zipfile.ZipFile(io.BytesIO(packed)).namelist() == ["python/mldr/__init__.py"]
    assert packed == archive(tmp_path, under="python", packages_only=True)


def test_a_missing_code_folder_is_named(endpoint: OneEndpoint, root: Path) -> None:
    (root / "door" / "app.py").unlink()
    (root / "door").rmdir()
    with pytest.raises(DeployError, match=r"Door: .*door does not exist"):
        deploy(endpoint, root)


def test_every_maker_says_what_it_makes() -> None:
    for kind, (maker, properties) in MAKERS.items():
        assert maker.__doc__, kind
        assert properties, kind
