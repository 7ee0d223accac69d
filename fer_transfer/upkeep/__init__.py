"""Looking after a store: what is in it, whether it is as it was written, what can go, and taking it elsewhere."""
