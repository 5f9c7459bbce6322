"""What the tool costs: measured here and nowhere else, as ratios within one run where that is possible."""
