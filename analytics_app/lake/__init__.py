"""The study's lake: what is completed leaves the table as JSON lines at once, and as Parquet by the month.

Below `LAKE_URL`, a folder or `s3://bucket/prefix`, with `<table>` one of `tables.NAMES`:

    <table>/month=2026-03/<table>.parquet      zstd, sorted by `entity_key`; made by `manage.py compact_lake`
    <table>/date=2026-03-14/<source>-<first sequence>-<last sequence>.jsonl    until they are compacted
    removals/date=2026-03-14/...               the keys of what was removed; stays
    dead-letters/date=2026-03-14/...           which records could not be converted, and why

The day is that on which the entity itself began, in UTC, the same in all its versions: so they meet in one
month. A table's columns are `tables.schema(table)`. Readers of `<table>/month=*/` see each entity once;
whoever wants the newest lines too takes the greatest `version` of each `entity_key`.

For Athena and Glue: one table each, partitioned by `month` (string), projected as a date of format `yyyy-MM`,
with the storage template `<lake>/<table>/month=${month}/`.

`tables` declares, `records` converts, `stores` keeps, `writing` brings a batch of stream records in (for the
local worker, and as a Lambda function of its own, `analytics_app.lake.write.handler`, beside that of the
statistics: a lake that is away then holds up neither statistics nor seals, and the function needs no right on
the table). None of these imports Django, pandas or pyarrow. `compaction` does import pyarrow.
"""
