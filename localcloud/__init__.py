"""Two AWS regions on one machine: deploys template.yaml for real, routes its events, runs its functions."""
