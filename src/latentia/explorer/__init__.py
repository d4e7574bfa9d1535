"""The explorer in the browser: server, security, session, page."""
