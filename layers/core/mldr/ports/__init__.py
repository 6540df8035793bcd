"""What the steps need from the outside world. Every adapter and every fake keeps these promises (tests/contract)."""
