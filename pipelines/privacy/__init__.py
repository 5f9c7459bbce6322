"""What of the inputs names a person, and how it is masked."""
