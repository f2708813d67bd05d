"""Logs of other tools, read into a store of traces: importing twice is as importing once."""
