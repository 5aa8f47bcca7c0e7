"""External encoders: reading other projects' checkpoints safely, and adding them to suites as arms."""
