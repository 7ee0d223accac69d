"""Prepared faces: how they are made from a release and how they are kept on disk."""
