"""Running code that a model wrote, outside this process: one protocol, several backends."""
