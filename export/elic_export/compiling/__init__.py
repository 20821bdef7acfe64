"""`elic-export compile`: transforms to a compiler's own binaries, which are then verified and recorded."""
