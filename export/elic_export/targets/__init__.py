"""Inputs of compilers: one module per tool, which says what graphs it takes, and its template beside it."""
