"""The declarations of the subgraphs that are exported, and the PyTorch modules that compute them."""
