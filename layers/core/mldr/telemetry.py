"""The one logger and the one metrics sink. No tracer: its import alone costs more than a function's first client."""

from aws_lambda_powertools import Logger, Metrics

logger = Logger(service="mldr")
metrics = Metrics(namespace="mldr", service="mldr")
