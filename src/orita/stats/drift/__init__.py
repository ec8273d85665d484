"""Did a distribution change? Two-sample tests on counts whose p-values hold at the actual sample sizes.

`cells` makes counts of values, `column` tests them, `family` decides over many of them; `correlation` and `joint` see
what no single column shows, `slices` compares with days that differ by nature, `online` watches one number at a time.
"""
