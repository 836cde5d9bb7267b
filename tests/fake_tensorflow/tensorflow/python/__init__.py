"""Private parts of TensorFlow, as far as they are touched."""
