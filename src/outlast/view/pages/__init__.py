"""The pages, one a file. Each has `ROUTES`, and asks the store for what it shows; `routes.py` lists them.

A page is a plain function of the request: Starlette runs it in a thread, where the store may block.
"""
