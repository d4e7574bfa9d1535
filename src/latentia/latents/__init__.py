"""What can be done with latents: walk between them, lay them in tables."""
