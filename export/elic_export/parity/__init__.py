"""Is a bundle still the model? Measured here, judged, stored as a report, and shown."""
