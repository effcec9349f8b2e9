"""What the dashboards show, made of the statistics; no Django in here.

    chosen       what the reader asked for: months, and conditions among the 24; reads nothing heavy
    tables       figures as the rows of tables, tiles and cells (needs scipy for intervals)
    rows         figures as the rows of charts (needs scipy for intervals)
    individuals  sessions one by one, with their scores, page by page
    pictures     charts with words, numbers and version; rows are kept by version (needs Altair)
    analysis     the sessions behind the analysis of covariance, kept by version (needs statsmodels)

All but `chosen` and `individuals` are imported by a view when it is called, not before.
"""
