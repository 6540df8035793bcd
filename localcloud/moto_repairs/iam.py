"""IAM's managed policies, as AWS has them in every account.

Restores: AWSLambdaBasicExecutionRole and the others exist, which moto leaves out unless told. Loading them takes
seconds at every reset of moto, so whoever comes after in the same process gets moto's own setting back.
"""

from moto.core.config import default_user_config


class ManagedPolicies:
    """Switches moto's copies of the managed policies on."""

    def start(self) -> None:
        """Let moto load them when IAM is first used."""
        self._before = default_user_config["iam"]
        default_user_config["iam"] = {"load_aws_managed_policies": True}

    def stop(self) -> None:
        """Restore moto's setting."""
        default_user_config["iam"] = self._before
