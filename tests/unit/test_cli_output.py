"""Tables are as wide as their terminal; what does not fit stands under its row, and no word breaks if it need not."""

import os
import subprocess
import sys

SHOW = """
from cli.output import print_table, table
made = table(*[f"a-long-header-{n}" for n in range(8)])
made.add_row(*["v" * 18] * 8)
print_table(made)
"""


def shown(program: str = SHOW, **more: str) -> list[str]:
    """What a process prints into a pipe."""
    env = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | more
    return subprocess.run(
        [sys.executable, "-c", program], env=env, check=True, capture_output=True, text=True
    ).stdout.splitlines()


def test_what_goes_into_a_pipe_is_not_folded():
    assert len(shown()) == 2


def test_columns_that_are_named_are_kept_to():
    lines = shown(COLUMNS="60")
    assert len(lines) > 2
    assert max(map(len, lines)) <= 60


SENTENCE = "it waits for a person, who looks for himself and confirms by the token of the newest page"
ASKED = f"""
from cli.output import print_table, table
made = table("model", "region", "point", "reason")
for model in ("churn", "[red]digits-classifier[/]"):
    made.add_row(f"sagemaker/{{model}}", "ap-southeast-3", "v1-f8c978120740", "{SENTENCE}")
print_table(made)
"""


def test_what_one_copies_is_not_folded_and_a_sentence_that_finds_no_room_stands_under_its_row():
    lines = shown(ASKED, COLUMNS="80")
    assert lines[0].split() == ["model", "region", "point"]
    assert lines[1].split() == ["sagemaker/churn", "ap-southeast-3", "v1-f8c978120740"]
    assert lines[2].startswith("  reason it waits for a person")
    assert max(map(len, lines)) <= 80
    assert " ".join(" ".join(lines).split()).count(SENTENCE) == 2


TWO = f"""
from cli.output import print_table, table
made = table("region", "who serves", "its last claim")
made.add_row("ap-southeast-3", "ap-southeast-3 serves, epoch 1", "1 by a failover of some name")
made.add_row("ap-southeast-1", "does not answer: {SENTENCE}", "")
print_table(made)
"""


def test_of_two_sentences_the_first_keeps_its_column_and_the_second_stands_under_the_row():
    lines = shown(TWO, COLUMNS="80")
    assert [line.split()[0] for line in lines[1:4]] == ["ap-southeast-3", "its", "ap-southeast-1"]
    assert lines[2].startswith("  its last claim 1 by a failover")
    assert all(line.strip() for line in lines), "nothing stands under a row that has nothing more to say"
    assert max(map(len, lines)) <= 80


def test_a_sentence_with_room_to_be_read_in_stays_in_its_row():
    lines = shown(ASKED, COLUMNS="110")
    assert lines[0].split() == ["model", "region", "point", "reason"]
    assert lines[1].startswith("sagemaker/churn ")
    assert max(map(len, lines)) <= 110
