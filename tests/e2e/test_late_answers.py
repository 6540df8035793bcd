"""An asynchronous endpoint is restored, and proven by what it writes into its owner's bucket."""

import json

import pytest

from tests.e2e.cloud import ACTIVE, STANDBY, TEAM_ROLE, key, wait_for
from tests.e2e.owner import BUCKET, IMAGE, QUESTIONS, answer
from tests.e2e.standby import captured

pytestmark = pytest.mark.timeout(400)
NAME, ANSWERS = "ledger", "e2e-answers"
WRITES = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{ANSWERS}/*"}],
}


def serve(cloud):
    """What answers in the active region, into a bucket there."""
    sagemaker = cloud.aws("sagemaker", ACTIVE)
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/{NAME}/model.tar.gz"}
    sagemaker.create_model(ModelName=NAME, ExecutionRoleArn=TEAM_ROLE, PrimaryContainer=container)
    variant = {"VariantName": "all", "ModelName": NAME, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    late = {"OutputConfig": {"S3OutputPath": f"s3://{BUCKET}/answers/{NAME}"}}
    sagemaker.create_endpoint_config(EndpointConfigName=NAME, ProductionVariants=[variant], AsyncInferenceConfig=late)
    sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME)


def test_an_asynchronous_endpoint_is_proven_by_what_it_writes_before_it_takes_over(cloud, owner, events):
    s3 = cloud.aws("s3", STANDBY)
    s3.create_bucket(Bucket=ANSWERS, CreateBucketConfiguration={"LocationConstraint": STANDBY})
    team = TEAM_ROLE.rpartition("/")[2]
    cloud.aws("iam", ACTIVE).put_role_policy(RoleName=team, PolicyName="answers", PolicyDocument=json.dumps(WRITES))
    owner.publish(NAME, served=False)
    events.wait("Recovery Point Sealed", NAME, seconds=90)
    serve(cloud)
    wait_for("the endpoint is captured", lambda: captured(cloud, NAME), 60, lambda: cloud.story(NAME))
    cloud.tell("Failover Requested", {"model": f"sagemaker/{NAME}", "reason": "exercise"})
    (told, *_) = events.wait("Failover Completed", NAME, seconds=120)
    assert told["outcome"] == "completed", told["reason"]

    endpoint = cloud.catalog.takeover(key(NAME)).endpoint
    described = cloud.aws("sagemaker", STANDBY).describe_endpoint(EndpointName=endpoint)
    assert described["AsyncInferenceConfig"]["OutputConfig"]["S3OutputPath"] == f"s3://{ANSWERS}/{NAME}"
    written = s3.list_objects_v2(Bucket=ANSWERS, Prefix=f"{NAME}/")["Contents"]
    said = [json.loads(s3.get_object(Bucket=ANSWERS, Key=one["Key"])["Body"].read()) for one in written]
    assert sorted(one["score"] for one in said) == sorted(answer(asked)["score"] for asked in QUESTIONS)
