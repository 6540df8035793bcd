"""template.yaml, the code and the laws tell the same story."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud.deploy.translate import load
from mldr.domain.tiers import DELETES
from mldr.settings import Settings

ROOT = Path(__file__).parents[2]
TEMPLATE = load(ROOT / "template.yaml")
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
GLOBALS = TEMPLATE["Globals"]["Function"]
# Given by Lambda itself, or only needed where the network is not AWS's.
NOT_FROM_THE_TEMPLATE = {"aws_region", "dns_resolver", "gateway_transport"}
# AWS has no resource-level permissions for these.
ANYWHERE = {
    "application-autoscaling:DescribeScalableTargets",
    "application-autoscaling:DescribeScalingPolicies",
    "application-autoscaling:DescribeScheduledActions",
    "cloudwatch:GetMetricData",
    "cloudwatch:PutMetricData",
    "ecr:GetAuthorizationToken",
    "route53:CreateHealthCheck",
    "route53:ListHostedZonesByName",
    "s3:CreateJob",
    "sagemaker:ListEndpoints",
    "sagemaker:ListInferenceComponents",
    "sagemaker:ListModelPackageGroups",
    "servicequotas:ListAWSDefaultServiceQuotas",
    "servicequotas:ListServiceQuotas",
}


def of_type(*kinds: str) -> dict[str, dict[str, Any]]:
    """The properties of every resource of these types."""
    return {name: one.get("Properties", {}) for name, one in RESOURCES.items() if one["Type"] in kinds}


FUNCTIONS = of_type("AWS::Serverless::Function")
QUEUES = of_type("AWS::SQS::Queue")


def folder(function: dict[str, Any]) -> Path:
    """Where a function's code is."""
    return ROOT / function["CodeUri"]


def many(value: Any) -> list[Any]:
    """One or a list, as a list."""
    return value if isinstance(value, list) else [value]


