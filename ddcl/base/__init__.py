"""What knows nothing of the subject: errors, files, locks, signals, provenance, fingerprints of code."""
