"""Bearer tokens for Kubernetes clusters: presigned for EKS, from Secrets Manager for any other."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.hooks import HierarchicalEmitter
from botocore.model import ServiceId
from botocore.signers import RequestSigner

from mldr.errors import NotAllowed
from mldr.sdk import translated

if TYPE_CHECKING:
    from botocore.credentials import Credentials
    from mypy_boto3_secretsmanager import SecretsManagerClient

FRESH = 300.0  # seconds for which a secret is held
SIGNED_FOR = 60  # seconds for which EKS may redeem the presigned request; it takes tokens for 15 minutes
RENEWED = 600.0  # seconds after which another token is signed


class EksTokens:
    """Needs nothing but the function's own credentials: signing calls nobody, EKS redeems it with STS of its region.

    See the token format in https://github.com/kubernetes-sigs/aws-iam-authenticator ("API Authorization from Outside a
    Cluster"): GetCallerIdentity, presigned with the header x-k8s-aws-id.
    """

    def __init__(self, credentials: Callable[[], Credentials | None], *, region: str, cluster: str) -> None:
        self._credentials, self._region, self._cluster = credentials, region, cluster
        self._token, self._signed_at = "", 0.0

    def __call__(self) -> str:
        if not self._token or time.monotonic() - self._signed_at > RENEWED:
            self._token, self._signed_at = self._sign(), time.monotonic()
        return self._token

    def _sign(self) -> str:
        credentials = self._credentials()
        if credentials is None:
            raise NotAllowed(f"no credentials to sign a token for cluster {self._cluster} with")
        url = f"https://sts.{self._region}.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15"
        request = {
            "method": "GET",
            "url": url,
            "body": {},
            "headers": {"x-k8s-aws-id": self._cluster},
            "context": {},
        }
        emitter = HierarchicalEmitter()  # held here: the signer itself only keeps a weak reference
        signer = RequestSigner(ServiceId("STS"), self._region, "sts", "v4", credentials, emitter)
        signed = signer.generate_presigned_url(
            request, region_name=self._region, expires_in=SIGNED_FOR, operation_name=""
        )
        return "k8s-aws-v1." + base64.urlsafe_b64encode(signed.encode()).decode().rstrip("=")


class SecretBearer:
    """Needs secretsmanager:GetSecretValue on the secret in this region, whichever region the cluster is in."""

    def __init__(self, secrets: Callable[[], SecretsManagerClient], *, name: str) -> None:
        self._secrets, self._name = secrets, name
        self._token, self._read_at = "", 0.0

    def __call__(self) -> str:
        if not self._token or time.monotonic() - self._read_at > FRESH:
            absent = NotAllowed(f"there is no secret {self._name}: store the cluster's token in it")
            with translated(f"read the cluster token {self._name}", ResourceNotFoundException=absent):
                self._token = self._secrets().get_secret_value(SecretId=self._name)["SecretString"].strip()
            self._read_at = time.monotonic()
        return self._token
