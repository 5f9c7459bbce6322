"""Does the cosine depend on what the heat shows, and does the heat depend on what the model has learnt?"""
