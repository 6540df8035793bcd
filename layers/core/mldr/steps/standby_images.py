"""Find the image of the standby region that stands for one of the active region."""

from __future__ import annotations

from mldr.domain.images import parse_image, twin
from mldr.errors import ImageNotReplicated, MissingArtifact
from mldr.ports.registry import Images


def standby_image(path: str, reference: str, source_region: str, region: str, images: Images) -> str:
    """Return the image's twin; one of our own must be there already, by its digest.

    Raises BadReference, MissingArtifact or ImageNotReplicated, naming the path.
    """
    image = parse_image(reference)
    target = twin(image, region)
    if image.owned_by_aws:
        return str(target)
    digest = image.digest or images.digest(image)
    if digest is None:
        raise MissingArtifact(
            f"{path}: {image} does not exist in {source_region}; push it and approve the version again"
        )
    target = target.model_copy(update={"digest": digest})
    if images.digest(target) is None:
        raise ImageNotReplicated(
            f"{path}: {target} does not exist; replicate the repository {image.repository} to {region} "
            "(ECR replication carries only images pushed afterwards: push again or start a backfill), "
            "then protect the model again"
        )
    return str(target)
