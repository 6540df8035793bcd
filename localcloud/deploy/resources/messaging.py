"""Makers of buses, rules, queues and topics."""

from localcloud.deploy.maker import Made, Place, Properties, makes, only, tags, text, without

QUEUE_ATTRIBUTES = (
    "VisibilityTimeout",
    "MessageRetentionPeriod",
    "DelaySeconds",
    "MaximumMessageSize",
    "ReceiveMessageWaitTimeSeconds",
    "RedrivePolicy",
    "RedriveAllowPolicy",
    "FifoQueue",
    "ContentBasedDeduplication",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
    "SqsManagedSseEnabled",
)


@makes("AWS::SQS::Queue", "QueueName", "Tags", *QUEUE_ATTRIBUTES)
def queue(place: Place, name: str, properties: Properties) -> Made:
    """A queue with its redrive policy."""
    named = properties.get("QueueName", place.name_for(name))
    attributes = {key: text(value) for key, value in only(properties, *QUEUE_ATTRIBUTES).items()}
    place.call("sqs", "create_queue", QueueName=named, Attributes=attributes, tags=tags(properties))
    url = f"{place.endpoint}/{place.account}/{named}"
    arn = f"arn:aws:sqs:{place.region}:{place.account}:{named}"
    return Made(url, {"Arn": arn, "QueueName": named, "QueueUrl": url})


@makes("AWS::SQS::QueuePolicy", "Queues", "PolicyDocument")
def queue_policy(place: Place, name: str, properties: Properties) -> Made:
    """Who may send to queues."""
    for url in properties["Queues"]:
        place.call(
            "sqs", "set_queue_attributes", QueueUrl=url, Attributes={"Policy": text(properties["PolicyDocument"])}
        )
    return Made(place.name_for(name))


@makes("AWS::SNS::Topic", "TopicName", "DisplayName", "KmsMasterKeyId", "Subscription", "Tags")
def topic(place: Place, name: str, properties: Properties) -> Made:
    """A topic with its subscriptions."""
    named = properties.get("TopicName", place.name_for(name))
    attributes = {key: text(value) for key, value in only(properties, "DisplayName", "KmsMasterKeyId").items()}
    arn = place.call("sns", "create_topic", Name=named, Attributes=attributes, **only(properties, "Tags"))["TopicArn"]
    for subscription in properties.get("Subscription", []):
        place.call(
            "sns", "subscribe", TopicArn=arn, Protocol=subscription["Protocol"], Endpoint=subscription["Endpoint"]
        )
    return Made(arn, {"TopicArn": arn, "TopicName": named})


@makes("AWS::SNS::TopicPolicy", "Topics", "PolicyDocument")
def topic_policy(place: Place, name: str, properties: Properties) -> Made:
    """Who may publish to topics."""
    for arn in properties["Topics"]:
        document = text(properties["PolicyDocument"])
        place.call("sns", "set_topic_attributes", TopicArn=arn, AttributeName="Policy", AttributeValue=document)
    return Made(place.name_for(name))


@makes("AWS::Events::EventBus", "Name", "Description", "DeadLetterConfig", "Tags")
def event_bus(place: Place, name: str, properties: Properties) -> Made:
    """A custom bus."""
    arn = place.call("events", "create_event_bus", **properties)["EventBusArn"]
    return Made(properties["Name"], {"Arn": arn, "Name": properties["Name"]})


@makes(
    "AWS::Events::Rule",
    "Name",
    "EventBusName",
    "EventPattern",
    "ScheduleExpression",
    "State",
    "Description",
    "RoleArn",
    "Targets",
    "Tags",
)
def rule(place: Place, name: str, properties: Properties) -> Made:
    """A rule with its targets."""
    named = properties.get("Name", place.name_for(name)[:64])
    on = only(properties, "EventBusName")
    wanted = without(properties, "Name", "Targets", "EventPattern")
    if "EventPattern" in properties:
        wanted["EventPattern"] = text(properties["EventPattern"])
    arn = place.call("events", "put_rule", Name=named, **wanted)["RuleArn"]
    if targets := properties.get("Targets"):
        failed = place.call("events", "put_targets", Rule=named, Targets=targets, **on)["FailedEntries"]
        if failed:
            raise KeyError(f"targets: {failed}")
    return Made(named, {"Arn": arn})
