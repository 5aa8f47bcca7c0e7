"""General utilities: errors, files, locks, signals, provenance, fingerprints of code."""
