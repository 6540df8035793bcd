"""What the deployer says when it will not, or cannot, create what a template asks for."""


class DeployError(Exception):
    """A deployment stopped; the message names the resource and what to do."""


class UnknownInTemplate(DeployError):
    """The template uses something that the local cloud does not know."""
