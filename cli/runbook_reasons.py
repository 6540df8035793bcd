"""What a failover or a planned move can end with, where the traffic is then, and what to do next."""

from __future__ import annotations

from typing import NamedTuple


class Ending(NamedTuple):
    """One way in which it does not complete. `{…}` stands for the model's own names."""

    error: str
    traffic: str
    next: str


STAYS, MOVING = "where it was", "moving; the switch is on"
FAILOVER = (
    Ending("NotRestorable", STAYS, "`mldr status {model}` says which point is missing, withdrawn or damaged. With "
           "{other} down it cannot be made: serve the artifact by hand in {here} if it exists elsewhere"),
    Ending("AlreadyServing", "in {here}", "nothing, it has moved; if clients do not arrive, see how to know"),
    Ending("EpochTaken", STAYS, "another failover holds the epoch: `mldr epoch {model}`. One that died goes on "
           "within a minute; one that hangs: `mldr epoch {model} --clear --reason \"it hangs\" --region {here}`"),
    Ending("StaleEpoch", "in {other}", "it took the model meanwhile: `mldr epoch {model}`"),
    Ending("EndpointFailed", STAYS, "SageMaker's reason is in the text. A quota: raise it in {here}. No capacity: it "
           "may come back, ask again; an instance type given in the policy helps only points that are sealed later"),
    Ending("RequestRefused", STAYS, "the restored model does not take its golden requests, so nothing is proven: the "
           "text says why"),
    Ending("NotWarm", STAYS, "`warm.required` is on and it did not become as fast as recorded. Accept it slower: set "
           "`warm.required: false` in the policy; it counts for points that are sealed later"),
    Ending("WrongAnswers", STAYS, "the restored model does not answer as recorded. Do not force it: ask its owner"),
    Ending("NotConfirmed", MOVING, "do not ask again. Look at the switch and at the gateway of {here}, above; "
           "Route 53's checkers may be slow or may not reach it"),
    Ending("ExecutionLost", "as the text says", "its executions died three times, or an hour ago before anything was "
           "switched. Is its switch on: do clients arrive? Else ask again"),
    Ending("RequestTooLate", STAYS, "a queue gave the request back long after it was made: look at `mldr status "
           "{model}`, ask again if it is still wanted"),
    Ending("NotAllowed", STAYS, "a role lost a right; the text names the call. Restore the stack's own roles when that "
           "is possible again"),
    Ending("RegionUnreachable", STAYS, "{here} itself has trouble, and retries are used up: ask again"),
    Ending("Throttled", STAYS, "a service of {here} asked for patience, and retries are used up: ask again"),
)  # fmt: skip
PLANNED = (
    Ending("PeerLagging", STAYS, "what is served is not sealed in the region that takes over; the text has the lag. "
           "`mldr status {model}` says what hinders it; mend that, ask again"),
    Ending("PromotedMeanwhile", STAYS, "a newer version was approved while an older one was made ready: ask again, it "
           "takes the newer one"),
    Ending("DrainTooShort", STAYS, "`failover.drain` is shorter than DNS needs: requests would fail. The text says how "
           "long it must be. Set it in the policy, ask again a minute later"),
    Ending("PeerSilent", STAYS, "the region that serves does not answer. If it is down, it is no planned move"),
    Ending("WrongDirection", STAYS, "the request was put on the other region's bus; the commands here find it"),
)  # fmt: skip
