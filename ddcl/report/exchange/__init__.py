"""Results between sites: archives out and in, and numbers traced back to files."""
