"""Images that latentia draws itself."""
