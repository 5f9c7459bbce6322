"""Whether the cosine depends on what the heat shows, and whether the heat depends on what the model has learnt."""
