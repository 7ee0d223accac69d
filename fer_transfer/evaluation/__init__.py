"""Predictions on disk, the metrics computed from them, and their statistics."""
