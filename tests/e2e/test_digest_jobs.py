"""A policy that asks for SHA-256s, end to end: S3 computes what no function reads, and the seal says so."""

import base64
import hashlib

from tests.e2e.test_vault_check import sealed_lines


def test_what_is_too_large_to_read_is_sealed_with_the_sha256_that_s3_computed(cloud, protected):
    point = protected("auction")
    lines = sealed_lines(cloud, point)
    assert len(lines) == point.objects
    for line in lines:
        body = cloud.aws("s3").get_object(Bucket=cloud.vault, Key=line.key, VersionId=line.version_id)["Body"].read()
        assert line.digests["SHA256"] == base64.b64encode(hashlib.sha256(body).digest()).decode()
        assert len(line.digests) == 2, "and what proved the copy"


def test_a_function_asked_for_the_job_and_nobody_waited_in_it(cloud, protected):
    protected("auction")
    asked = [call for call in cloud.calls() if call["service"] == "s3control"]
    assert {call["operation"] for call in asked} == {"CreateJob", "DescribeJob"}
    assert all(":mldr-prod-compute-digests" in call["principal"] for call in asked)
    assert {call["status"] for call in asked} == {200}
