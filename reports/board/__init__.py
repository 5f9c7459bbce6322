"""The document for a hospital's board: an audit in a few pages, as PDF, with reporting checklists and a model card."""
