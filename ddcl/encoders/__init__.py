"""Encoders from elsewhere: reading others' checkpoints safely, and making them arms of this suite."""
