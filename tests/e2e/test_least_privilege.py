"""Law 11, both ways: no call of the stack was refused for want of a permission, and no permission was never used."""

import re
from typing import NamedTuple

import pytest

from tests.e2e.cloud import ACTIVE, STANDBY

STACK_ROLE = re.compile(r"mldr-prod-(?P<logical>\w+?)(Function)?Role-[0-9a-f]{12}")
EVERY_FUNCTION, EVERY_MACHINE = "every function", "every state machine"
WRITES_LOGS = "logs:CreateLogGroup logs:CreateLogStream logs:PutLogEvents"
ONLY_LARGE = "CopyParts"
VAULT, CONFIG = "s3:::mldr-prod-vault-", "s3:::mldr-prod-config-"


class Exempt(NamedTuple):
    """Actions that some roles are granted on some resource, that this session never needs, and why they are granted."""

    roles: str
    actions: str
    resource: str
    why: str


EXEMPT = (
    Exempt(EVERY_FUNCTION, WRITES_LOGS, "*", "Lambda writes the log with it; the local cloud writes its log itself"),
    Exempt(
        EVERY_MACHINE,
        "logs:CreateLogDelivery logs:GetLogDelivery logs:UpdateLogDelivery logs:DeleteLogDelivery "
        "logs:ListLogDeliveries logs:PutResourcePolicy logs:DescribeResourcePolicies logs:DescribeLogGroups",
        "*", "Step Functions delivers its log with it; the local cloud writes that itself",
    ),
    Exempt(
        "ProtectStateMachine", "states:StartExecution states:DescribeExecution states:StopExecution", "protect",
        "a Distributed Map runs its items as executions; the local interpreter runs them inside",
    ),
    Exempt(
        "ClaimEpoch FindEndpoint ConcludeFailover ConcludeProtection DecideFailover RestoreServing SealRecoveryPoint "
        "SyncRegistry VerifyServing WarmServing", "s3:ListBucket", VAULT,
        "without it a missing object looks forbidden; here none that they read is missing",
    ),
    Exempt(
        "CaptureRecoveryPoint DecideFailover GateMove KeepPredictions PredictGateway", "s3:ListBucket", CONFIG,
        "without it a missing policy looks forbidden; here there is one",
    ),
    Exempt(
        "ResumeFailovers", "dynamodb:PutItem", "*",
        "concludes a claim whose write arrived after its work had ended; here no write is late",
    ),
    Exempt(
        "TakeInventory CopyObjects MaterialiseServing", "s3:ListBucketMultipartUploads", VAULT,
        "finds the upload of a copy in parts, which begins at 5 GB",
    ),
    Exempt(
        "CopyObjects MaterialiseServing", "s3:ListMultipartUploadParts s3:AbortMultipartUpload", VAULT,
        "completes a copy in parts, which begins at 5 GB",
    ),
    Exempt(
        "TakeInventory", "s3:GetObjectTagging s3:GetObjectVersionTagging", "*",
        "reads the tags of what is copied in parts, which begins at 5 GB",
    ),
    Exempt(
        "TakeInventory",
        "s3:GetObject s3:PutObject s3:PutObjectTagging s3:PutObjectRetention", "-HERE/recovery-points/",
        "opens an upload for what is copied in parts, which begins at 5 GB",
    ),
    Exempt(
        ONLY_LARGE,
        "s3:GetObject s3:GetObjectVersion s3:PutObject s3:ListMultipartUploadParts s3:ListBucket kms:Decrypt "
        "kms:GenerateDataKey dynamodb:GetItem dynamodb:PutItem",
        "*", "copies ranges of what is larger than 5 GB",
    ),
    Exempt(
        "ProtectStateMachine SnapshotStateMachine", "lambda:InvokeFunction", "copy-parts",
        "copies ranges of what is larger than 5 GB",
    ),
    Exempt(
        "CopyObjects", "s3:ListBucket s3:GetObject s3:GetObjectVersion s3:GetObjectRetention", VAULT,
        "looks at the copies and locks that an earlier try left; here none is tried again",
    ),
    Exempt(
        "MaterialiseServing", "s3:ListBucket s3:GetObject", VAULT,
        "looks at the copies that an earlier try left; here none is tried again",
    ),
    Exempt(
        "MaterialiseServing", "s3:GetObjectVersionTagging s3:PutObjectTagging", "-HERE/recovery-points/",
        "copies tags; here what is shared has none",
    ),
    Exempt(
        "CopyObjects", "s3:PutObject", "-HERE/in-progress/", "notes why a piece of a copy failed; here none does",
    ),
    Exempt(
        "ConcludeProtection", "s3:GetObject", "-HERE/in-progress/",
        "reads why a piece of a copy failed; here none fails for good",
    ),
    Exempt(
        "CopyObjects", "s3:GetObject s3:GetObjectTagging", "s3:::e2e-",
        "reads a source bucket that keeps no versions",
    ),
    Exempt(
        "DecideFailover", "secretsmanager:GetSecretValue", ":secret:mldr/witness/",
        "reads the token of a witness in a third region; here there is none",
    ),
    Exempt(
        "RestoreServing WarmServing VerifyServing", "s3:GetObject s3:ListBucket", CONFIG,
        "reads how a cluster is reached; here no model is served by KServe",
    ),
    Exempt(
        "RestoreServing WarmServing VerifyServing PredictGateway CaptureServing DecideFailover",
        "secretsmanager:GetSecretValue",
        ":secret:mldr/clusters/", "reads the token of a cluster; here no model is served by KServe",
    ),
    Exempt(
        "CaptureRecoveryPoint GateMove ReconcileRegistry SyncRegistry", "sagemaker:ListModelPackages",
        ":model-package/*",
        "SageMaker's own examples authorise a listing by the versions, the local cloud by their group",
    ),
    Exempt(
        "Serving",
        "ecr:GetAuthorizationToken ecr:BatchCheckLayerAvailability ecr:BatchGetImage ecr:GetDownloadUrlForLayer "
        f"cloudwatch:PutMetricData {WRITES_LOGS}",
        "*", "SageMaker pulls images and writes logs and metrics with it; local containers do none of these",
    ),
    Exempt(
        "ScrubStateMachine", "states:StartExecution states:DescribeExecution states:StopExecution", "scrub",
        "a Distributed Map runs its items as executions; the local interpreter runs them inside",
    ),
    Exempt(
        "ScrubShard",
        "s3:GetObject s3:GetObjectRetention s3:PutObject s3:PutObjectRetention s3:PutObjectTagging "
        "s3:ListMultipartUploadParts s3:AbortMultipartUpload",
        "-HERE/objects/", "repairs the objects of datasets' snapshots; here none goes bad",
    ),
    Exempt(
        "ScrubShard",
        "s3:GetObject s3:GetObjectRetention s3:PutObjectTagging s3:ListMultipartUploadParts s3:AbortMultipartUpload",
        "-HERE/recovery-points/", "repairs a large object, which is copied in parts, or one with tags",
    ),
    Exempt("ScrubShard", "s3:ListBucketMultipartUploads", VAULT, "repairs a large object, which is copied in parts"),
    Exempt(
        "ScrubShard", "s3:GetObject s3:GetObjectTagging s3:GetObjectVersionTagging", "s3:::e2e-models/*",
        "repairs from a source bucket that keeps no versions, or objects with tags",
    ),
    Exempt(
        "ConcludeScrub", "s3:GetObjectVersion", "-HERE/snapshots/",
        "looks which snapshots name a bad object; here none of theirs goes bad",
    ),
    Exempt(
        "GateMove", "dynamodb:PutItem", "table/mldr-prod-catalog",
        "remembers what the peer says; here the gateway always heard it before",
    ),
    Exempt(
        "TakeInventory", "s3:ListBucket s3:ListBucketVersions", "-PEER",
        "brings a model home that is stored as a prefix; here it is one file",
    ),
    Exempt("MeasureLag", "s3:ListBucket", CONFIG, "without it a missing policy looks forbidden; here there is one"),
    Exempt("ConcludeScrub", "s3:ListBucket", VAULT, "without it a missing shard looks forbidden; here none is missing"),
    Exempt(
        "EvacuateStateMachine", "states:StartExecution states:DescribeExecution states:StopExecution", "evacuate",
        "a Distributed Map runs its items as executions; the local interpreter runs them inside",
    ),
    Exempt(
        "PlanEvacuation", "s3:ListBucket", CONFIG, "without it a missing policy looks forbidden; here there is one"
    ),
    Exempt(
        "SnapshotStateMachine RestoreDatasetStateMachine",
        "states:StartExecution states:DescribeExecution states:StopExecution", ":mldr-prod-",
        "a Distributed Map runs its items as executions; the local interpreter runs them inside",
    ),
    Exempt("SnapshotStateMachine", "lambda:InvokeFunction", ":mldr-prod-copy-parts", "copies an object above 5 GB"),
    Exempt(
        "TakeSnapshotInventory", "s3:GetObject s3:PutObject s3:PutObjectTagging s3:PutObjectRetention",
        "-HERE/objects/*", "opens the upload of an object above 5 GB",
    ),
    Exempt(
        "TakeSnapshotInventory", "s3:GetObjectVersion s3:GetObjectTagging s3:GetObjectVersionTagging",
        "s3:::e2e-photos/*", "opens the upload of an object above 5 GB, or asks for the SHA-256 of a listed one",
    ),
    Exempt("TakeSnapshotInventory", "s3:ListBucketMultipartUploads", VAULT, "resumes a copy in parts, above 5 GB"),
    Exempt(
        "RestoreObjects",
        "s3:AbortMultipartUpload s3:ListMultipartUploadParts s3:ListBucket s3:ListBucketMultipartUploads",
        "s3:::e2e-restored", "brings back an object above 5 GB; without listing a missing object looks forbidden",
    ),
    Exempt(
        "ConcludeSnapshot", "dynamodb:Query", "catalog",
        "looks for what no event told of, among changes older than five minutes",
    ),
    Exempt("ConcludeSnapshot", "s3:GetObject", "-HERE/in-progress/*", "reads why a piece of work failed; here none"),
    Exempt(
        "ConcludeRestore ConcludeSnapshot PlanRestore RestoreObjects SealSnapshot", "s3:ListBucket", VAULT,
        "without it a missing object looks forbidden; here none that they read is missing",
    ),
    Exempt(
        "LogChanges RequestSnapshots StartSnapshot", "s3:ListBucket", CONFIG,
        "without it a missing policy looks forbidden; here there is one",
    ),
    Exempt(
        "Digest", "s3:GetObjectVersion", "-HERE/objects/*",
        "computes checksums of datasets' objects; here no dataset asks for a SHA-256",
    ),
    Exempt("SnapshotStateMachine", "lambda:InvokeFunction", ":mldr-prod-compute-digests", "asks for a SHA-256"),
    Exempt("Serving", "s3:ListBucket", VAULT, "loads a model that is stored as a prefix; here restored ones are not"),
    Exempt(
        "CaptureServing", "s3:ListBucket s3:ListBucketVersions", VAULT,
        "looks at the state that an earlier try left; without it a missing object looks forbidden",
    ),
    Exempt("CaptureServing", "s3:ListBucket", CONFIG, "without it a missing policy looks forbidden; here there is one"),
    Exempt(
        "CaptureServing", "ecr:DescribeImages", ":repository/*",
        "looks for the twin of an image of our own; here what serves has AWS's",
    ),
    Exempt(
        "RestoreServing WarmServing", "sagemaker:UpdateInferenceComponentRuntimeConfig", ":inference-component/*",
        "lets components scale, and gives them the copies that served; here they have one, and none scales",
    ),
    Exempt(
        "DecideFailover", "sagemaker:DescribeInferenceComponent sagemaker:UpdateInferenceComponentRuntimeConfig",
        ":inference-component/*", "gives a component that answers alone more copies; here no component answers beside",
    ),
    Exempt(
        "FindEndpoint KeepPredictions", "sagemaker:ListInferenceComponents", "*",
        "looks into the component of a model's own endpoint; here none is failed back, and none is cached",
    ),
    Exempt(
        "FindEndpoint KeepPredictions PredictGateway", "sagemaker:DescribeInferenceComponent",
        ":inference-component/*",
        "looks into the component of a model's own endpoint; here none is failed back, and none is cached",
    ),
    Exempt(
        "VerifyServing", "sagemaker:ListInferenceComponents", "*",
        "finds the only component of a model's own endpoint that comes home; here none does",
    ),
    Exempt(
        "ConvergeServing", "s3:ListBucket s3:ListBucketVersions s3:ListBucketMultipartUploads", VAULT,
        "lays out what points share; here nothing that stands shares anything",
    ),
    Exempt(
        "ConvergeServing",
        "s3:GetObject s3:GetObjectVersionTagging s3:PutObject s3:PutObjectTagging s3:ListMultipartUploadParts "
        "s3:AbortMultipartUpload",
        "-HERE/recovery-points/", "lays out what points share; here nothing that stands shares anything",
    ),
    Exempt("ConvergeServing", "kms:GenerateDataKey", "*", "lays out what points share"),
    Exempt("ConvergeServing", "s3:ListBucket", CONFIG, "without it a missing policy looks forbidden; here is one"),
    Exempt(
        "ConvergeServing",
        "sagemaker:AddTags sagemaker:CreateInferenceComponent sagemaker:DescribeInferenceComponent "
        "sagemaker:DeleteInferenceComponent sagemaker:InvokeEndpoint sagemaker:UpdateInferenceComponentRuntimeConfig",
        ":inference-component/*", "makes, proves, counts and deletes components that stand; here one stands from zero",
    ),
    Exempt(
        "ConvergeServing", "sagemaker:CreateInferenceComponent", ":endpoint/*",
        "makes components that stand; here one stands from zero",
    ),
    Exempt(
        "ConvergeServing", "application-autoscaling:DeregisterScalableTarget", ":scalable-target/*",
        "takes autoscaling from what returns to its floor; here nothing that stands has more than that",
    ),
    Exempt(
        "ConvergeServing",
        "application-autoscaling:RegisterScalableTarget application-autoscaling:PutScalingPolicy "
        "application-autoscaling:PutScheduledAction", ":scalable-target/*",
        "what answers beside a home scales by itself as the home does; here that home does not",
    ),
    Exempt(
        "ConvergeServing", "iam:PassRole", ":role/e2e-team",
        "lets a model stand by as its own role; here only one that nothing stands for has a role that may be passed",
    ),
    Exempt(
        "ConvergeServing WarmServing", "sagemaker:UpdateEndpointWeightsAndCapacities", ":endpoint/*",
        "scales what stands up and down; here it stands as large as it serves",
    ),
    Exempt(
        "RestoreServing", "sagemaker:UpdateEndpointWeightsAndCapacities", ":endpoint/*",
        "Application Auto Scaling asks for it in the caller's name; the local one asks for nothing",
    ),
    Exempt(
        "DecideFailover", "sagemaker:DescribeEndpointConfig", ":endpoint-config/*",
        "Application Auto Scaling asks for it in the caller's name; the local one asks for nothing",
    ),
    Exempt(
        "DecideFailover", "application-autoscaling:RegisterScalableTarget", ":scalable-target/*",
        "raises the limit of a home that answers alone; here no home of two regions scales by itself",
    ),
    Exempt(
        "DecideFailover", "s3:PutObject", "-HERE/in-progress/evacuations/",
        "lists models that fail in the same rounds; here they fail one by one, test_metric_switch has another cloud",
    ),
    Exempt(
        "DecideFailover", "states:DescribeExecution", ":execution:mldr-prod-evacuate:",
        "looks how far such a list is; here there is none, test_metric_switch has another cloud",
    ),
    Exempt(
        "CopyObjects SealSnapshot", "s3:ListBucketVersions", "-HERE",
        "finds the version that an earlier try wrote; here none is tried again",
    ),
    Exempt(
        "SealSnapshot", "s3:GetObjectVersion", "-HERE/snapshots/",
        "reads the manifest that an earlier try wrote; here none is tried again",
    ),
    Exempt(
        "TakeSnapshotInventory", "s3:GetObject", "-HERE/in-progress/*",
        "goes on with a listing that ran out of time; here none does",
    ),
    Exempt(
        "TakeSnapshotInventory", "s3:GetObjectVersion s3:GetObjectRetention", "-HERE/objects/*",
        "looks at the copies and locks that an earlier try left; here none is tried again",
    ),
    Exempt(
        "TakeSnapshotInventory", "s3:GetObjectRetention", "-HERE/snapshots/*",
        "looks at the locks that an earlier try left; here none is tried again",
    ),
    Exempt(
        "TakeSnapshotInventory", "s3:ListBucket", VAULT,
        "without it a missing object looks forbidden; here none that it reads is missing",
    ),
    Exempt(
        "CopyObjects", "s3:GetObjectVersionTagging", "-PEER/recovery-points/",
        "copies the tags of what comes home; here it has none",
    ),
    Exempt("ConvergeServing", "sns:Publish", ":mldr-prod-pages", "pages what does not come to stand; here all does"),
    Exempt(
        "ConvergeServing", "cloudwatch:PutMetricAlarm cloudwatch:DeleteAlarms", ":alarm:mldr-scaling-",
        "gives what stands its step scaling; here only a model that nothing stands for has some",
    ),
    Exempt(
        "ConvergeServing RestoreServing", "cloudwatch:DeleteAlarms cloudwatch:DescribeAlarms cloudwatch:PutMetricAlarm",
        ":alarm:TargetTracking-*", "Application Auto Scaling asks for them in the caller's name",
    ),
)  # fmt: skip


