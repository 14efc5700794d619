"""Lottery: the algorithm, to be read; `next_level` first."""
