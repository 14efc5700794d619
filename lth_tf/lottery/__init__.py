"""The algorithm: train, prune, rewind, train again. `next_level` is the page to read first."""
