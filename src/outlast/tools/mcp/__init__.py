"""MCP servers: their tools, resources and prompts, with the official SDK (extra `mcp`)."""
