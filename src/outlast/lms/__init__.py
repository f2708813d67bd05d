"""Models: the protocol, the ways to reach one, and wrappers that are LMs around LMs."""
