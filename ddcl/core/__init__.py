"""The training engine: knows the method contract, and no method by name."""
