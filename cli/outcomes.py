"""How a command ends: exit codes that mean something, and refusals that say what to do next."""

from __future__ import annotations

import re
from enum import IntEnum

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from mldr.errors import BadEvent, BadPolicy, MldrError, NotAllowed, Retryable
from mldr.sdk import code

SDK_SAYS = re.compile(r"An error occurred \((\w+)\) when calling the \w+ operation(?: \(reached max retries: \d+\))?: ")
AGAIN = re.compile(r"; it is tried again(, more slowly)?$")
EXIT_CODES = """\
Exit codes: 0 it holds, 1 it does not hold, 2 bad usage or input, 3 cannot reach or observe."""


class Exit(IntEnum):
    """The exit codes of every command."""

    HOLDS = 0
    DOES_NOT_HOLD = 1
    BAD_INPUT = 2
    CANNOT_OBSERVE = 3


class Ended(Exception):
    """A command cannot go on: the sentence that says why, and what to do next."""

    def __init__(self, exit_code: Exit, sentence: str, advice: str = "") -> None:
        super().__init__(sentence)
        self.exit_code, self.advice = exit_code, advice


def bad_input(sentence: str, advice: str = "") -> Ended:
    """Return the end of a command that was asked something impossible."""
    return Ended(Exit.BAD_INPUT, sentence, advice)


def unreachable(sentence: str, advice: str = "") -> Ended:
    """Return the end of a command that cannot see what it was asked about."""
    return Ended(Exit.CANNOT_OBSERVE, sentence, advice)


def from_error(error: Exception) -> Ended:
    """Return how a command ends for an error of ours or of the SDK; everything else is a defect and is raised again."""
    sentence = brief(str(error))
    match error:
        case Ended():
            ended = error
        case BadEvent() | BadPolicy():
            ended = bad_input(sentence)
        case NotAllowed() | Retryable() | ClientError() | BotoCoreError():
            ended = unreachable(sentence, _advice(error))
        case MldrError():
            ended = Ended(Exit.DOES_NOT_HOLD, f"{type(error).__name__}: {sentence}")
        case _:
            raise error
    return ended


def brief(sentence: str) -> str:
    """Return a sentence without what only says that a function would try again, or how often the SDK has."""
    plain = SDK_SAYS.sub(r"\1: ", sentence)
    return AGAIN.sub("", plain)


def _advice(error: Exception) -> str:
    cause = error.__cause__ if isinstance(error, MldrError) else error
    if isinstance(cause, NoCredentialsError | NoRegionError):
        return "export what `mldr local up` prints, or log in to AWS"
    if isinstance(cause, ClientError) and code(cause) in ("ResourceNotFoundException", "StateMachineDoesNotExist"):
        return "is mldr deployed in that region, and is --env right?"
    return "check the network, AWS_ENDPOINT_URL, the credentials and the region"
