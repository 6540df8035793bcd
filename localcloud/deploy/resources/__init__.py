"""Makers of every resource type that the template may use; importing this package registers them."""

from localcloud.deploy.resources import compute, identity, messaging, network, secrets, storage

__all__ = ["compute", "identity", "messaging", "network", "secrets", "storage"]
