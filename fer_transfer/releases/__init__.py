"""Readers of data sets as they are distributed. Only this package knows file formats of releases."""
