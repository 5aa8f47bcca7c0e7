"""What will be run and what it asks of a machine: from a suite to the plan of its jobs. Imports no torch."""
