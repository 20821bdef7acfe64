"""Compilers: what each one takes of a bundle, in one module beside its template."""
