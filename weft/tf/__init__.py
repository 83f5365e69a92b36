"""The TensorFlow spelling of weft: names only, no logic."""
