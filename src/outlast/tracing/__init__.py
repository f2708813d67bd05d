"""Looking at what ran."""
