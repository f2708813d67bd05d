"""Programs of ours inside other tools."""
