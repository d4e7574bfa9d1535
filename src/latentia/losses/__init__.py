"""Losses in nats per image, shape (b,), float32 in every precision of the network."""
