"""May EventBridge deliver to a target, may Lambda poll a queue: judged by resource policies and roles, as AWS does."""

import json
from collections.abc import Callable
from typing import Any

from moto.awslambda.models import lambda_backends
from moto.events.models import Rule
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends
from moto.utilities.arns import parse_arn

from localcloud.policies import Need, judge

EVENTS = "events.amazonaws.com"
RoleJudge = Callable[[str, Need], str | None]
RESOURCE_ACTIONS = {"sqs": "sqs:SendMessage", "sns": "sns:Publish", "lambda": "lambda:InvokeFunction"}
ROLE_ACTIONS = {"events": "events:PutEvents", "states": "states:StartExecution"}
POLLING_ACTIONS = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")


class DeliveryRights:
    """The permissions that events and batches need besides those of the API's callers."""

    def __init__(self, account: str, role_refuses: RoleJudge) -> None:
        """`role_refuses` weighs a need against a role's policies and returns what forbids it."""
        self._account = account
        self._role_refuses = role_refuses

    def forbids_delivery(self, rule: Rule, target: dict[str, Any]) -> str | None:
        """Why the rule's events may not reach the target; None when they may."""
        arn = parse_arn(target["Arn"])
        if arn.service in RESOURCE_ACTIONS:
            return self._resource_refuses(arn.service, target["Arn"], rule)
        if arn.service not in ROLE_ACTIONS or (arn.service == "events" and arn.region == rule.region_name):
            return None
        role = target.get("RoleArn") or rule.role_arn
        if not role:
            return f"the target {target['Arn']} has no RoleArn"
        return self._role_refuses(role, Need(ROLE_ACTIONS[arn.service], (target["Arn"],)))

    def forbids_polling(self, function_arn: str, queue_arn: str) -> str | None:
        """Why Lambda may not feed the function from the queue."""
        function = lambda_backends[self._account][str(parse_arn(function_arn).region)].get_function(function_arn)
        refusals = (self._role_refuses(str(function.role), Need(action, (queue_arn,))) for action in POLLING_ACTIONS)
        return next((refusal for refusal in refusals if refusal), None)

    def _resource_refuses(self, service: str, arn: str, rule: Rule) -> str | None:
        statements = self._statements(service, arn)
        if statements is None:
            return None
        source = (("aws:SourceArn", rule.arn), ("aws:SourceAccount", self._account))
        need = Need(RESOURCE_ACTIONS[service], (arn,), source)
        document = json.dumps({"Statement": [one for one in statements if _names_service(one.get("Principal"))]})
        verdict = judge(document, need)
        if verdict.allowed and not verdict.denied:
            return None
        return f"the policy of {arn} does not allow {EVENTS} to {need.action} for {rule.arn}"

    def _statements(self, service: str, arn: str) -> list[dict[str, Any]] | None:
        """The resource's own policy; None when the resource does not exist, which delivery itself will find."""
        region, name = str(parse_arn(arn).region), arn.rsplit(":", 1)[-1]
        if service == "lambda":
            functions = lambda_backends[self._account][region].list_functions()
            policies = {function.function_arn: function.policy.statements for function in functions}
            return policies.get(arn)
        if service == "sqs":
            queue = sqs_backends[self._account][region].queues.get(name)
            return None if queue is None else list(json.loads(queue.policy or '{"Statement": []}')["Statement"])
        topic = sns_backends[self._account][region].topics.get(arn)
        return None if topic is None else list(json.loads(topic.policy)["Statement"])


def _names_service(principal: Any) -> bool:
    if principal == "*":
        return True
    named = principal.get("Service", principal.get("AWS", "")) if isinstance(principal, dict) else ""
    return bool({EVENTS, "*"} & set(named if isinstance(named, list) else [named]))
