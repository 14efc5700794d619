"""Analysis: what results say. Reads a run directory's files and knows no TensorFlow."""
