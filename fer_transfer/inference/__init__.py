"""What was trained, used: a row of a store as a model, pictures in, expressions out. ``fer_transfer`` names the public part."""
