"""One vocabulary of findings: the CheXpert 14, the labels of public box sets, and their synonyms."""
