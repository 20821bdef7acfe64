"""What is exported: each subgraph declared, and the modules behind the declarations."""