def statements() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every statement of every role, and whose it is."""
    roles = of_type("AWS::Serverless::Function", "AWS::Serverless::StateMachine", "AWS::IAM::Role")
    for name, role in roles.items():
        for policy in role.get("Policies", []):
            document = policy.get("PolicyDocument", policy)
            yield from ((name, _as_if_it_held(statement)) for statement in document["Statement"])


def _as_if_it_held(statement: dict[str, Any]) -> dict[str, Any]:
    """A statement that only some parameters bring is judged as if they were given."""
    return statement["Fn::If"][1] if "Fn::If" in statement else statement


def allowed() -> Iterator[tuple[str, str, Any]]:
    """(role, action, resource) of everything that is allowed."""
    for name, statement in statements():
        for action in many(statement["Action"]):
            for resource in many(statement["Resource"]):
                yield name, action, resource


# settings


def used_settings() -> dict[str, set[str]]:
    """The settings that each port of wiring.World reads to build its adapter."""
    rooms = [ast.parse(path.read_text()) for path in (ROOT / "layers/core/mldr/wiring").glob("*.py")]
    bodies = [node.body for room in rooms for node in room.body if isinstance(node, ast.ClassDef)]
    return {
        method.name: {node.attr for node in ast.walk(method) if isinstance(node, ast.Attribute) and _is_env(node.value)}
        for body in bodies
        for method in body
        if isinstance(method, ast.FunctionDef)
    }


def _is_env(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "env"


def needed_settings(path: Path) -> set[str]:
    """What a door reads itself, and what the ports that it takes read."""
    ports, needed = used_settings(), set()
    for node in ast.walk(ast.parse((path / "app.py").read_text())):
        if isinstance(node, ast.Attribute) and _is_env(node.value):
            needed.add(node.attr)
        elif isinstance(node, ast.Attribute) and node.attr in ports:
            needed |= ports[node.attr]
    derived = derived_settings()
    return {one for name in needed for one in derived.get(name, {name})}


def derived_settings() -> dict[str, set[str]]:
    """What each property of the settings is made from."""
    tree = ast.parse((ROOT / "layers/core/mldr/settings.py").read_text())
    [settings] = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return {
        method.name: {
            node.attr
            for node in ast.walk(method)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
        }
        for method in settings.body
        if isinstance(method, ast.FunctionDef)
    }


def given_settings(function: dict[str, Any]) -> set[str]:
    """The variables of a function, those of all functions among them."""
    own = function.get("Environment", {}).get("Variables", {})
    return {name.lower() for name in (*GLOBALS["Environment"]["Variables"], *own)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_given_every_setting_that_it_reads(name):
    missing = needed_settings(folder(FUNCTIONS[name])) - given_settings(FUNCTIONS[name]) - NOT_FROM_THE_TEMPLATE
    assert missing == set()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_given_no_variable_that_it_does_not_read(name):
    own = {one.lower() for one in FUNCTIONS[name].get("Environment", {}).get("Variables", {})}
    assert own <= needed_settings(folder(FUNCTIONS[name]))


def test_every_setting_is_given_somewhere():
    given = set().union(*(given_settings(function) for function in FUNCTIONS.values()))
    assert set(Settings.model_fields) - given == NOT_FROM_THE_TEMPLATE
    assert given - set(Settings.model_fields) == {"powertools_service_name"}


def test_every_required_setting_is_given_to_all():
    required = {name for name, field in Settings.model_fields.items() if field.is_required()}
    assert required - {"aws_region"} <= {name.lower() for name in GLOBALS["Environment"]["Variables"]}


def test_every_function_folder_is_deployed_under_its_own_name():
    deployed = {folder(function).name: function["FunctionName"]["Fn::Sub"] for function in FUNCTIONS.values()}
    assert set(deployed) == {path.parent.name for path in (ROOT / "functions").glob("*/app.py")}
    for name, deployed_as in deployed.items():
        assert deployed_as == "mldr-${EnvironmentName}-" + name.replace("_", "-")


def test_the_regions_of_samconfig_give_parameters_that_exist_and_are_each_others_peer():
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    pair = {}
    for region in [name for name in config if name not in ("version", "default")]:
        table = config[region]["deploy"]["parameters"]
        given = dict(one.split("=", 1) for one in table["parameter_overrides"].split())
        assert set(given) <= set(TEMPLATE["Parameters"])
        assert set(TEMPLATE["Parameters"]) - set(given) == {
            name for name in set(TEMPLATE["Parameters"]) - set(given) if "Default" in TEMPLATE["Parameters"][name]
        }
        assert table["region"] == region
        pair[region] = (given["PeerRegion"], given["DnsOwner"])
    (one, (peer_of_one, owner)), (other, (peer_of_other, same_owner)) = pair.items()
    assert (peer_of_one, peer_of_other, owner) == (other, one, same_owner)


# queues


def fed_functions() -> dict[str, dict[str, Any]]:
    """Functions that a queue feeds."""
    return {
        name: function
        for name, function in FUNCTIONS.items()
        if any(event["Type"] == "SQS" for event in function.get("Events", {}).values())
    }


@pytest.mark.parametrize("name", fed_functions())
def test_a_queue_waits_six_times_as_long_as_its_function_and_failures_stay_single(name):
    function = FUNCTIONS[name]
    for event in function["Events"].values():
        queue = (
            QUEUES[event["Properties"]["Queue"]["Fn::GetAtt"].split(".")[0]]
            if isinstance(event["Properties"]["Queue"]["Fn::GetAtt"], str)
            else QUEUES[event["Properties"]["Queue"]["Fn::GetAtt"][0]]
        )
        assert queue["VisibilityTimeout"] >= 6 * function.get("Timeout", GLOBALS["Timeout"])
        assert event["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert event["Properties"]["ScalingConfig"]["MaximumConcurrency"] >= 2


def logical(value: Any) -> str:
    """The logical id in a Ref or a GetAtt."""
    found = value.get("Ref") or value["Fn::GetAtt"]
    return str((found.split(".") if isinstance(found, str) else found)[0])


def dead_letter_queues() -> set[str]:
    """Queues that receive what failed elsewhere."""
    redriven = {
        logical(queue["RedrivePolicy"]["deadLetterTargetArn"]) for queue in QUEUES.values() if "RedrivePolicy" in queue
    }
    targets = [target for rule in of_type("AWS::Events::Rule").values() for target in rule["Targets"]]
    return redriven | {logical(target["DeadLetterConfig"]["Arn"]) for target in targets}


def test_every_queue_has_a_dead_letter_queue_or_is_one():
    for name, queue in QUEUES.items():
        assert name in dead_letter_queues() or queue["RedrivePolicy"]["maxReceiveCount"] >= 3, name


def test_every_dead_letter_queue_keeps_messages_for_two_weeks_pages_and_is_an_output():
    watched = {
        logical(dimension["Value"])
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        for dimension in alarm["Dimensions"]
        if dimension["Name"] == "QueueName" and alarm["Threshold"] == 0 and alarm["AlarmActions"] == [{"Ref": "Pages"}]
    }
    told = {logical(one) for one in TEMPLATE["Outputs"]["DeadLetterQueueUrls"]["Value"]["Fn::Join"][1]}
    assert watched >= dead_letter_queues()
    assert told == dead_letter_queues()
    assert {QUEUES[name]["MessageRetentionPeriod"] for name in dead_letter_queues()} == {14 * 86400}


def test_every_rule_says_where_undelivered_events_go():
    for name, rule in of_type("AWS::Events::Rule").items():
        for target in rule["Targets"]:
            assert logical(target["DeadLetterConfig"]["Arn"]) == "UndeliveredQueue", name


# laws


def test_no_role_can_delete_a_version_shorten_a_retention_or_bypass_governance():
    """Law 4."""
    forbidden = re.compile(
        r"s3:(\*|Delete|BypassGovernanceRetention|PutBucketObjectLock|PutLifecycle|PutObjectLegalHold|PutBucket)"
        r"|dynamodb:(\*|Delete)|kms:(\*|ScheduleKeyDeletion|DisableKey)|logs:Delete(Log(Group|Stream))"
    )
    assert [(name, action) for name, action, _ in allowed() if forbidden.match(action)] == []


def test_no_role_has_a_wildcard_action_or_touches_roles():
    for name, action, resource in allowed():
        assert "*" not in action, name
        if action.startswith("iam:"):
            assert action == "iam:PassRole", name
            assert logical(resource) in PASSED_TO, name


PASSED_TO = {
    "ServingRole": "sagemaker.amazonaws.com",
    "ServingRoleArns": "sagemaker.amazonaws.com",
    "DigestRole": "batchoperations.s3.amazonaws.com",
}


def test_a_role_is_only_passed_to_the_service_that_is_to_use_it():
    passing = [one for _, one in statements() if "iam:PassRole" in many(one["Action"])]
    assert {logical(one["Resource"]) for one in passing} == set(PASSED_TO)
    for statement in passing:
        service = PASSED_TO[logical(statement["Resource"])]
        assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": service}}


def test_what_may_be_passed_is_named_whole_and_only_where_models_are_created():
    parameter = TEMPLATE["Parameters"]["ServingRoleArns"]
    accepted = re.compile(parameter["AllowedPattern"])
    assert accepted.fullmatch(parameter["Default"])
    assert accepted.fullmatch("arn:aws:iam::123456789012:role/teams/risk-serving")
    for wide in ("*", "arn:aws:iam::123456789012:role/*", "arn:aws:iam::*:role/x", "arn:aws:iam::123456789012:root"):
        assert not accepted.fullmatch(wide), wide
    passing = {(name, logical(one["Resource"])) for name, one in statements() if "iam:PassRole" in many(one["Action"])}
    creating = {name for name, action, _ in allowed() if action == "sagemaker:CreateModel"}
    passed = ("ServingRole", "ServingRoleArns")
    assert {one for one in passing if one[1] in passed} == {(name, role) for name in creating for role in passed}


def test_a_role_that_may_be_passed_can_read_what_models_are_restored_from_and_nothing_else():
    vault = RESOURCES["VaultPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    key = RESOURCES["VaultKey"]["Properties"]["KeyPolicy"]["Statement"]
    theirs = [_as_if_it_held(one) for one in (*vault, *key) if "Fn::If" in one]
    assert {logical(one["Principal"]["AWS"]) for one in theirs} == {"ServingRoleArns"}
    granted = {(one["Action"], str(one["Resource"])) for one in theirs}
    own = RESOURCES["ServingRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    reads = {(one["Action"], str(one["Resource"])) for one in own if one["Action"] in ("s3:GetObject", "s3:ListBucket")}
    questions = ("s3:GetObject", str({"Fn::Sub": "${Vault.Arn}/in-progress/questions/*"}))  # of golden inferences
    assert granted == {*reads, questions, ("kms:Decrypt", "*")}


def test_only_what_has_no_resources_is_allowed_on_all_of_them():
    everywhere = {action for _, action, resource in allowed() if resource == "*"}
    assert {action for action in everywhere if not action.startswith("logs:")} == ANYWHERE
    assert {one for one in everywhere if one.startswith("logs:")} <= {
        "logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery",
        "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups",
    }  # fmt: skip


RECOVERY = {
    "plan_evacuation",
    "recover_model",
    "conclude_evacuation",
    "decide_failover",
    "claim_epoch",
    "find_endpoint",
    "materialise_serving",
    "restore_serving",
    "warm_serving",
    "verify_serving",
    "flip_switch",
    "confirm_takeover",
    "conclude_failover",
    "resume_failovers",
}


@pytest.mark.parametrize("name", [name for name, one in FUNCTIONS.items() if folder(one).name in RECOVERY])
def test_recovery_may_not_even_call_the_peer_region_or_a_control_plane(name):
    """Law 1: what a role does not allow cannot be relied on."""
    for owner, action, resource in allowed():
        if owner == name:
            assert "PeerRegion" not in str(resource)
            assert not action.startswith(("route53:", "cloudformation:", "s3:CreateBucket", "s3:PutBucket", "ssm:"))
            assert not action.startswith("iam:") or action == "iam:PassRole"


def test_who_may_page_may_use_the_key_that_the_topic_is_encrypted_with():
    key = logical(RESOURCES["Pages"]["Properties"]["KmsMasterKeyId"])
    for owner in {owner for owner, action, _ in allowed() if action == "sns:Publish"}:
        used = {action for who, action, resource in allowed() if who == owner and key in str(resource)}
        assert {"kms:Decrypt", "kms:GenerateDataKey"} <= used, owner


def test_the_active_region_only_forwards():
    """Law 2: the one thing that crosses from the active region is an event; its role can put it and nothing else.

    Whatever else reaches over only reads (the registry, where the gateway is, what the peer's vault lends), or puts an
    alarm that Route 53 follows.
    """
    reads = r"(sagemaker:(Describe|List)|cloudwatch:DescribeAlarms|ssm:GetParameter|s3:(Get|List)|kms:Decrypt)"
    crossing = [
        (name, action)
        for name, action, resource in allowed()
        if "PeerRegion" in str(resource) and not re.match(reads, action)
    ]
    # The data of an alarm lies where it is published: onboarding and another tier, never recovery, put it there.
    alarms = [(name, "cloudwatch:PutMetricAlarm") for name in ("ConvergeServingFunction", "OnboardModelFunction")]
    assert sorted(crossing) == sorted([*alarms, ("ForwardRole", "events:PutEvents")])


def test_alarms_that_trigger_steps_are_put_by_what_restores_and_deleted_by_what_lets_go():
    """Application Auto Scaling has its own, TargetTracking-*, made and deleted in the caller's name."""
    scaling = sorted(
        (name, action)
        for name, action, resource in allowed()
        if re.search(r"alarm:mldr-scaling-\*", str(resource)) and action.startswith("cloudwatch:")
    )
    assert scaling == [
        ("ConvergeServingFunction", "cloudwatch:DeleteAlarms"),
        ("ConvergeServingFunction", "cloudwatch:PutMetricAlarm"),
        ("RestoreServingFunction", "cloudwatch:PutMetricAlarm"),
    ]


def test_what_cannot_be_made_again_is_kept_but_does_not_stand_in_the_way_of_a_first_deploy():
    """What a rolled back creation leaves has a fixed name, so the next try would find it there already.

    A protected table cannot be deleted by a rollback either, which would then fail.
    """
    kept = {name: one["DeletionPolicy"] for name, one in RESOURCES.items() if "DeletionPolicy" in one}
    assert kept.pop("Catalog") == "Retain"
    assert RESOURCES["Catalog"]["Properties"]["DeletionProtectionEnabled"] is True
    assert kept == dict.fromkeys(("VaultKey", "Vault", "ConfigBucket", "Zone"), "RetainExceptOnCreate")
    assert {RESOURCES[name]["UpdateReplacePolicy"] for name in (*kept, "Catalog")} == {"Retain"}


def test_the_vault_is_locked_versioned_private_and_kept():
    vault = RESOURCES["Vault"]
    assert (vault["DeletionPolicy"], vault["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert vault["Properties"]["ObjectLockEnabled"] is True
    denied = {
        statement["Sid"]: statement
        for statement in map(_as_if_it_held, RESOURCES["VaultPolicy"]["Properties"]["PolicyDocument"]["Statement"])
    }
    assert denied["SealedStaysSealed"]["Effect"] == "Deny"
    assert denied["SealedStaysSealed"]["Principal"] == "*"
    assert {"s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"} <= set(denied["SealedStaysSealed"]["Action"])


@pytest.mark.parametrize("name", of_type("AWS::S3::Bucket"))
def test_every_bucket_is_versioned_private_and_speaks_tls_only(name):
    bucket = RESOURCES[name]["Properties"]
    assert bucket["VersioningConfiguration"]["Status"] == "Enabled"
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    policies = [one for one in of_type("AWS::S3::BucketPolicy").values() if logical(one["Bucket"]) == name]
    tls = [one for policy in policies for one in policy["PolicyDocument"]["Statement"] if one.get("Sid") == "TlsOnly"]
    assert [(one["Effect"], one["Condition"]) for one in tls] == [("Deny", {"Bool": {"aws:SecureTransport": "false"}})]


def test_the_catalog_is_protected_and_restorable():
    table = RESOURCES["Catalog"]["Properties"]
    assert table["DeletionProtectionEnabled"] is True
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True


def test_every_log_group_forgets_in_time():
    groups = of_type("AWS::Logs::LogGroup")
    assert groups
    assert all(group["RetentionInDays"] for group in groups.values())


def test_what_is_being_deleted_is_held_for_longer_than_the_function_that_deletes_it_can_run():
    runs = RESOURCES["ConvergeServingFunction"]["Properties"]["Timeout"]
    assert DELETES.total_seconds() > runs
