"""Experiments: which trainings (plan), running them (execution), where they go (store)."""
