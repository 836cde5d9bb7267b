"""Pure and deterministic: no pytest, no TensorFlow, no processes."""
