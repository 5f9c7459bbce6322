"""Files become studies, studies become tensors; no model in here."""
