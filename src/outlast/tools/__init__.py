"""Tools: what makes one of a function or a server, and what runs it when a model asks."""
