"""Plain modules that know shapes and nothing of nats."""
