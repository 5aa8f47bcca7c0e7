"""The methods that DDCL is compared with: one file each, the algorithm and nothing else."""
