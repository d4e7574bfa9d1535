"""The explorer: runs in the browser, on this machine; the extra `web`."""
