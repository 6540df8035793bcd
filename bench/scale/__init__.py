"""What ten million objects, or one of 1 TB, would take: the planner measured here, the rest simulated and said so."""
