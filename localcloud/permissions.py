"""IAM for the stack's own functions and state machines: refuses what their roles do not allow, keeps what they use."""

import json
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from moto.awslambda.models import lambda_backends
from moto.iam.models import Role, iam_backends
from moto.kms.models import kms_backends
from moto.s3.models import s3_backends
from moto.sagemaker.models import sagemaker_backends
from moto.stepfunctions.models import stepfunctions_backends
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from localcloud.calls import Identity, bucket_and_key
from localcloud.needs import needs
from localcloud.policies import Grant, Need, grants, judge, names, statements
from localcloud.principals import Principal, principal


class Permissions:
    """Judges requests by the roles and bucket policies that the stacks have deployed."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._used: dict[str, set[Grant]] = {}
        self._lock = threading.Lock()

    def refusal(self, identity: Identity, environ: Mapping[str, Any]) -> str | None:
        """Why the request is not authorised; None when it is."""
        caller = principal(identity.access_key)
        if caller is None and identity.service != "s3":
            return None
        wanted = needs(identity, environ, self._account)
        role = self._role(caller) if caller else None
        arn = role.arn if role else f"arn:aws:iam::{self._account}:user/{identity.access_key}"
        for need in wanted:
            if self._denied_by_bucket(need, arn):
                return _message(arn, need, "with an explicit deny in a resource-based policy")
            if caller and not self._granted_by_resource(need, arn) and (reason := self._refused_by_role(role, need)):
                return _message(arn, need, reason)
        return None

    def hides_missing(self, identity: Identity, environ: Mapping[str, Any]) -> bool:
        """S3 answers 403, not 404, to callers that may not list the bucket."""
        caller = principal(identity.access_key)
        if caller is None or identity.operation not in ("GetObject", "HeadObject"):
            return False
        need = Need("s3:ListBucket", (f"arn:aws:s3:::{bucket_and_key(environ)[0]}",))
        role = self._role(caller)
        if role and self._granted_by_resource(need, role.arn):
            return False
        return self._refused_by_role(role, need) is not None

    def used(self, role: str) -> frozenset[Grant]:
        """The grants of a role that have allowed a request so far."""
        with self._lock:
            return frozenset(self._used.get(role, set()))

    def granted(self, role: str) -> frozenset[Grant]:
        """Everything that a role's policies allow."""
        found = iam_backends[self._account]["aws"].get_role(role)
        allowing = (
            statement
            for document in _documents(found)
            for statement in statements(document)
            if statement["Effect"] == "Allow"
        )
        return frozenset(grant for statement in allowing for grant in grants(statement))

    def report(self) -> dict[str, dict[str, list[tuple[str, str]]]]:
        """For every role what it is granted, apart by whether it was ever used: (action, resource) patterns."""
        found = {}
        for role in [role.name for role in iam_backends[self._account]["aws"].roles.values()]:
            granted, used = self.granted(role), self.used(role)
            found[role] = {"used": _pairs(used), "unused": _pairs(granted - used)}
        return found

    def role_refusal(self, role_arn: str, need: Need) -> str | None:
        """Why a role does not allow the need; None when it does."""
        return self._refused_by_role(self._role_named(role_arn), need)

    def _refused_by_role(self, role: Role | None, need: Need) -> str | None:
        if role is None:
            return "because its role does not exist"
        verdicts = [judge(document, need) for document in _documents(role)]
        if any(verdict.denied for verdict in verdicts):
            return "with an explicit deny in an identity-based policy"
        allowing = {grant for verdict in verdicts for grant in verdict.allowed}
        if not allowing:
            return f"because no identity-based policy allows the {need.action} action"
        with self._lock:
            self._used.setdefault(role.name, set()).update(allowing)
        return None

    def _denied_by_bucket(self, need: Need, caller: str) -> bool:
        policy = self._bucket_policy(need) if need.action.startswith("s3:") else ""
        return bool(policy and judge(policy, need, caller).denied)

    def _granted_by_resource(self, need: Need, role: str) -> bool:
        """Within one account a bucket's or a key's policy that names a role by itself allows what it says.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics-single-account.html
        """
        service = need.action.partition(":")[0]
        if service not in ("s3", "kms"):
            return False
        policy = self._bucket_policy(need) if service == "s3" else self._key_policy(need)
        naming = [one for one in statements(policy) if names(one, role)] if policy else []
        return bool(naming and judge(json.dumps({"Statement": naming}), need).allowed)

    def _bucket_policy(self, need: Need) -> str:
        name = need.resources[0].removeprefix("arn:aws:s3:::").partition("/")[0]
        bucket = s3_backends[self._account]["aws"].buckets.get(name)
        return _text(bucket.policy) if bucket and bucket.policy else ""

    def _key_policy(self, need: Need) -> str:
        region = need.resources[0].split(":")[3]
        held = kms_backends[self._account][region].keys.get(need.resources[0].rpartition("/")[2])
        return _text(held.policy) if held else ""

    def _role(self, caller: Principal) -> Role | None:
        return self._role_named(self._role_arn(caller))

    def _role_named(self, arn: str | None) -> Role | None:
        roles = iam_backends[self._account]["aws"].roles.values()
        return next((role for role in roles if role.arn == arn), None)

    def _role_arn(self, caller: Principal) -> str | None:
        if caller.kind == "endpoint":
            return self._execution_role(caller)
        if caller.kind == "function":
            functions = lambda_backends[self._account][caller.region].list_functions()
            return next((str(function.role) for function in functions if function.function_name == caller.name), None)
        backends = (stepfunctions_parser_backends, stepfunctions_backends)
        machines = (machine for backend in backends for machine in backend[self._account][caller.region].state_machines)
        return next((str(machine.roleArn) for machine in machines if machine.name == caller.name), None)

    def _execution_role(self, caller: Principal) -> str | None:
        """The role of the model behind an endpoint; its configuration has that of inference components."""
        backend = sagemaker_backends[self._account][caller.region]
        endpoint = backend.endpoints.get(caller.name)
        config = backend.endpoint_configs.get(endpoint.endpoint_config_name) if endpoint else None
        if config is None:
            return None
        models = [backend._models.get(variant.get("ModelName", "")) for variant in config.production_variants]
        own = getattr(config, "kept", {}).get("ExecutionRoleArn")
        return next((str(model.execution_role_arn) for model in models if model), own)


def _pairs(found: Iterable[Grant]) -> list[tuple[str, str]]:
    return sorted((grant.action, grant.resource) for grant in found)


def _documents(role: Role) -> list[str]:
    inline = [document if isinstance(document, str) else json.dumps(document) for document in role.policies.values()]
    managed = (version for policy in role.managed_policies.values() for version in policy.versions)
    return inline + [_text(version.document) for version in managed if version.is_default]


def _text(document: str | bytes) -> str:
    return document.decode() if isinstance(document, bytes) else document


def _message(caller: str, need: Need, reason: str) -> str:
    return f"User: {caller} is not authorized to perform: {need.action} on resource: {need.resources[0]} {reason}"
