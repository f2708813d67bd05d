"""The model that is built in: a classical method that needs no key."""
