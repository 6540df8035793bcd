"""Every Registry keeps the same promises, on memory and on SageMaker's Model Registry in two regions."""

import pytest

from mldr.domain.identity import ModelKey
from mldr.errors import MissingArtifact, RegistryRefused
from mldr.registries.sagemaker import RECOVERY_POINT, SOURCE_ARN, SageMakerRegistry
from tests.contract.conftest import ACCOUNT, ACTIVE, STANDBY
from tests.fakes.registry import FakeRegistry

CHURN = ModelKey(registry="sagemaker", name="churn")
DOCUMENT = {
    "ModelPackageDescription": "who will leave",
    "InferenceSpecification": {
        "Containers": [
            {
                "Image": f"{ACCOUNT}.dkr.ecr.{ACTIVE}.amazonaws.com/churn:1",
                "ModelDataUrl": "s3://lake/churn/model.tar.gz",
            }
        ],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    },
}


class InMemory:
    def __init__(self):
        self.registry = FakeRegistry(ACTIVE, STANDBY)

    def promote(self, group="churn", status="Approved", tags=None, **more):
        return self.registry.promote(group, {**DOCUMENT, **more}, status=status, tags=tags)

    def status_in_standby(self, arn):
        return self.registry.standby[arn].status

    def group_tags_in_standby(self, arn):
        return self.registry.standby[arn].tags


class OnSageMaker:
    def __init__(self, moto):
        self.active, self.standby = moto.client("sagemaker", ACTIVE), moto.client("sagemaker", STANDBY)
        self.registry = SageMakerRegistry(self.active, self.standby)
        self.groups = set()

    def promote(self, group="churn", status="Approved", tags=None, **more):
        if group not in self.groups:
            pairs = [{"Key": key, "Value": value} for key, value in (tags or {}).items()]
            self.active.create_model_package_group(ModelPackageGroupName=group, Tags=pairs)
            self.groups.add(group)
        given = {**DOCUMENT, **more, "ModelPackageGroupName": group, "ModelApprovalStatus": status}
        return self.active.create_model_package(**given)["ModelPackageArn"]

    def status_in_standby(self, arn):
        return self.standby.describe_model_package(ModelPackageName=arn)["ModelApprovalStatus"]

    def group_tags_in_standby(self, arn):
        group = self.standby.describe_model_package(ModelPackageName=arn)["ModelPackageGroupName"]
        found = self.standby.describe_model_package_group(ModelPackageGroupName=group)["ModelPackageGroupArn"]
        return {tag["Key"]: tag["Value"] for tag in self.standby.list_tags(ResourceArn=found)["Tags"]}


@pytest.fixture(params=["memory", "moto"])
def place(request):
    return InMemory() if request.param == "memory" else OnSageMaker(request.getfixturevalue("moto"))


@pytest.fixture
def real(moto):
    return OnSageMaker(moto)


def test_a_version_is_described_as_it_was_registered(place):
    arn = place.promote(tags={"mldr:tier": "cold-standby"})
    entry = place.registry.describe(arn)
    assert (entry.model, entry.version, entry.arn, entry.status) == (CHURN, "1", arn, "Approved")
    assert DOCUMENT.items() <= entry.document.items()
    assert (entry.tags, entry.copied_from, entry.approved) == ({"mldr:tier": "cold-standby"}, None, True)


@pytest.mark.parametrize("status", ["Rejected", "PendingManualApproval"])
def test_a_version_that_is_not_approved_says_so(place, status):
    entry = place.registry.describe(place.promote(status=status))
    assert (entry.status, entry.approved) == (status, False)


def test_a_version_that_does_not_exist_is_a_missing_artifact(place):
    arn = place.promote()
    with pytest.raises(MissingArtifact, match="/churn/9 does not exist in the active region"):
        place.registry.describe(arn[:-1] + "9")


def test_the_newest_approved_version_is_found(place):
    place.promote()
    second = place.promote()
    place.promote(status="Rejected")
    assert place.registry.newest_approved(CHURN) == second


def test_without_an_approved_version_there_is_none(place):
    place.promote(status="Rejected")
    assert place.registry.newest_approved(CHURN) is None
    assert place.registry.newest_approved(ModelKey(registry="sagemaker", name="unknown")) is None


def test_every_model_is_listed(place):
    for group in ("churn", "fraud", "churn"):
        place.promote(group)
    assert sorted(map(str, place.registry.models())) == ["sagemaker/churn", "sagemaker/fraud"]


def test_a_registered_version_keeps_its_approval_and_its_origin(place):
    entry = place.registry.describe(place.promote(tags={"team": "risk"}))
    arn = place.registry.register(entry, "v1-abc")
    assert f":{STANDBY}:" in arn
    assert place.status_in_standby(arn) == "Approved"
    assert place.group_tags_in_standby(arn) == {"team": "risk"}


def test_a_version_that_was_rejected_meanwhile_is_registered_as_rejected(place):
    """The document was captured while it was approved; the entry says what holds now."""
    entry = place.registry.describe(place.promote()).model_copy(update={"status": "Rejected"})
    assert place.status_in_standby(place.registry.register(entry, "v1-abc")) == "Rejected"


