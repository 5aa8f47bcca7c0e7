"""The version of this project; pyproject.toml reads it here."""

VERSION = "0.2.0"
