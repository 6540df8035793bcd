"""Images: taken apart, found again in another region, or refused."""

import pytest

from mldr.domain.images import parse_image, twin
from mldr.errors import BadReference

OWN = "123456789012.dkr.ecr.ap-southeast-1.amazonaws.com/team/churn"
SCIKIT = "121021644041.dkr.ecr.ap-southeast-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize("rest", ["", ":1", f"@{DIGEST}", ":v1.2_x"])
def test_a_reference_reads_back_as_it_was(rest):
    assert str(parse_image(OWN + rest)) == OWN + rest


def test_a_digest_wins_over_a_tag():
    assert str(parse_image(f"{OWN}:1@{DIGEST}")) == f"{OWN}@{DIGEST}"


@pytest.mark.parametrize(
    "reference",
    [
        "docker.io/library/python:3",
        "python",
        "",
        "12345.dkr.ecr.ap-southeast-1.amazonaws.com/churn:1",
        "123456789012.dkr.ecr.ap-southeast-1.example.com/churn:1",
        f"{OWN}@sha256:abc",
        f"{OWN}:1\n",
        f" {OWN}:1",
    ],
)
def test_what_is_no_ecr_image_is_refused_with_advice(reference):
    with pytest.raises(BadReference, match="is not an ECR reference"):
        parse_image(reference)


def test_ones_own_image_keeps_its_account():
    moved = twin(parse_image(OWN + ":1"), "ap-southeast-3")
    assert str(moved) == "123456789012.dkr.ecr.ap-southeast-3.amazonaws.com/team/churn:1"
    assert not moved.owned_by_aws


def test_an_image_of_aws_changes_its_account():
    image = parse_image(SCIKIT)
    assert image.owned_by_aws
    moved = twin(image, "ap-southeast-3")
    assert (moved.account, moved.region, moved.owned_by_aws) == ("951798379941", "ap-southeast-3", True)
    assert (moved.repository, moved.tag) == ("sagemaker-scikit-learn", "1.2-1-cpu-py3")
    assert twin(moved, "ap-southeast-1") == image


def test_an_image_of_china_keeps_its_domain():
    image = parse_image("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/churn:1")
    assert str(twin(image, "cn-northwest-1")) == "123456789012.dkr.ecr.cn-northwest-1.amazonaws.com.cn/churn:1"


def test_an_image_that_aws_does_not_publish_there_is_refused():
    image = parse_image("520713654638.dkr.ecr.ap-southeast-1.amazonaws.com/sagemaker-mxnet:1")
    with pytest.raises(BadReference, match="AWS does not publish sagemaker-mxnet in ap-southeast-3"):
        twin(image, "ap-southeast-3")


def test_somebody_elses_repository_of_the_same_name_is_not_awss():
    assert not parse_image(SCIKIT.replace("121021644041", "123456789012")).owned_by_aws
