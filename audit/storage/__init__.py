"""The OUT folder on disk: its layout, and the lock that lets one run at a time write to it."""
