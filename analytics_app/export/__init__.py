"""Data leave as analysts want them: tables by level, as Parquet and CSV, in one zip with code book, manifest.

`columns` and `levels` declare what is exported; `rows` makes the rows of all tables out of one session's raw
items; `profiles` and `grouping` say what of it leaves; `reading`, `writing` and `bundle` stream it from
the table into files, `jobs` does so in the background. No models are made on the way but for consent.
"""
