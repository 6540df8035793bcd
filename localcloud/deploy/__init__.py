"""Deploys template.yaml: what CloudFormation does with it, through plain AWS calls, or a refusal by name."""
