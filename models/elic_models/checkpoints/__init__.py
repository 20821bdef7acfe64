"""Checkpoint files: read a file, find the network's tensors in it, match their names and shapes, build the network."""
