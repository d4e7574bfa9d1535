"""Commands that are more than a call, and the words they share; torch is imported inside them."""
