"""The pages, one a file. Each has `ROUTES`, and asks the store for what it shows; `routes.py` lists them.

A page is a plain function of the request: Starlette runs it in a thread, where the store may block. What changes
something is a `Route(..., methods=["POST"])` whose form holds a hidden field `form_token` with the value `{{ form_token
}}` (htmx sends the token by itself); its fields are `form_of(request)`.
"""
