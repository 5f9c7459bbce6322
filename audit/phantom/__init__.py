"""The phantom encoder: how its committed weights were trained, and its accuracy on held-out phantoms."""
