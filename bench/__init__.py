"""Measurements: each prints a table and leaves its results in bench/results. `make test` asserts none of it."""
