"""Tasks beyond ranking: binary and multi-class labels, numbers, and texts.

`predictor` has the contract, `build` makes a predictor from a configuration, `load` opens what one exported.
"""
