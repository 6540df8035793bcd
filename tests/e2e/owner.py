"""What the owner of a model does in the active region: upload, register, serve, record golden inferences, approve."""

import io
import json
import tarfile
from typing import Any

from tests.e2e.cloud import ACTIVE, GLOBAL, TEAM_ROLE, LocalCloud, wait_for

BUCKET = "e2e-models"
IMAGE = "121021644041.dkr.ecr.ap-southeast-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
IMAGES = {ACTIVE: IMAGE, GLOBAL: "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"}
IMAGE_IN_STANDBY = "951798379941.dkr.ecr.ap-southeast-3.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
LINEAGE = "arn:aws:sagemaker:ap-southeast-1:123456789012:training-job/spring"
WEIGHTS = (0.5, -2.0, 3.25)
QUESTIONS = ((1, 2, 3), (0.25, 0, -1), (10, 20, 30))
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
READ = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}],
}
READ_OWN = {  # nothing of the vault: that is what the stack has to let it read
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:ListBucket"],
            "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"],
        }
    ],
}
SCRIPT = '''
"""A linear score, in plain Python so that its container starts at once."""
import json
import pathlib

def model_fn(directory):
    return json.loads((pathlib.Path(directory) / "weights.json").read_text())

def input_fn(body, kind):
    return json.loads(body)["features"]

def predict_fn(features, weights):
    return sum(feature * weight for feature, weight in zip(features, weights))

def output_fn(score, accept):
    return json.dumps({"score": score}), "application/json"
'''


def question(features: tuple[float, ...]) -> bytes:
    """The body of a request."""
    return json.dumps({"features": list(features)}).encode()


def answer(features: tuple[float, ...]) -> dict[str, float]:
    """What the model says to it."""
    return {"score": sum(feature * weight for feature, weight in zip(features, WEIGHTS, strict=True))}


def artifact(weights: tuple[float, ...] = WEIGHTS) -> bytes:
    """The weights and the script, packed as SageMaker wants them."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as target:
        for name, text in (("weights.json", json.dumps(weights)), ("code/inference.py", SCRIPT)):
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            target.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


class Owner:
    """A team that knows nothing of mldr but the golden file that its policy names; it works in one region."""

    def __init__(self, cloud: LocalCloud, home: str = ACTIVE) -> None:
        self._cloud, self._home = cloud, home
        self._s3, self._sagemaker = cloud.aws("s3", home), cloud.aws("sagemaker", home)

    def move_in(self) -> None:
        """Make a versioned bucket and the role that endpoints run as."""
        # S3 takes us-east-1 for granted, and refuses to be told.
        where = {} if self._home == GLOBAL else {"CreateBucketConfiguration": {"LocationConstraint": self._home}}
        self._s3.create_bucket(Bucket=BUCKET, **where)
        self._s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        iam = self._cloud.aws("iam", self._home)
        for role, policy in (("e2e-serving", READ), (TEAM_ROLE.rpartition("/")[2], READ_OWN)):
            iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(TRUST))
            iam.put_role_policy(RoleName=role, PolicyName="read", PolicyDocument=json.dumps(policy))

    def upload(self, name: str, body: bytes | None = None, **how: str) -> str:
        """Put the artifact; its version."""
        body = artifact() if body is None else body
        return str(self._s3.put_object(Bucket=BUCKET, Key=f"{name}/model.tar.gz", Body=body, **how)["VersionId"])

    def upload_with_care(self, name: str) -> str:
        """Put the artifact, tagged and encrypted with a key of the team's own; its version."""
        key = self._cloud.aws("kms", self._home).create_key(Description=name)["KeyMetadata"]["Arn"]
        return self.upload(name, ServerSideEncryption="aws:kms", SSEKMSKeyId=key, Tagging="team=risk")

    def record_golden(self, name: str, *, lie: bool = False) -> None:
        """Write down questions and answers; a lie is what somebody made of them since."""
        lines = [{"request": {"features": list(asked)}, "answer": answer(asked)} for asked in QUESTIONS]
        if lie:
            lines[1]["answer"] = {"score": 1_000_000.0}
        text = "".join(json.dumps(line) + "\n" for line in lines)
        self._s3.put_object(Bucket=BUCKET, Key=f"{name}/golden.jsonl", Body=text.encode())

    def register(
        self, name: str, *, image: str = "", data: dict[str, Any] | None = None, criticality: str = "important"
    ) -> str:
        """Register a version, not yet approved; its ARN."""
        groups = self._sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"]
        if name not in [group["ModelPackageGroupName"] for group in groups]:
            self._sagemaker.create_model_package_group(
                ModelPackageGroupName=name, Tags=[{"Key": "mldr:criticality", "Value": criticality}]
            )
        container = {
            "Image": image or IMAGES[self._home],
            "Environment": {"SAGEMAKER_REGION": self._home},
            **(data or self._tarball(name)),
        }
        specification = {
            "Containers": [container],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        }
        return str(self._sagemaker.create_model_package(
            ModelPackageGroupName=name, ModelApprovalStatus="PendingManualApproval",
            InferenceSpecification=specification, CustomerMetadataProperties={"trained-by": LINEAGE},
        )["ModelPackageArn"])  # fmt: skip

    @staticmethod
    def _tarball(name: str) -> dict[str, Any]:
        return {"ModelDataUrl": f"s3://{BUCKET}/{name}/model.tar.gz"}

    def approve(self, arn: str) -> None:
        """Say that this version is in production."""
        self._sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")

    def reject(self, arn: str) -> None:
        """Take an approval back."""
        self._sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Rejected")

    def promote(self, name: str, **given: Any) -> str:
        """Register and approve; the ARN."""
        arn = self.register(name, **given)
        self.approve(arn)
        return arn

    def publish(self, name: str, *, served: bool = True, lie: bool = False, **given: Any) -> str:
        """Upload, record golden inferences, serve if it is to be served here, and promote; the version's ARN."""
        self.upload(name)
        self.record_golden(name, lie=lie)
        if served:
            self.serve(name)
        return self.promote(name, **given)

    def serve(self, name: str, *, package: str = "") -> None:
        """Serve the model in the active region, of a package or of its parts; returns when the endpoint answers."""
        container = {"ModelPackageName": package} if package else {"Image": IMAGES[self._home], **self._tarball(name)}
        role = "arn:aws:iam::123456789012:role/e2e-serving"
        self._sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)
        variant = {"VariantName": "all", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        self._sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        self._sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)

        def in_service() -> bool:
            return bool(self._sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "InService")

        wait_for(f"endpoint {name}", in_service, 60, self._cloud.story)

    def upload_shard(self, name: str, number: int) -> None:
        """One of many small files of a model that is stored as a prefix."""
        body = f"{name} {number}".encode()
        self._s3.put_object(Bucket=BUCKET, Key=f"{name}/model/shard-{number:04d}.bin", Body=body)

    @staticmethod
    def prefix(name: str) -> dict[str, Any]:
        """A model's data as a prefix, uncompressed."""
        where = {"S3Uri": f"s3://{BUCKET}/{name}/model/", "S3DataType": "S3Prefix", "CompressionType": "None"}
        return {"ModelDataSource": {"S3DataSource": where}}
