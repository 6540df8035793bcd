"""What a text tells somebody to type after `mldr`, and whether the command line would take it."""

import re
from typing import Any

import typer

from cli.main import app

COMMANDS = typer.main.get_command(app)
TYPED = re.compile(r"^\s*\$ (?:\.venv/bin/)?mldr (.+)$", re.MULTILINE)
NAMED = re.compile(r"`(?:\.venv/bin/)?mldr ([^`]+)`")
MENTIONED = re.compile(r"…$|^…|<|\[|\.\.\.|--help$")


def commands(text: str) -> list[str]:
    """What follows `mldr` in prompts and in code within sentences, without what only mentions a command."""
    found = [*TYPED.findall(text), *NAMED.findall(text)]
    bare = [one.split(" # ")[0].split("  #")[0].split(" | ")[0].strip() for one in found]
    return [one for one in bare if not MENTIONED.search(one)]


def taken(words: list[str]) -> str:
    """Why the command line refuses these words; empty when it takes them. Nothing is run."""
    parser: Any = COMMANDS
    context = parser.context_class(parser, info_name="mldr")
    while words and hasattr(parser, "get_command"):
        name, *words = words
        parser = parser.get_command(context, name)
        if parser is None:
            return f"no command {name}"
    if not words or hasattr(parser, "get_command"):
        return ""  # a command is named, not typed
    try:
        parser.make_context("mldr", words)
    except Exception as refused:
        if not hasattr(refused, "format_message"):
            raise
        return str(refused.format_message())
    return ""
