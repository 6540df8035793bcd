"""One adapter per model registry."""
