"""What the study's figures allow to be said: intervals, effect sizes, the ANCOVA, its checks, agreement.

    effects    intervals of means, differences and shares; Cohen's d, Hedges' g (needs scipy only)
    ancova     the 4 x 3 x 2 analysis of covariance with exclusions, contrasts and checks (statsmodels)
    agreement  two gradings of the same answers (statsmodels)

Each result has `enough`: True with numbers, or False with `why`. Nothing here ever gives NaN.
The modules are imported one by one, so that a page loads only what it needs.
"""
