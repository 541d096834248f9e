"""Alternating minimisation: one interference matrix for a recording, from its second moments."""
