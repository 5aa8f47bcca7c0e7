"""What configuration may say, as types: every YAML file in config/ is read through these. Imports no torch."""
