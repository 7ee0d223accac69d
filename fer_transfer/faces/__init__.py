"""The prepared format, the protocol of a source of faces, and the way from one to the other."""
