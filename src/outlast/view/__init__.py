"""The local page: traces, runs and programs of a store, for people to look at.

`app.view_app` is the web application, `server.serve` starts it, `exporting.export` writes the same pages as files.
"""
