"""What is done to a graph after tracing and before it is written: rewrites, cuts, fp16, checks of its operators."""
