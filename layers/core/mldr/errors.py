"""Everything that can go wrong, by what the caller should do about it.

* MldrError
  + Retryable               the world may change: delivering again may work
    - Throttled
    - RegionUnreachable
    - LostRace              another writer was first: read again and decide again
    - ChecksNotReported     Route 53 is not seen yet to believe what is true of the switch, or of the standby
    - RecordsChanged        somebody else changed a name's records at the same moment
    - NotConfirmed          the switch is flipped, but the outside does not see it yet
    - PeerSilent            the peer's gateway does not say who serves a model
    - RegionSwitchUnderway  ARC Region switch is to ask again
  + Permanent               the input or the set-up is wrong: delivering again cannot work
    - BadEvent
    - BadSettings
    - BadPolicy
    - BadGolden
    - BadReference
    - MissingArtifact
    - ArtifactChanged
    - BaseUnreadable        a snapshot that was to be compared with is lost: another one is, or none
    - InventoryUnusable     an S3 Inventory cannot be used: the dataset is listed instead
    - SourceNotVersioned    a point in time can only be named where every version is kept
    - ChecksumUnavailable
    - ChecksumMismatch
    - PartsMissing
    - VaultRefused
    - TargetDiffers         a restore would write over something else
    - RegistryRefused
    - ImageNotReplicated
    - ZoneMissing
    - ChecksRefused         Route 53 makes no health check: the account's quota, or its settings
    - NotAllowed            an IAM role or a key policy forbids a call
    - NotRestorable
    - EpochTaken
    - AlreadyServing
    - StaleEpoch            the peer was seen to hold a higher epoch
    - WrongDirection        a failback runs in a model's home, a move in its standby
    - PeerLagging           what the peer serves is not protected here yet
    - RegionSwitchFailed    what ARC Region switch asked for has ended, and some models did not move
    - DrainTooShort         a planned move would fail requests: the old side stops before DNS has moved
    - NothingToClear
    - PromotedMeanwhile     a planned move would take clients back to an older version
    - RequestTooLate        a request arrived long after it was made
    - ExecutionLost         nothing works for a claim any more, and it is not gone on with
    - RoutingRefused        ARC refused to set routing controls, or the parameters that name them are wrong
    - EndpointFailed
    - RequestRefused        an endpoint, or the model in it, did not take a request: no word about its health
    - NotCapturable         an endpoint of the active region stays in a status that is no state to capture
    - WrongAnswers
    - NotWarm               the policy wants a model warm before traffic moves, and it is not

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


class RecordsChanged(Retryable):
    """What stood under a name was not what had been read of it a moment before."""


class NotConfirmed(Retryable):
    """Clients outside do not see the standby yet."""


class PeerSilent(Retryable):
    """The peer's gateway does not say who serves a model."""


class RegionSwitchUnderway(Retryable):
    """This region does not serve all models yet that ARC Region switch wants it to."""


class Permanent(MldrError):
    """Trying again cannot work."""


class RegionSwitchFailed(Permanent):
    """What ARC Region switch asked for has ended, and this region does not serve all of it."""


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


class BaseUnreadable(Permanent):
    """The manifest of the snapshot before cannot be read, or the shard of it whose key and version are told."""

    def __init__(self, reason: str, version: tuple[str, str]) -> None:
        self.version = version
        super().__init__(reason)


class InventoryUnusable(Permanent):
    """An S3 Inventory is missing, too old, of another kind or damaged, or a listing asks less."""


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


class ChecksRefused(Permanent):
    """Route 53 does not make a health check that a model's name needs."""


class NotAllowed(Permanent):
    """AWS refused a call for want of permission."""


class NotRestorable(Permanent):
    """No sealed recovery point can be restored for this model."""


class EpochTaken(Permanent):
    """Another failover holds the epoch."""


class AlreadyServing(Permanent):
    """This region serves the model already."""


class StaleEpoch(Permanent):
    """The peer was seen to hold a higher epoch than the one that this work belongs to."""


class WrongDirection(Permanent):
    """A planned move was asked of the region that it leaves."""


class PeerLagging(Permanent):
    """What the peer serves is not protected in this region yet."""


class DrainTooShort(Permanent):
    """The policy lets the old side of a planned move stop before DNS has moved its clients."""


class ExecutionLost(Permanent):
    """The executions of a failover died without a word; the text says what they left."""


class PromotedMeanwhile(Permanent):
    """A version was promoted while an older one was made ready for a planned move."""


class RequestTooLate(Permanent):
    """A request arrived so long after it was made that it may not be true any more."""


class NothingToClear(Permanent):
    """No claim is open, so there is none to end."""


class RoutingRefused(Permanent):
    """ARC refused to set routing controls, or the stack's parameters that name them are wrong."""


class EndpointFailed(Permanent):
    """The restored endpoint cannot come into service."""


class RequestRefused(Permanent):
    """An endpoint, or the model in it, did not take a request. Others may be answered.

    `status` and `said` are the model's own words to whoever asked: 4xx; 0 where it was not the model that refused.
    """

    def __init__(self, reason: str, *, status: int = 0, said: str = "") -> None:
        self.status, self.said = status, said
        super().__init__(reason)


class NotCapturable(Permanent):
    """An endpoint of the active region stays in a status that is no state to capture, until somebody mends it."""


class WrongAnswers(Permanent):
    """The restored model does not reproduce its golden inferences."""


class NotWarm(Permanent):
    """The restored model did not become warm in time, and its policy switches to no other."""
