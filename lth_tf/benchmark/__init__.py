"""Benchmark: this project's training beside the usual ways to train the same network."""