def role_regions(cloud):
    """Which region's stack made a role: IAM itself does not know."""
    found = {}
    for region in (ACTIVE, STANDBY):
        pages = cloud.aws("lambda", region).get_paginator("list_functions").paginate()
        functions = [function for page in pages for function in page["Functions"]]
        arns = [function["Role"] for function in functions]
        settings = [function["Environment"]["Variables"] for function in functions]
        arns += [one.get(name, "") for one in settings for name in ("SERVING_ROLE_ARN", "DIGEST_ROLE_ARN")]
        arns += [*machine_roles(cloud.aws("stepfunctions", region)), *rule_roles(cloud.aws("events", region))]
        found |= {arn.rpartition("/")[2]: region for arn in arns if arn}
    return found


def machine_roles(states):
    machines = [machine["stateMachineArn"] for machine in states.list_state_machines()["stateMachines"]]
    return [states.describe_state_machine(stateMachineArn=arn)["roleArn"] for arn in machines]


def rule_roles(events):
    rules = [rule["Name"] for rule in events.list_rules()["Rules"]]
    targets = [target for rule in rules for target in events.list_targets_by_rule(Rule=rule)["Targets"]]
    return [target.get("RoleArn", "") for target in targets]


def relative(grant, region):
    """A grant as the stacks of both regions have it."""
    action, resource = grant
    peer = {ACTIVE: STANDBY, STANDBY: ACTIVE}[region]
    named = resource.replace(region, "HERE").replace(peer, "PEER")
    return action, re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=Role-)[0-9a-f]{12}$", "ID", named)


