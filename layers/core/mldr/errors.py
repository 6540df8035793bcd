"""Everything that can go wrong, by what the caller should do about it.

* MldrError
  + Retryable               the world may change: delivering again may work
    - Throttled
    - RegionUnreachable
    - LostRace              another writer was first: read again and decide again
    - ChecksNotReported     Route 53 is not seen yet to believe that the takeover switch is off
    - NotConfirmed          the switch is flipped, but the outside does not see it yet
  + Permanent               the input or the set-up is wrong: delivering again cannot work
    - BadEvent
    - BadSettings
    - BadPolicy
    - BadGolden
    - BadReference
    - MissingArtifact
    - ArtifactChanged
    - SourceNotVersioned    a point in time can only be named where every version is kept
    - ChecksumUnavailable
    - ChecksumMismatch
    - PartsMissing
    - VaultRefused
    - TargetDiffers         a restore would write over something else
    - RegistryRefused
    - ImageNotReplicated
    - ZoneMissing
    - NotAllowed            an IAM role or a key policy forbids a call
    - NotRestorable
    - EpochTaken
    - AlreadyServing
    - EndpointFailed
    - WrongAnswers

State machines see only the class name, so they name leaves.
"""

from collections.abc import Sequence


class MldrError(Exception):
    """Base of all errors raised on purpose."""


class Retryable(MldrError):
    """Trying again later may work."""


class Throttled(Retryable):
    """The service asked us to slow down."""


class RegionUnreachable(Retryable):
    """A region's service did not answer, or answered that it cannot."""


class LostRace(Retryable):
    """A conditional write lost against another writer."""


class ChecksNotReported(Retryable):
    """Route 53 does not yet believe what it will: a new inverted check starts unhealthy."""


class NotConfirmed(Retryable):
    """Clients outside do not see the standby yet."""


class Permanent(MldrError):
    """Trying again cannot work."""


class BadEvent(Permanent):
    """A message does not match its contract; the text names the field."""


class BadSettings(Permanent):
    """An environment variable is absent or malformed."""


class BadPolicy(Permanent):
    """The policy has mistakes; every one is named."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        count = len(self.mistakes)
        super().__init__(f"the policy has {count} mistake{'s' if count != 1 else ''}:\n" + "\n".join(self.mistakes))


class BadGolden(Permanent):
    """The golden inferences cannot be read; the text names the line."""


class BadReference(Permanent):
    """A reference in the registry's record cannot be carried to the standby region."""


class MissingArtifact(Permanent):
    """An object that the registry names, or its pinned version, does not exist."""


class ArtifactChanged(Permanent):
    """An object is no longer the one that was pinned or approved."""


class SourceNotVersioned(Permanent):
    """A bucket that has to be known as of an instant does not keep its versions."""


class ChecksumUnavailable(Permanent):
    """The source has no full-object checksum and is too large to read."""


class ChecksumMismatch(Permanent):
    """The bytes in the vault are not the bytes that were pinned."""


class PartsMissing(Permanent):
    """A large object was to be completed before all of its parts were copied."""


class VaultRefused(Permanent):
    """The vault refused a write."""


class TargetDiffers(Permanent):
    """A bucket that a dataset is restored to holds another object under the same key."""


class RegistryRefused(Permanent):
    """The standby's model registry refused the package."""


class ImageNotReplicated(Permanent):
    """The container image does not exist in the standby region."""


class ZoneMissing(Permanent):
    """The hosted zone that clients resolve models in does not exist."""


class NotAllowed(Permanent):
    """AWS refused a call for want of permission."""


class NotRestorable(Permanent):
    """No sealed recovery point can be restored for this model."""


class EpochTaken(Permanent):
    """Another failover holds the epoch."""


class AlreadyServing(Permanent):
    """This region serves the model already."""


class EndpointFailed(Permanent):
    """The restored endpoint cannot come into service."""


class WrongAnswers(Permanent):
    """The restored model does not reproduce its golden inferences."""
