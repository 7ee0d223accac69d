"""Tables, submission files and experiment tracking, all from what the store holds."""
