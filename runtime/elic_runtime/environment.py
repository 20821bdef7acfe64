"""The environment variables that are read."""

BUNDLE_VARIABLE = "ELIC_BUNDLE"
"""Names the folder of the bundle, where no option does."""