def test_a_copy_says_what_it_was_made_from_and_where_its_golden_inferences_are(place):
    entry = place.registry.describe(place.promote())
    golden = "s3://vault/recovery-points/sagemaker/churn/v1-abc/objects/p/golden/golden.jsonl"
    arn = place.registry.register(entry.model_copy(update={"golden": golden}), "v1-abc")
    copy = place.registry.own(arn)
    assert (copy.arn, copy.copied_from, copy.golden) == (arn, entry.arn, golden)
    assert DOCUMENT["InferenceSpecification"].items() <= copy.document["InferenceSpecification"].items()


def test_a_version_that_this_region_does_not_have_is_a_missing_artifact(place):
    arn = place.registry.register(place.registry.describe(place.promote()), "v1-abc")
    with pytest.raises(MissingArtifact, match="/churn/9 does not exist in this region"):
        place.registry.own(arn[:-1] + "9")


def test_a_place_too_long_for_the_registry_is_left_out(real):
    entry = real.registry.describe(real.promote())
    arn = real.registry.register(entry.model_copy(update={"golden": "s3://vault/" + "x" * 300}), "v1-abc")
    assert real.registry.own(arn).golden is None


def test_registering_twice_gives_the_same_arn(place):
    entry = place.registry.describe(place.promote())
    first = place.registry.register(entry, "v1-abc")
    assert place.registry.register(entry, "v1-abc") == first
    assert place.registry.register(entry, "v1-def") != first


def test_an_approval_is_set_in_the_standby_only(place):
    source = place.promote()
    arn = place.registry.register(place.registry.describe(source), "v1-abc")
    place.registry.set_status(arn, "Rejected")
    assert place.status_in_standby(arn) == "Rejected"
    assert place.registry.describe(source).status == "Approved"


# on SageMaker alone


def test_only_what_can_be_registered_again_is_described(real):
    described = real.registry.describe(real.promote(CustomerMetadataProperties={"team": "risk"})).document
    assert described["CustomerMetadataProperties"] == {"team": "risk"}
    for name in (
        "ModelPackageArn",
        "ModelPackageVersion",
        "CreationTime",
        "ModelPackageStatus",
        "ModelPackageGroupName",
    ):
        assert name not in described


def test_a_version_described_twice_says_the_same(real):
    """The recovery point's id is a digest of it."""
    arn = real.promote()
    assert real.registry.describe(arn) == real.registry.describe(arn)


def test_our_own_copy_names_its_source_when_the_other_region_describes_it(real):
    source = real.promote(CustomerMetadataProperties={"team": "risk"})
    arn = real.registry.register(real.registry.describe(source), "v1-abc")
    from_the_other_side = SageMakerRegistry(real.standby, real.active)
    assert from_the_other_side.describe(arn).copied_from == source
    metadata = real.standby.describe_model_package(ModelPackageName=arn)["CustomerMetadataProperties"]
    assert metadata == {"team": "risk", SOURCE_ARN: source, RECOVERY_POINT: "v1-abc"}


def test_an_unversioned_package_is_a_missing_artifact_with_advice(real):
    with pytest.raises(MissingArtifact, match="register the model in a group"):
        real.registry.describe(f"arn:aws:sagemaker:{ACTIVE}:{ACCOUNT}:model-package/churn")


def test_a_crash_between_registering_and_remembering_registers_once(real, monkeypatch):
    """The listing may lag behind: the client token keeps SageMaker itself from making a second version."""
    entry = real.registry.describe(real.promote())
    first = real.registry.register(entry, "v1-abc")
    monkeypatch.setattr(real.registry, "_registered", lambda *_: None)
    assert real.registry.register(entry, "v1-abc") == first


def test_a_refused_version_is_named(real, monkeypatch):
    entry = real.registry.describe(real.promote())
    from botocore.exceptions import ClientError

    def refuse(**_):
        raise ClientError({"Error": {"Code": "ValidationException", "Message": "bad image"}}, "CreateModelPackage")

    monkeypatch.setattr(real.standby, "create_model_package", refuse)
    with pytest.raises(RegistryRefused, match="the registry of the standby region refused") as caught:
        real.registry.register(entry, "v1-abc")
    assert "bad image" in str(caught.value.__cause__)


def test_a_group_that_cannot_be_created_is_named(real, monkeypatch):
    entry = real.registry.describe(real.promote())
    from botocore.exceptions import ClientError

    def refuse(**_):
        raise ClientError({"Error": {"Code": "ResourceLimitExceeded", "Message": "quota"}}, "CreateModelPackageGroup")

    monkeypatch.setattr(real.standby, "create_model_package_group", refuse)
    with pytest.raises(RegistryRefused, match="group churn cannot be created"):
        real.registry.register(entry, "v1-abc")


def test_many_versions_are_searched_for_the_one_that_was_registered(real):
    entries = [real.registry.describe(real.promote(ModelPackageDescription=str(n))) for n in range(12)]
    arns = [real.registry.register(entry, f"v{n}-x") for n, entry in enumerate(entries)]
    assert real.registry.register(entries[0], "v0-x") == arns[0]
    assert len(set(arns)) == 12
