"""The phantom encoder: how its committed weights were made, and how well it reads phantoms it never saw."""
