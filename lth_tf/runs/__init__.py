"""The run directory: the experiment, its trainings and their results. No TensorFlow."""
