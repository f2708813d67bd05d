"""The wire: dialects as pure functions, what providers and models are like, and HTTP to them."""
