"""Look at the other region from every vantage point at once: one that waits must not delay the next round."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from mldr.domain.canaries import read_canary, read_switch
from mldr.domain.health import Observation, Sight
from mldr.domain.identity import Frozen, ModelKey
from mldr.errors import MldrError
from mldr.steps.watching import Ports, Watch


class Subject(Frozen):
    """A model, and the gateway that is looked at: the peer's, by the canary that speaks of it."""

    model: ModelKey
    host: str
    canary: str
    switch: bool = False  # whether that canary speaks of a takeover, which is no word about the endpoint behind it


def observe_peer(subject: Subject, watch: Watch, ports: Ports) -> list[Observation]:
    """Return what each vantage point sees of the peer. Raises nothing: what hinders one is what it sees."""
    model, outside = subject.model, ports.outside

    def canary() -> Observation:
        read = read_switch if subject.switch else read_canary
        return read(subject.canary, outside.text(subject.canary))

    def probe() -> Observation:
        return outside.probe(subject.host, f"/models/{model.name}/health")

    def witness() -> Observation:
        try:
            return outside.ask_witness(watch.witness, subject.host, model, ports.witness_token().present())
        except MldrError as error:
            return Observation(vantage="witness", sight=Sight.UNKNOWN, detail=f"{type(error).__name__}: {error}")

    looks = [("DNS", canary), (subject.host, probe), *([("the witness", witness)] if watch.witness else [])]
    with ThreadPoolExecutor(len(looks)) as pool:
        return [seen.result() for seen in [pool.submit(ports.silent.look, asked, look) for asked, look in looks]]


def observe_and_hear(subject: Subject, watch: Watch, ports: Ports) -> tuple[list[Observation], dict[str, int] | None]:
    """Return the same, and the instances that answer there as the peer announces them; None while it is silent."""
    with ThreadPoolExecutor(1) as pool:
        listening = pool.submit(ports.outside.announcement, subject.host, subject.model)
        seen, said = observe_peer(subject, watch, ports), listening.result()
    return seen, said.beside_counts if said and said.model == str(subject.model) else None
