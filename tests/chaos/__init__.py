"""Two regions, random faults, virtual time: one integer seed is one schedule, and can be played again."""
