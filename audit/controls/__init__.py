"""Controls of a heat map: one input is changed on purpose, and the change of the map shows what it depends on."""
