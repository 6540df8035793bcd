"""Snapshots of a dataset of many small files: mldr against restic and dvc, first and with 1 % changed."""