@pytest.fixture(scope="module")
def grants(cloud, owner):
    """What the stacks' roles grant as (role, action, resource), apart by whether either region's stack used it."""
    regions, granted, used = role_regions(cloud), set(), set()
    for role, report in cloud.door("permissions").items():
        named = STACK_ROLE.fullmatch(role)
        for kind, pairs in report.items() if named else ():
            found = {(named["logical"], *relative(pair, regions[role])) for pair in pairs}
            granted |= found
            used |= found if kind == "used" else set()
    return {"used": used, "unused": granted - used}


def roles_of(exempt, grants):
    """The roles that an exemption speaks of."""
    functions = {role for role, action, resource in grants if (action, resource) == ("logs:PutLogEvents", "*")}
    machines = {role for role, action, _ in grants if action == "logs:GetLogDelivery"}
    return {EVERY_FUNCTION: functions, EVERY_MACHINE: machines}.get(exempt.roles, set(exempt.roles.split()))


def covered(exempt, role, action, grants):
    """The grants that an exemption excuses for one role and action."""
    return {grant for grant in grants if grant[:2] == (role, action) and exempt.resource in f"{grant[2]}*"}


@pytest.mark.long
def test_no_permission_was_granted_in_vain(grants):
    excused, stale = set(), []
    for exempt in EXEMPT:
        for role in roles_of(exempt, grants["unused"]):
            for action in exempt.actions.split():
                found = covered(exempt, role, action, grants["unused"])
                excused |= found
                stale += [] if found else [(role, action, exempt.why)]
    left = ["  ".join(one) for one in sorted(grants["unused"] - excused)]
    assert not left, "granted, but nothing used it:\n" + "\n".join(left)
    assert stale == [], "exempt, but used or not granted any more"


@pytest.mark.long
def test_every_role_was_used(grants):
    granted = {role for role, *_ in grants["used"] | grants["unused"]}
    assert granted - {role for role, *_ in grants["used"]} == {ONLY_LARGE}


def test_no_call_of_the_stack_was_refused_for_want_of_a_permission(cloud, owner):
    calls = [call for call in cloud.calls() if ":" in call["principal"]]
    assert len(calls) > 100
    assert [call for call in calls if call["refused"] == "not authorised" or call["status"] == 403] == []
