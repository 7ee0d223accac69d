"""Faces drawn from parameters, and the writers of synthetic releases in the true layouts."""
