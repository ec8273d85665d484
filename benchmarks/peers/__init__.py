"""Servers of the same model by other means, to be measured beside Orita; each does only decode, model, encode."""
