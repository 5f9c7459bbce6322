"""Controls of a heat: one thing is changed on purpose, and what becomes of the map says what it depends on."""
