"""What clients meet at the edge of the two regions: DNS, health checks, HTTP APIs and SageMaker endpoints."""
