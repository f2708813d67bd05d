"""The same question, once paid for: caches in memory, on disk and in Redis, and recordings."""
