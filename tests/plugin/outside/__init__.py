"""A package outside the project, of which each module is a plugin of another kind; tests copy it elsewhere."""
