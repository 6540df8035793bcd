"""Makers of HTTP APIs, their names, and hosted zones."""

from localcloud.deploy.errors import UnknownInTemplate
from localcloud.deploy.maker import Made, Place, Properties, makes, only, tags, without

ANY_METHOD = "x-amazon-apigateway-any-method"
INTEGRATION = "x-amazon-apigateway-integration"
METHODS = {"get", "post", "put", "delete", "patch", "head", "options", ANY_METHOD}


@makes(
    "AWS::ApiGatewayV2::Api",
    "Body",
    "Name",
    "ProtocolType",
    "Description",
    "CorsConfiguration",
    "DisableExecuteApiEndpoint",
    "FailOnWarnings",
    "Tags",
)
def api(place: Place, name: str, properties: Properties) -> Made:
    """An HTTP API; its OpenAPI body becomes routes and integrations."""
    body = properties.get("Body", {})
    named = properties.get("Name") or body.get("info", {}).get("title") or place.name_for(name)
    wanted = only(properties, "Description", "CorsConfiguration", "DisableExecuteApiEndpoint")
    protocol = properties.get("ProtocolType", "HTTP")
    made = place.call("apigatewayv2", "create_api", Name=named, ProtocolType=protocol, Tags=tags(properties), **wanted)
    for path, methods in body.get("paths", {}).items():
        for method in sorted(METHODS & set(methods)):
            _route(place, made["ApiId"], path, method, methods[method])
    endpoint = f"https://{made['ApiId']}.execute-api.{place.region}.amazonaws.com"
    return Made(made["ApiId"], {"ApiEndpoint": endpoint, "ApiId": made["ApiId"]})


def _route(place: Place, api_id: str, path: str, method: str, operation: Properties) -> None:
    integration = operation[INTEGRATION]
    if integration["type"].lower() != "aws_proxy" or ":function:" not in integration["uri"]:
        raise UnknownInTemplate(f"{method} {path}: the local cloud knows only routes that a function answers")
    target = place.call(
        "apigatewayv2",
        "create_integration",
        ApiId=api_id,
        IntegrationType="AWS_PROXY",
        IntegrationUri=integration["uri"].partition("/functions/")[2].partition("/invocations")[0]
        or integration["uri"],
        PayloadFormatVersion=integration.get("payloadFormatVersion", "2.0"),
    )["IntegrationId"]
    verb = "ANY" if method == ANY_METHOD else method.upper()
    key = "$default" if path == "/$default" else f"{verb} {path}"
    place.call("apigatewayv2", "create_route", ApiId=api_id, RouteKey=key, Target=f"integrations/{target}")


@makes(
    "AWS::ApiGatewayV2::Stage",
    "ApiId",
    "StageName",
    "AutoDeploy",
    "Description",
    "DefaultRouteSettings",
    "RouteSettings",
    "AccessLogSettings",
    "StageVariables",
    "Tags",
)
def stage(place: Place, name: str, properties: Properties) -> Made:
    """A stage of an HTTP API."""
    place.call("apigatewayv2", "create_stage", Tags=tags(properties), **without(properties, "Tags"))
    return Made(properties["StageName"])


@makes("AWS::ApiGatewayV2::DomainName", "DomainName", "DomainNameConfigurations", "Tags")
def domain_name(place: Place, name: str, properties: Properties) -> Made:
    """A name of one's own for an HTTP API."""
    named = properties["DomainName"]
    place.call("apigatewayv2", "create_domain_name", Tags=tags(properties), **without(properties, "Tags"))
    regional = f"d-{place.name_for(name)[-12:]}.execute-api.{place.region}.amazonaws.com"
    return Made(named, {"RegionalDomainName": regional, "RegionalHostedZoneId": "ZLOCALCLOUD"})


@makes("AWS::ApiGatewayV2::ApiMapping", "ApiId", "DomainName", "Stage", "ApiMappingKey")
def api_mapping(place: Place, name: str, properties: Properties) -> Made:
    """Which API answers under a domain name."""
    made = place.call("apigatewayv2", "create_api_mapping", **properties)
    return Made(made["ApiMappingId"], {"ApiMappingId": made["ApiMappingId"]})


@makes("AWS::Route53::HostedZone", "Name", "HostedZoneConfig", "HostedZoneTags")
def hosted_zone(place: Place, name: str, properties: Properties) -> Made:
    """A public zone; the local DNS server answers from it."""
    reference = place.name_for(name)
    wanted = only(properties, "Name", "HostedZoneConfig")
    made = place.call("route53", "create_hosted_zone", CallerReference=reference, **wanted)
    zone = made["HostedZone"]["Id"].rpartition("/")[2]
    if labels := properties.get("HostedZoneTags"):
        place.call("route53", "change_tags_for_resource", ResourceType="hostedzone", ResourceId=zone, AddTags=labels)
    return Made(zone, {"Id": zone, "NameServers": made.get("DelegationSet", {}).get("NameServers", [])})
