"""Law 6, end to end: what cannot be seen is not down. Nothing moves; a person is told."""

from mldr.domain.health import Sight
from tests.e2e.cloud import ACTIVE, GLOBAL, key, wait_for


def delete_canary(cloud, name):
    """Somebody tidies the zone: Route 53's verdict can no longer be read."""
    route53 = cloud.aws("route53", GLOBAL)
    zone = route53.list_hosted_zones()["HostedZones"][0]["Id"]
    records = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    canary = [record for record in records if record["Name"].startswith(f"_health.{name}.")]
    assert len(canary) == 2
    changes = [{"Action": "DELETE", "ResourceRecordSet": record} for record in canary]
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})


def test_a_probe_alone_moves_nothing_and_pages_a_person(cloud, events, pages, protected):
    protected("forecast")
    model = key("forecast")
    delete_canary(cloud, "forecast")
    # The endpoint is really gone, but only one of two vantage points is left to say so.
    cloud.aws("sagemaker", ACTIVE).delete_endpoint(EndpointName="forecast")
    page = pages.wait("forecast", "unknown", seconds=90)
    assert "cannot tell whether the model is up" in page["Message"]
    assert "route53: unknown" in page["Message"]
    assert "mldr failover forecast" in page["Message"]
    seen = wait_for("rounds go on", lambda: watched(cloud, model), 60, lambda: cloud.story("forecast"))
    assert seen.verdict is Sight.UNKNOWN
    assert events.of("Failover Requested", "forecast") == []
    assert cloud.catalog.epoch(model) is None
    assert cloud.target("forecast") == ACTIVE
    assert len(pages.about("forecast")) == 1


def watched(cloud, model, rounds=5):
    """The state of health once it was judged so many times more than the page needed."""
    state = cloud.catalog.health(model)
    return state if state.unknown_rounds >= rounds else None
