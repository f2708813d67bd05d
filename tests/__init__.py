"""The tests, as a package: a dependency of theirs brings a package of this name too, and ours has to win."""
