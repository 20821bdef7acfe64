"""What is done to a graph between tracing and writing it: rewrites, cuts, fp16, the operators it may use."""
