"""Measurements: each prints a table and leaves its results in bench/results. Nothing here is asserted in `make test`."""
