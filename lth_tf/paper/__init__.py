"""The paper: its recipes and the numbers that it published, each fact in one place."""
