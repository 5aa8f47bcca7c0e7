"""Readers: from the files of each data set, in its official layout, to splits."""
