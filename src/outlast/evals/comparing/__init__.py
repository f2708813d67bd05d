"""Two evaluations of the same examples: what changed, whether it is more than chance, and whether it may pass."""
