"""Serving state: every region-bound value gets its counterpart or a problem that says what to do; no secret passes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mldr.domain.execution_roles import ExecutionRoles
from mldr.domain.model_rules import ServingRule, VpcRule
from mldr.domain.serving_references import Grounds, Held, carry, find_references, find_secrets, rewrite
from mldr.domain.serving_state import Kind

ACTIVE, STANDBY = "ap-southeast-1", "ap-southeast-3"
IMAGE = f"123456789012.dkr.ecr.{ACTIVE}.amazonaws.com/churn:1"
TWIN = f"123456789012.dkr.ecr.{STANDBY}.amazonaws.com/churn@sha256:{'a' * 64}"
KEY, THERE = (f"arn:aws:kms:{region}:123456789012:key/abc" for region in (ACTIVE, STANDBY))
TOPIC = f"arn:aws:sns:{ACTIVE}:123456789012:answers"
VAULTED = f"arn:aws:secretsmanager:{ACTIVE}:123456789012:secret:token-AbCdEf"
PACKAGE = f"arn:aws:sagemaker:{ACTIVE}:123456789012:model-package/churn/3"
RULES = ServingRule(
    endpoint="churn",
    kms_key=THERE,
    vpc=VpcRule(subnets=("subnet-b",), security_groups=("sg-b",)),
    references={
        "s3://captured/": "s3://captured-there/",
        "s3://captured/deep/": "s3://deep-there/",
        TOPIC: TOPIC.replace(ACTIVE, STANDBY),
        VAULTED: VAULTED.replace(ACTIVE, STANDBY),
    },
)
STACK, LISTED, THEIRS = (f"arn:aws:iam::123456789012:role/{name}" for name in ("stack", "listed", "theirs"))
GROUNDS = Grounds(
    rules=RULES,
    roles=ExecutionRoles(own=STACK, named=(LISTED,)),
    standby=STANDBY,
    images={IMAGE: TWIN},
    held={
        "s3://lake/model.tar.gz": Held(target="s3://vault/v3/model.tar.gz", point="v3-abc"),
        PACKAGE: Held(target="v3-abc", point="v3-abc"),
    },
)


def model(**container):
    return {"Models": [{"Containers": [container]}]}


@pytest.mark.parametrize(
    ("document", "path", "kind", "target", "point"),
    [
        (model(Image=IMAGE), "Models[0].Containers[0].Image", Kind.IMAGE, TWIN, None),
        (
            model(ModelDataUrl="s3://lake/model.tar.gz"),
            "Models[0].Containers[0].ModelDataUrl",
            Kind.MODEL_DATA,
            "s3://vault/v3/model.tar.gz",
            "v3-abc",
        ),
        (
            model(ModelDataSource={"S3DataSource": {"S3Uri": "s3://lake/model.tar.gz"}}),
            "Models[0].Containers[0].ModelDataSource.S3DataSource.S3Uri",
            Kind.MODEL_DATA,
            "s3://vault/v3/model.tar.gz",
            "v3-abc",
        ),
        (
            model(ModelPackageName=PACKAGE),
            "Models[0].Containers[0].ModelPackageName",
            Kind.MODEL_PACKAGE,
            "v3-abc",
            "v3-abc",
        ),
        (
            model(Environment={"SAGEMAKER_SUBMIT_DIRECTORY": "s3://lake/model.tar.gz"}),
            "Models[0].Containers[0].Environment.SAGEMAKER_SUBMIT_DIRECTORY",
            Kind.MODEL_DATA,
            "s3://vault/v3/model.tar.gz",
            "v3-abc",
        ),
        (model(Environment={"R": ACTIVE}), "Models[0].Containers[0].Environment.R", Kind.REGION, STANDBY, None),
        (
            model(Environment={"TOKEN": VAULTED}),
            "Models[0].Containers[0].Environment.TOKEN",
            Kind.PARAMETER,
            VAULTED.replace(ACTIVE, STANDBY),
            None,
        ),
        (
            {"Models": [{"ExecutionRoleArn": "arn:aws:iam::123456789012:role/theirs"}]},
            "Models[0].ExecutionRoleArn",
            Kind.ROLE,
            STACK,
            None,
        ),
        (
            {"Models": [{"VpcConfig": {"Subnets": ["subnet-a", "subnet-c"]}}]},
            "Models[0].VpcConfig.Subnets",
            Kind.SUBNETS,
            ("subnet-b",),
            None,
        ),
        (
            {"Config": {"VpcConfig": {"SecurityGroupIds": ["sg-a"]}}},
            "Config.VpcConfig.SecurityGroupIds",
            Kind.SECURITY_GROUPS,
            ("sg-b",),
            None,
        ),
        ({"Config": {"KmsKeyId": KEY}}, "Config.KmsKeyId", Kind.KMS_KEY, THERE, None),
        ({"Config": {"KmsKeyId": "alias/volumes"}}, "Config.KmsKeyId", Kind.KMS_KEY, THERE, None),
        (
            {"Config": {"DataCaptureConfig": {"DestinationS3Uri": "s3://captured/churn"}}},
            "Config.DataCaptureConfig.DestinationS3Uri",
            Kind.DESTINATION,
            "s3://captured-there/churn",
            None,
        ),
        (
            {"Config": {"AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://captured/deep/churn"}}}},
            "Config.AsyncInferenceConfig.OutputConfig.S3OutputPath",
            Kind.DESTINATION,
            "s3://deep-there/churn",
            None,
        ),
        (
            {"NotificationConfig": {"SuccessTopic": TOPIC}},
            "NotificationConfig.SuccessTopic",
            Kind.ARN,
            TOPIC.replace(ACTIVE, STANDBY),
            None,
        ),
    ],
)
def test_each_kind_of_value_has_its_counterpart(document, path, kind, target, point):
    carried, problems = carry(find_references(document, ACTIVE), GROUNDS)
    assert problems == ()
    assert [(one.path, one.kind, one.target, one.point) for one in carried] == [(path, kind, target, point)]


@pytest.mark.parametrize(
    ("document", "advice"),
    [
        (model(ModelDataUrl="s3://lake/other.tar.gz"), "no recovery point holds it.*serving.references"),
        (model(ModelPackageName=f"{PACKAGE}0"), "no recovery point was made of it"),
        (model(Environment={"TOKEN": VAULTED}), "ARN of its replica in the standby region.*serving.references"),
        (model(Environment={"QUEUE": f"arn:aws:sqs:{ACTIVE}:1:jobs"}), "serving.references"),
        (model(ImageConfig={"Unheard": f"arn:aws:lambda:{ACTIVE}:1:function:x"}), "serving.references"),
        ({"Models": [{"VpcConfig": {"Subnets": ["subnet-a"]}}]}, "serving.vpc.subnets"),
        ({"Models": [{"VpcConfig": {"SecurityGroupIds": ["sg-a"]}}]}, "serving.vpc.security_groups"),
        ({"Config": {"KmsKeyId": KEY}}, "serving.kms_key"),
        ({"Config": {"DataCaptureConfig": {"DestinationS3Uri": "s3://captured/churn"}}}, "serving.references"),
        ({"NotificationConfig": {"ErrorTopic": TOPIC}}, "serving.references"),
    ],
)
def test_a_value_without_a_counterpart_is_a_problem_that_names_its_path_and_what_to_write(document, advice):
    grounds = GROUNDS.model_copy(update={"rules": ServingRule(endpoint="churn")})
    [reference] = find_references(document, ACTIVE)
    carried, [problem] = carry([reference], grounds)
    assert carried == ()
    assert problem.path == reference.path
    assert STANDBY in problem.text
    assert re.search(advice, problem.text), problem.text


# roles


def runs_as(role, *, rules=None, roles=None, **document):
    """What a model of this role runs as in the standby, and what is said where that is nothing."""
    models = [{"ExecutionRoleArn": role, **document.pop("model", {})}]
    grounds = GROUNDS.model_copy(update={"rules": rules or RULES, "roles": roles or GROUNDS.roles})
    carried, problems = carry(find_references({"Models": models, **document}, ACTIVE), grounds)
    return [one.target for one in carried if one.kind is Kind.ROLE], [one.text for one in problems]


IN_A_VPC = {"VpcConfig": {"Subnets": ["subnet-a"], "SecurityGroupIds": ["sg-a"]}}
CAPTURED = {"DataCaptureConfig": {"DestinationS3Uri": "s3://captured/churn"}}


def test_a_model_keeps_its_role_where_the_stack_may_pass_it():
    assert runs_as(LISTED) == ([LISTED], [])
    assert runs_as(LISTED, model=IN_A_VPC, Config=CAPTURED) == ([LISTED], [])


def test_a_model_whose_role_may_not_be_passed_runs_as_the_stacks_own():
    assert runs_as(THEIRS) == ([STACK], [])
    assert runs_as(THEIRS, roles=ExecutionRoles(own=STACK)) == ([STACK], [])


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"model": IN_A_VPC}, "Models[0].VpcConfig.Subnets"),
        ({"Config": CAPTURED}, "Config.DataCaptureConfig.DestinationS3Uri"),
        ({"model": {"Containers": [{"Environment": {"OF": VAULTED}}]}}, "Models[0].Containers[0].Environment.OF"),
        ({"model": {"Containers": [{"ModelDataUrl": "s3://captured/x"}]}}, "Models[0].Containers[0].ModelDataUrl"),
        ({"Components": [{"Specification": {"Container": {"Environment": {"TOPIC": TOPIC}}}}]}, "Components[0]."),
    ],
)
def test_a_model_that_reaches_further_than_the_stacks_role_is_refused_by_its_role_and_the_parameter(document, path):
    runs, [text] = runs_as(THEIRS, **document)
    assert runs == []
    assert THEIRS in text
    assert f"add it to ServingRoleArns of that region's stack; the stack's own role does not do for {path}" in text


def test_what_another_model_of_the_endpoint_reaches_is_its_own_affair():
    document = {"Models": [{"ExecutionRoleArn": THEIRS}, {"ExecutionRoleArn": LISTED, **IN_A_VPC}]}
    carried, problems = carry(find_references(document, ACTIVE), GROUNDS)
    assert [one.target for one in carried if one.kind is Kind.ROLE] == [STACK, LISTED]
    assert not problems


def test_an_autoscaling_policy_is_not_carried_out_as_the_model():
    scaling = {"ScalingPolicies": [{"StepScalingPolicyConfiguration": {"TopicArn": TOPIC}}]}
    assert runs_as(THEIRS, **scaling) == ([STACK], [])


@pytest.mark.parametrize(
    "said", [{"role": LISTED}, {"references": {THEIRS: LISTED}}, {"role": STACK, "references": {THEIRS: LISTED}}]
)
def test_the_policy_may_name_another_role_that_the_stack_may_pass(said):
    assert runs_as(THEIRS, rules=RULES.model_copy(update=said))[0] == [LISTED]


@pytest.mark.parametrize("said", [{"role": THEIRS}, {"references": {LISTED: THEIRS}}])
def test_a_role_of_the_policy_that_may_not_be_passed_is_refused(said):
    runs, [text] = runs_as(LISTED, rules=RULES.model_copy(update=said))
    assert runs == []
    assert text.startswith(f"{THEIRS} may not be passed to SageMaker in {STANDBY}: add it to ServingRoleArns")


@pytest.mark.parametrize(
    "document",
    [
        {"Config": {"KmsKeyId": "", "Tags": [{"Key": "made-by", "Value": f"arn:aws:sagemaker:{ACTIVE}:1:job/x"}]}},
        model(Environment={"THRESHOLD": "0.5", "NOTE": "made in ap-southeast"}, ContainerHostname="one"),
        {"Config": {"ProductionVariants": [{"VariantName": "a", "InstanceType": "ml.m5.large"}]}},
    ],
)
def test_what_is_bound_to_no_region_is_left_alone(document):
    assert find_references(document, ACTIVE) == []
    assert rewrite(document, ()) == document


def test_the_policys_own_word_wins_over_every_rule():
    rules = RULES.model_copy(update={"references": {"s3://lake/model.tar.gz": "s3://mine/model.tar.gz"}})
    [carried], _ = carry(
        find_references(model(ModelDataUrl="s3://lake/model.tar.gz"), ACTIVE),
        GROUNDS.model_copy(update={"rules": rules}),
    )
    assert (carried.target, carried.point) == ("s3://mine/model.tar.gz", None)


def test_a_rewritten_document_differs_in_its_references_alone():
    document = {
        "Models": [
            {
                "ModelName": "churn",
                "Containers": [
                    {"Image": IMAGE, "ModelDataUrl": "s3://lake/model.tar.gz", "Environment": {"R": ACTIVE}}
                ],
                "VpcConfig": {"Subnets": ["subnet-a"], "SecurityGroupIds": ["sg-a"]},
            }
        ],
        "Config": {"ProductionVariants": [{"VariantName": "all", "InitialInstanceCount": 3}]},
    }
    carried, problems = carry(find_references(document, ACTIVE), GROUNDS)
    assert not problems
    assert rewrite(document, carried) == {
        "Models": [
            {
                "ModelName": "churn",
                "Containers": [
                    {"Image": TWIN, "ModelDataUrl": "s3://vault/v3/model.tar.gz", "Environment": {"R": STANDBY}}
                ],
                "VpcConfig": {"Subnets": ["subnet-b"], "SecurityGroupIds": ["sg-b"]},
            }
        ],
        "Config": {"ProductionVariants": [{"VariantName": "all", "InitialInstanceCount": 3}]},
    }
    assert document["Models"][0]["Containers"][0]["Image"] == IMAGE


def test_etags_of_the_source_are_not_those_of_the_copies():
    source = {"S3Uri": "s3://lake/model.tar.gz", "ETag": "abc", "ManifestEtag": "def"}
    carried, _ = carry(find_references(source, ACTIVE), GROUNDS)
    assert rewrite(source, carried) == {"S3Uri": "s3://vault/v3/model.tar.gz"}


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_any_document_is_walked_without_a_fault(node):
    carry(find_references({"node": node}, ACTIVE), GROUNDS)
    find_secrets({"node": node}, ())
