"""The browser: server, security, session, page."""
