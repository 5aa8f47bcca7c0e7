"""The methods that DDCL is compared with: one file per algorithm."""
