"""Makers of functions, layers, state machines, log groups and alarms."""

import io
import json
import zipfile
from typing import Any

from localcloud.deploy.maker import Made, Place, Properties, makes, only, tags, text, without

ALARM = (
    "AlarmDescription",
    "ActionsEnabled",
    "OKActions",
    "AlarmActions",
    "InsufficientDataActions",
    "MetricName",
    "Namespace",
    "Statistic",
    "ExtendedStatistic",
    "Dimensions",
    "Period",
    "Unit",
    "EvaluationPeriods",
    "DatapointsToAlarm",
    "Threshold",
    "ComparisonOperator",
    "TreatMissingData",
    "EvaluateLowSampleCountPercentile",
    "Metrics",
    "ThresholdMetricId",
    "Tags",
)


@makes(
    "AWS::Lambda::Function",
    "FunctionName",
    "Code",
    "Handler",
    "Runtime",
    "Role",
    "Timeout",
    "MemorySize",
    "Environment",
    "Layers",
    "Description",
    "Architectures",
    "TracingConfig",
    "DeadLetterConfig",
    "LoggingConfig",
    "EphemeralStorage",
    "PackageType",
    "KmsKeyArn",
    "ReservedConcurrentExecutions",
    "Tags",
)
def function(place: Place, name: str, properties: Properties) -> Made:
    """A function; what it runs in is the Lambda runtime's business."""
    named = properties.get("FunctionName", place.name_for(name)[:64])
    wanted = without(properties, "FunctionName", "Code", "Tags", "KmsKeyArn", "ReservedConcurrentExecutions")
    if "KmsKeyArn" in properties:
        wanted["KMSKeyArn"] = properties["KmsKeyArn"]
    code = _code(properties["Code"])
    arn = place.call("lambda", "create_function", FunctionName=named, Code=code, Tags=tags(properties), **wanted)[
        "FunctionArn"
    ]
    if "ReservedConcurrentExecutions" in properties:
        reserved = properties["ReservedConcurrentExecutions"]
        place.call("lambda", "put_function_concurrency", FunctionName=named, ReservedConcurrentExecutions=reserved)
    return Made(named, {"Arn": arn})


def _code(code: Properties) -> dict[str, Any]:
    if "ZipFile" not in code:
        return dict(code)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle:
        bundle.writestr("index.py", code["ZipFile"])
    return {"ZipFile": buffer.getvalue()}


@makes(
    "AWS::Lambda::LayerVersion",
    "LayerName",
    "Content",
    "Description",
    "CompatibleRuntimes",
    "CompatibleArchitectures",
    "LicenseInfo",
)
def layer(place: Place, name: str, properties: Properties) -> Made:
    """A version of a layer."""
    named = properties.get("LayerName", place.name_for(name)[:140])
    arn = place.call("lambda", "publish_layer_version", LayerName=named, **without(properties, "LayerName"))[
        "LayerVersionArn"
    ]
    return Made(arn, {"LayerVersionArn": arn})


@makes("AWS::Lambda::Permission", "FunctionName", "Action", "Principal", "SourceArn", "SourceAccount")
def permission(place: Place, name: str, properties: Properties) -> Made:
    """Who may invoke a function."""
    wanted = without(properties, "FunctionName")
    place.call("lambda", "add_permission", FunctionName=_function_name(properties), StatementId=name, **wanted)
    return Made(name, {"Id": name})


@makes(
    "AWS::Lambda::EventSourceMapping",
    "EventSourceArn",
    "FunctionName",
    "BatchSize",
    "MaximumBatchingWindowInSeconds",
    "FunctionResponseTypes",
    "ScalingConfig",
    "FilterCriteria",
    "Enabled",
    "Tags",
)
def event_source_mapping(place: Place, name: str, properties: Properties) -> Made:
    """A queue in front of a function."""
    wanted = without(properties, "FunctionName", "Tags")
    made = place.call(
        "lambda",
        "create_event_source_mapping",
        FunctionName=_function_name(properties),
        Tags=tags(properties),
        **wanted,
    )
    return Made(made["UUID"], {"Id": made["UUID"]})


def _function_name(properties: Properties) -> str:
    return str(properties["FunctionName"]).rpartition(":function:")[2].split(":")[0]


@makes(
    "AWS::StepFunctions::StateMachine",
    "StateMachineName",
    "DefinitionString",
    "DefinitionSubstitutions",
    "RoleArn",
    "StateMachineType",
    "LoggingConfiguration",
    "TracingConfiguration",
    "Tags",
)
def state_machine(place: Place, name: str, properties: Properties) -> Made:
    """A state machine; substitutions are filled in as CloudFormation fills them in."""
    definition = text(properties["DefinitionString"])
    for placeholder, value in properties.get("DefinitionSubstitutions", {}).items():
        definition = definition.replace("${" + placeholder + "}", json.dumps(text(value))[1:-1])
    named = properties.get("StateMachineName", place.name_for(name)[:80])
    settings = {
        _lower_first(key): _camel(properties[key])
        for key in ("LoggingConfiguration", "TracingConfiguration")
        if key in properties
    }
    arn = place.call(
        "stepfunctions",
        "create_state_machine",
        name=named,
        definition=definition,
        roleArn=properties["RoleArn"],
        type=properties.get("StateMachineType", "STANDARD"),
        tags=[{"key": key, "value": value} for key, value in tags(properties).items()],
        **settings,
    )["stateMachineArn"]
    return Made(arn, {"Arn": arn, "Name": named})


def _lower_first(name: str) -> str:
    return name[:1].lower() + name[1:]


def _camel(value: Any) -> Any:
    if isinstance(value, dict):
        return {_lower_first(key): _camel(item) for key, item in value.items()}
    return [_camel(item) for item in value] if isinstance(value, list) else value


@makes("AWS::Logs::LogGroup", "LogGroupName", "RetentionInDays", "KmsKeyId", "LogGroupClass", "Tags")
def log_group(place: Place, name: str, properties: Properties) -> Made:
    """A log group with its retention."""
    named = properties.get("LogGroupName", place.name_for(name))
    key = {"kmsKeyId": properties["KmsKeyId"]} if "KmsKeyId" in properties else {}
    place.call("logs", "create_log_group", logGroupName=named, tags=tags(properties), **key)
    if "RetentionInDays" in properties:
        place.call("logs", "put_retention_policy", logGroupName=named, retentionInDays=properties["RetentionInDays"])
    return Made(named, {"Arn": f"arn:aws:logs:{place.region}:{place.account}:log-group:{named}:*"})


@makes("AWS::CloudWatch::Alarm", "AlarmName", *ALARM)
def alarm(place: Place, name: str, properties: Properties) -> Made:
    """An alarm."""
    named = properties.get("AlarmName", place.name_for(name))
    place.call("cloudwatch", "put_metric_alarm", AlarmName=named, **only(properties, *ALARM))
    return Made(named, {"Arn": f"arn:aws:cloudwatch:{place.region}:{place.account}:alarm:{named}"})
