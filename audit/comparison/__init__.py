"""Every method on the same phrases: scores with intervals, what they are worth, what they cost."""
