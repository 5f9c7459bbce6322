"""Detection and masking of identifying text."""
