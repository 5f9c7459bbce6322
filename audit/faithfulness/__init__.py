"""Faithfulness: does the cosine depend on what the heat shows, and the heat on what the model has learnt?"""
