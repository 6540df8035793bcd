"""`mldr`: what an operator types. It puts events and reads; the stack does the work."""
