"""`python -m cli` is `mldr`."""

from cli.main import app

app(prog_name="mldr")
