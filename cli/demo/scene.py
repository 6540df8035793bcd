"""Who plays in the demo: names, regions, and the stack parameters that it runs with and says aloud."""

from __future__ import annotations

from pathlib import Path

from mldr.domain.identity import ModelKey

ACTIVE, STANDBY = "ap-southeast-1", "ap-southeast-3"
ACCOUNT, ENVIRONMENT, ZONE = "123456789012", "prod", "models.mldr.test"
# What each of them is owed, its tier first of all, stands in the policy.
MODELS = (
    ModelKey(registry="sagemaker", name="digits-classifier"),
    ModelKey(registry="sagemaker", name="digits-warm"),
    ModelKey(registry="sagemaker", name="digits-both"),
)
MODEL = MODELS[0]
BUCKET = "mldr-demo-models"
IMAGE = f"121021644041.dkr.ecr.{ACTIVE}.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
TOKEN = f"mldr/{ENVIRONMENT}/gateway-token"
POLICY = Path(__file__).resolve().parents[2] / "samplecfg" / "policy.yaml"
HOME = Path(".mldr/demo")

# Only the stack's own parameters make this quicker than a deployment with the defaults.
PARAMETERS = {
    "HealthCheckInterval": "10",
    "FailureThreshold": "2",
    "RecordTtl": "5",
    "ProbeInterval": "5",
    "ProbeRounds": "11",
    "EndpointPollSeconds": "1",
    "GoldenBuckets": BUCKET,
    # Gives the gateways the models' own names, as in a deployment with a certificate.
    "CertificateArn": f"arn:aws:acm:{ACTIVE}:{ACCOUNT}:certificate/demo",
}
REQUESTS_PER_SECOND = 9  # of all models together
CLIENTS = 4  # who remember answers of DNS each for themselves
TIMEOUT = 2.0  # seconds that the client gives a request
GOOD_IN_A_ROW = 8  # of each model
OF_EACH = 3  # answers of each region, where both answer
WATCH_AFTER_HEAL = 5.0  # seconds


def host_of(model: ModelKey) -> str:
    """Return the name that clients resolve."""
    return f"{model.label}.{ZONE}"
