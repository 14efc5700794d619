"""Training: one training of one network, compiled in chunks, with rewinding as a callback."""
