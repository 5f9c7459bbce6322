"""The ``models`` commands: what is known by name, bringing a model into a folder, and checking that folder."""
