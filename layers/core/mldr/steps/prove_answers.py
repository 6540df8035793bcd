"""Ask an endpoint the golden questions, to prove that it answers as recorded before any client is sent to it."""

from __future__ import annotations

from mldr.domain.golden import GoldenInference, Verdict, judge, parse_golden
from mldr.domain.recovery_point import Manifest
from mldr.domain.repairs import standing
from mldr.errors import MissingArtifact, WrongAnswers
from mldr.events.failover import ClaimedTask
from mldr.ports.catalog import Catalog
from mldr.ports.serving import Serving
from mldr.ports.vault import Vault
from mldr.steps.repairs import load_repairs
from mldr.steps.restore_serving import claimed_manifest

UNPROVEN = Verdict(equal=0, asked=0, reason="the policy names no golden inferences, so the answers are not proven")


def verify_serving(task: ClaimedTask, *, catalog: Catalog, vault: Vault, serving: Serving) -> Verdict:
    """Return the verdict when every answer is reproduced. Raises WrongAnswers naming the first that is not."""
    return prove(task.claim.endpoint, claimed_manifest(task, catalog, vault), vault=vault, serving=serving)


def prove(endpoint: str, manifest: Manifest, *, vault: Vault, serving: Serving) -> Verdict:
    """Return the verdict on an endpoint of a recovery point. Raises WrongAnswers as above, and EndpointFailed."""
    golden = golden_of(manifest, vault)
    if not golden:
        return UNPROVEN
    answers = [serving.invoke(endpoint, one.body(), one.content_type)[0] for one in golden]
    verdict = judge(golden, answers)
    if not verdict.passed:
        raise WrongAnswers(f"{manifest.model}: {verdict.reason}; traffic stays where it is")
    return verdict


def golden_of(manifest: Manifest, vault: Vault) -> tuple[GoldenInference, ...]:
    """Return the golden inferences of a recovery point, none when it has none. Raises MissingArtifact or BadGolden."""
    named = manifest.golden
    if named is None:
        return ()
    content = vault.read(named.key, standing(named.key, named.version_id, load_repairs(vault)))
    if content is None:
        raise MissingArtifact(
            f"the golden inferences {vault.uri(named.key)} (version {named.version_id}) cannot be read"
        )
    return parse_golden(content)
