"""Experiment trackers: wandb and TensorBoard, told by processes of their own, so that training never waits for them."""
