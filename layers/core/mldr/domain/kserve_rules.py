"""What a policy may say about KServe: which InferenceService serves a model, and how its clusters are reached."""

from __future__ import annotations

import re
from typing import Self

from pydantic import Field, model_validator

from mldr.domain.identity import Frozen
from mldr.errors import BadReference

SCHEME = "kserve://"
LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"  # what Kubernetes calls an RFC 1123 label
ADDRESS = rf"kserve://{LABEL}/{LABEL}/{LABEL}"
_ADDRESS = re.compile(rf"kserve://(?P<cluster>{LABEL})/(?P<namespace>{LABEL})/(?P<name>{LABEL})")


class Address(Frozen):
    """What stands for an endpoint's name where KServe serves: the same in both regions."""

    cluster: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"kserve://{self.cluster}/{self.namespace}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `kserve://cluster/namespace/name`. Raises BadReference."""
        match = _ADDRESS.fullmatch(text)
        if match is None:
            raise BadReference(f"{text!r} is no InferenceService; write kserve://cluster/namespace/name")
        return cls(cluster=match["cluster"], namespace=match["namespace"], name=match["name"])


class KServeRule(Frozen):
    """Which InferenceService serves a model, in a cluster that the policy names for both regions."""

    cluster: str = Field(pattern=rf"^{LABEL}$", examples=["prod"])
    namespace: str = Field(pattern=rf"^{LABEL}$", examples=["models"])
    name: str = Field(pattern=rf"^{LABEL}$", examples=["fraud"])

    @property
    def address(self) -> Address:
        """Return where it is."""
        return Address(cluster=self.cluster, namespace=self.namespace, name=self.name)


class ClusterRule(Frozen):
    """How the Kubernetes API and the ingress of a cluster are reached in one region."""

    endpoint: str = Field(pattern=r"^https://[^/\s]+$", examples=["https://ABCD.gr7.ap-southeast-3.eks.amazonaws.com"])
    ca: str = Field(default="", pattern=r"^(-----BEGIN CERTIFICATE-----[\s\S]+)?$")  # PEM; empty: publicly trusted
    eks: str = Field(default="", pattern=r"^([A-Za-z0-9][A-Za-z0-9_-]{0,99})?$", examples=["prod-b"])
    token_secret: str = Field(
        default="", pattern=r"^(mldr/clusters/[A-Za-z0-9_+=.@-]{1,128})?$", examples=["mldr/clusters/prod-b"]
    )
    ingress: str = Field(default="", pattern=r"^(https?://[^/\s]+)?$", examples=["https://ingress.b.example.com"])

    @model_validator(mode="after")
    def _one_way_to_a_token(self) -> Self:
        if bool(self.eks) == bool(self.token_secret):
            raise ValueError("give one way to a token: eks, the cluster's name, or token_secret, a secret's name")
        return self
