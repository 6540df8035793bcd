"""Checking the vault's bytes on the deployed stack, and what an administrator destroyed there is made good again."""

import json
import subprocess
import sys

from mldr.domain.manifests import Entry, decode
from mldr.domain.recovery_point import Manifest, manifest_key
from tests.e2e.cloud import ACTIVE, ROOT, STANDBY, key, outsiders_environment, wait_for


def mldr(cloud, *arguments):
    """Run the command line as an operator would; its exit code and its JSON."""
    environment = {**outsiders_environment(), **cloud.environment, "MLDR_REGIONS": STANDBY}
    command = [sys.executable, "-m", "cli", *arguments, "--json"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def sealed_lines(cloud, point) -> list[Entry]:
    """The lines of a recovery point as they were sealed."""
    s3, name = cloud.aws("s3"), manifest_key(point.model, point.recovery_point)

    def read(where, version):
        return s3.get_object(Bucket=cloud.vault, Key=where, VersionId=version)["Body"].read()

    manifest = Manifest.model_validate_json(read(name, point.manifest_version))
    return [line for ref in manifest.shards for line in decode(read(ref.key, ref.version_id))]


def destroy(cloud, point) -> Entry:
    """Destroy the weights in the vault, as an administrator can who first lifts what forbids it to everybody."""
    line = next(one for one in sealed_lines(cloud, point) if one.source_key.endswith(".tar.gz"))
    s3 = cloud.aws("s3")
    policy = s3.get_bucket_policy(Bucket=cloud.vault)["Policy"]
    s3.delete_bucket_policy(Bucket=cloud.vault)
    try:
        s3.delete_object(Bucket=cloud.vault, Key=line.key, VersionId=line.version_id, BypassGovernanceRetention=True)
    finally:
        s3.put_bucket_policy(Bucket=cloud.vault, Policy=policy)
    return line


def test_a_sound_model_is_found_sound(cloud, protected):
    point = protected("churn")
    code, told = mldr(cloud, "verify", "churn", "--wait")
    report = told["reports"][STANDBY]
    assert (code, report["outcome"], report["findings"]) == (0, "sound", [])
    [tally] = report["tallies"]
    assert (tally["objects"], tally["bytes"]) == (point.objects, point.bytes)
    _, status = mldr(cloud, "status", "churn")
    assert (status["checked"]["run"], status["complete"]) == (report["run"], True)


def test_what_was_destroyed_in_the_vault_is_copied_again_from_its_pinned_source(cloud, protected):
    destroyed = destroy(cloud, protected("auction"))
    code, told = mldr(cloud, "verify", "auction", "--wait")
    assert (code, told["reports"][STANDBY]["outcome"]) == (0, "repaired")
    again = cloud.aws("s3").get_object(Bucket=cloud.vault, Key=destroyed.key)
    assert again["VersionId"] != destroyed.version_id
    source = cloud.aws("s3", ACTIVE).get_object(
        Bucket=destroyed.bucket, Key=destroyed.source_key, VersionId=destroyed.source_version
    )
    assert again["Body"].read() == source["Body"].read()
    assert again["ObjectLockMode"] == "GOVERNANCE"
    code, told = mldr(cloud, "verify", "auction", "--wait")
    assert (code, told["reports"][STANDBY]["outcome"]) == (0, "sound")


def test_what_is_gone_on_both_sides_takes_its_point_out_of_recovery_and_pages(cloud, protected, pages):
    point = protected("liar")
    destroyed = destroy(cloud, point)
    cloud.aws("s3", ACTIVE).delete_object(
        Bucket=destroyed.bucket, Key=destroyed.source_key, VersionId=destroyed.source_version
    )
    code, told = mldr(cloud, "verify", "liar", "--wait")
    assert (code, told["reports"][STANDBY]["outcome"]) == (1, "damaged")
    assert not cloud.catalog.record(point.model, point.recovery_point).restorable
    page = pages.wait("liar", "damaged in the vault")["Message"]
    assert "No recovery point of this model can be restored now" in page


def test_how_far_each_model_is_behind_is_a_figure(cloud, protected):
    protected("churn")
    cloudwatch = cloud.aws("cloudwatch")
    cloud.door("clock/advance/60", "POST")

    def published():
        found = cloudwatch.list_metrics(Namespace="mldr")["Metrics"]
        return {one["MetricName"] for one in found} >= {"RpoLag", "RpoLagRatio", "WorstRpoLagRatio"}

    wait_for("figures of the RPO", published, 60)
    [alarm] = cloudwatch.describe_alarms(AlarmNames=["mldr-prod-rpo-lag"])["MetricAlarms"]
    assert (alarm["MetricName"], alarm["TreatMissingData"]) == ("WorstRpoLagRatio", "breaching")
    assert [topic.rpartition(":")[2] for topic in alarm["AlarmActions"]] == ["mldr-prod-pages"]


def test_the_schedule_asks_for_a_check_of_everything(cloud, protected):
    """A week later; what it found of each owner stands in the catalog."""
    protected("churn")
    cloud.door(f"clock/advance/{7 * 86400}", "POST")
    wait_for("a check by the schedule", lambda: _checked_by_schedule(cloud), 90)


def _checked_by_schedule(cloud) -> bool:
    _, status = mldr(cloud, "status", "churn")
    run = (status["checked"] or {}).get("run", "")
    return bool(run) and not run.startswith("by-hand") and key("churn").name in status["model"]
