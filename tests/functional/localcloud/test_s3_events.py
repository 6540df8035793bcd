"""S3 in the local cloud tells EventBridge what AWS's S3 tells it: who asked, once, on the default bus, in order."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from localcloud.moto_repairs.s3 import S3Repairs
from localcloud.moto_repairs.s3_events import S3Events
from tests.functional.localcloud.small_cloud import ACCOUNT, HERE, THERE, SmallCloud, small_cloud, wait_until

ALL = {"source": ["aws.s3"]}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallCloud]:
    with small_cloud(tmp_path_factory.mktemp("cloud")) as running:
        repairs = [S3Repairs(ACCOUNT), S3Events(ACCOUNT, running.router.emit)]
        for repair in repairs:
            repair.start()
        try:
            yield running
        finally:
            for repair in reversed(repairs):
                repair.stop()


class Lake:
    """A bucket, and a queue behind a rule that matches its events."""

    def __init__(self, cloud: SmallCloud, *, versioned: bool = True, telling: bool = True, bus: str = "default"):
        self.cloud, self.name = cloud, f"lake-{uuid.uuid4().hex[:8]}"
        self.s3 = cloud.client("s3", THERE)
        self.s3.create_bucket(Bucket=self.name, CreateBucketConfiguration={"LocationConstraint": THERE})
        if versioned:
            self.s3.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": "Enabled"})
        if telling:
            told: dict[str, Any] = {"EventBridgeConfiguration": {}}
            self.s3.put_bucket_notification_configuration(Bucket=self.name, NotificationConfiguration=told)
        self.url, arn = cloud.queue(self.name, THERE)
        pattern = {**ALL, "detail": {"bucket": {"name": [self.name]}}}
        cloud.rule({"Arn": arn}, THERE, bus, EventPattern=json.dumps(pattern))

    def events(self, count: int) -> list[dict[str, Any]]:
        """That many events, in the order of their sequencers; a silence afterwards proves that there are no more."""
        found: list[dict[str, Any]] = []

        def arrived() -> bool:
            found.extend(self.cloud.bodies(self.url, THERE))
            return len(found) >= count

        wait_until(arrived)
        self.cloud.router.emit(THERE, self.silence())
        wait_until(lambda: found.extend(self.cloud.bodies(self.url, THERE)) or "silence" in [e["id"] for e in found])
        found = [event for event in found if event["id"] != "silence"]
        assert len(found) == count, found
        return sorted(found, key=lambda event: str(event["detail"]["object"]["sequencer"]))

    def silence(self) -> dict[str, Any]:
        detail = {"bucket": {"name": self.name}}
        envelope = {"version": "0", "id": "silence", "detail-type": "x", "source": "aws.s3", "account": ACCOUNT}
        return {**envelope, "time": "2026-01-01T00:00:00Z", "region": THERE, "resources": [], "detail": detail}


def reasons(events: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(one["detail-type"], one["detail"]["reason"], one["detail"]["object"]["key"]) for one in events]


def test_an_event_has_the_documented_shape(cloud: SmallCloud) -> None:
    lake = Lake(cloud)
    made = lake.s3.put_object(Bucket=lake.name, Key="a b/ü+1.bin", Body=b"hello", Tagging="a=1")
    (event,) = lake.events(1)
    assert uuid.UUID(event.pop("id")).version == 4
    detail, named = event["detail"], event["detail"]["object"]
    assert len(named.pop("sequencer")) == len(detail.pop("request-id")) == 16
    assert event.pop("time").endswith("Z")
    assert event == {
        "version": "0",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": ACCOUNT,
        "region": THERE,
        "resources": [f"arn:aws:s3:::{lake.name}"],
        "detail": {
            "version": "0",
            "bucket": {"name": lake.name},
            "object": {
                "key": "a b/ü+1.bin",
                "size": 5,
                "etag": made["ETag"].strip('"'),
                "version-id": made["VersionId"],
            },
            "requester": ACCOUNT,
            "source-ip-address": "127.0.0.1",
            "reason": "PutObject",
        },
    }


def test_each_way_to_create_is_told_once_by_its_name(cloud: SmallCloud) -> None:
    lake = Lake(cloud)
    s3, where = lake.s3, {"Bucket": lake.name}
    s3.put_object(**where, Key="put", Body=b"x", Tagging="a=1")
    s3.copy_object(**where, Key="copy", CopySource=f"{lake.name}/put", TaggingDirective="REPLACE", Tagging="b=2")
    upload = {**where, "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload, Tagging="c=3")["UploadId"]
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"x")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    s3.put_object_tagging(**where, Key="put", Tagging={"TagSet": [{"Key": "d", "Value": "4"}]})
    events = lake.events(3)
    created = "Object Created"
    names = [("PutObject", "put"), ("CopyObject", "copy"), ("CompleteMultipartUpload", "parts")]
    assert reasons(events) == [(created, *name) for name in names]
    assert len({event["id"] for event in events}) == 3


def test_deletions_say_whether_anything_is_left(cloud: SmallCloud) -> None:
    lake = Lake(cloud)
    s3, where = lake.s3, {"Bucket": lake.name}
    version = s3.put_object(**where, Key="k", Body=b"x")["VersionId"]
    marker = s3.delete_object(**where, Key="k")["VersionId"]
    s3.delete_object(**where, Key="k", VersionId=version)
    s3.put_object(**where, Key="other", Body=b"x")
    s3.delete_objects(**where, Delete={"Objects": [{"Key": "other"}, {"Key": "k", "VersionId": marker}]})
    s3.delete_object(**where, Key="k", VersionId=marker)
    deleted = [one["detail"] for one in lake.events(6) if one["detail-type"] == "Object Deleted"]
    kinds = [(one["object"]["key"], one["deletion-type"]) for one in deleted]
    made, gone = "Delete Marker Created", "Permanently Deleted"
    assert kinds == [("k", made), ("k", gone), ("other", made), ("k", gone)]
    assert [one["object"]["version-id"] for one in deleted][:2] == [marker, version]
    assert {one["reason"] for one in deleted} == {"DeleteObject"}


def test_deleting_what_never_was_makes_a_marker_and_says_so(cloud: SmallCloud) -> None:
    lake = Lake(cloud)
    answer = lake.s3.delete_object(Bucket=lake.name, Key="never")
    (event,) = lake.events(1)
    assert answer["DeleteMarker"]
    assert event["detail"]["object"]["version-id"] == answer["VersionId"]
    (marker,) = lake.s3.list_object_versions(Bucket=lake.name)["DeleteMarkers"]
    assert (marker["Key"], marker["IsLatest"]) == ("never", True)


def test_objects_without_versions_have_no_version_id(cloud: SmallCloud) -> None:
    lake = Lake(cloud, versioned=False)
    lake.s3.put_object(Bucket=lake.name, Key="k", Body=b"x")
    lake.s3.delete_object(Bucket=lake.name, Key="k")
    created, deleted = (event["detail"] for event in lake.events(2))
    assert "version-id" not in created["object"] | deleted["object"]
    assert deleted["deletion-type"] == "Permanently Deleted"


def test_buckets_that_were_not_told_to_say_nothing(cloud: SmallCloud) -> None:
    lake = Lake(cloud, telling=False)
    lake.s3.put_object(Bucket=lake.name, Key="k", Body=b"x")
    lake.s3.delete_object(Bucket=lake.name, Key="k")
    assert lake.events(0) == []


def test_refused_requests_tell_nothing(cloud: SmallCloud) -> None:
    lake = Lake(cloud)
    lake.s3.put_object(Bucket=lake.name, Key="k", Body=b"x")
    for wrong in ({"IfNoneMatch": "*"}, {"ChecksumSHA256": "AAAA"}):
        with pytest.raises(lake.s3.exceptions.ClientError):
            lake.s3.put_object(Bucket=lake.name, Key="k", Body=b"y", **wrong)
    assert len(lake.events(1)) == 1


def test_custom_buses_hear_nothing_but_a_rule_carries_events_over_regions(cloud: SmallCloud) -> None:
    for region in (HERE, THERE):
        cloud.client("events", region).create_event_bus(Name="mldr")
    lake = Lake(cloud)
    deaf, deaf_arn = cloud.queue(f"{lake.name}-deaf", THERE)
    cloud.rule({"Arn": deaf_arn}, THERE, "mldr", EventPattern=json.dumps(ALL))
    far, far_arn = cloud.queue(f"{lake.name}-far", HERE)
    bus = f"arn:aws:events:{HERE}:{ACCOUNT}:event-bus/mldr"
    pattern = json.dumps({**ALL, "detail": {"bucket": {"name": [lake.name]}}})
    cloud.rule({"Arn": bus, "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/any"}, THERE, EventPattern=pattern)
    cloud.rule({"Arn": far_arn}, HERE, "mldr", EventPattern=pattern)
    lake.s3.put_object(Bucket=lake.name, Key="k", Body=b"x")
    (event,) = wait_until(lambda: cloud.bodies(far, HERE))
    assert (event["region"], event["id"]) == (THERE, lake.events(1)[0]["id"])
    assert cloud.bodies(deaf, THERE) == []


def test_an_event_leaves_when_tags_and_checksum_are_in_place(cloud: SmallCloud) -> None:
    lake = Lake(cloud)
    seen: list[int] = []
    events = S3Events(ACCOUNT, lambda region, event: seen.append(len(_tags(lake))))
    events.start()
    try:
        lake.s3.put_object(Bucket=lake.name, Key="k", Body=b"x", Tagging="a=1")
    finally:
        events.stop()
    assert seen == [1]


def _tags(lake: Lake) -> list[Any]:
    return list(lake.s3.get_object_tagging(Bucket=lake.name, Key="k")["TagSet"])
