"""Flags over HTTP: they follow control state, and are evaluated by the OpenFeature Remote Evaluation Protocol."""
