"""Figures of the report; `registry` has them by name."""
