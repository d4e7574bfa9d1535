"""Losses in nats per image, shape (b,), float32 whatever the network's precision."""
