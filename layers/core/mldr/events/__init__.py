"""The messages we accept and emit, and the inputs of tasks. Unknown fields are ignored, bad ones named."""
