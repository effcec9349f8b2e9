"""The lake's tables for Glue and Athena, written into template.yaml between two marks.

.venv/bin/python -m infra.lake_tables            after a column of the lake was added
.venv/bin/python -m infra.lake_tables --check    exit code 1 where the template is not current
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from analytics_app.lake import tables

TEMPLATE = Path(__file__).with_name("template.yaml")
BEGIN = "  # --- the lake's tables: what follows is written by infra/lake_tables.py\n"
END = "  # --- the end of what is written by infra/lake_tables.py\n"

PARQUET = "org.apache.hadoop.hive.ql.io.parquet"
TABLE = """
  Lake{logical}:
    Type: AWS::Glue::Table
    Properties:
      CatalogId: !Ref AWS::AccountId
      DatabaseName: !Ref LakeDatabase
      TableInput:
        Name: {name}
        TableType: EXTERNAL_TABLE
        Parameters:
          EXTERNAL: "TRUE"
          classification: parquet
          projection.enabled: "true"
          projection.month.type: date
          projection.month.format: yyyy-MM
          projection.month.range: !Sub "${{LakeFirstMonth}},NOW"
          projection.month.interval: "1"
          projection.month.interval.unit: MONTHS
          storage.location.template: !Sub "s3://${{LakeBucket}}/lake/{name}/month=${{!month}}/"
        PartitionKeys: [{{Name: month, Type: string}}]
        StorageDescriptor:
          Location: !Sub "s3://${{LakeBucket}}/lake/{name}/"
          InputFormat: {parquet}.MapredParquetInputFormat
          OutputFormat: {parquet}.MapredParquetOutputFormat
          SerdeInfo: {{SerializationLibrary: {parquet}.serde.ParquetHiveSerDe}}
          Columns:
"""


def written() -> str:
    """All tables as the template has them."""
    return "".join(_table(name) for name in tables.NAMES) + "\n"


def _table(name: str) -> str:
    logical = "".join(part.capitalize() for part in name.split("_"))
    columns = (
        f"            - {{Name: {column.name}, Type: {tables.GLUE[column.kind]}}}\n"
        for column in tables.schema(name)
    )
    return TABLE.format(logical=logical, name=name, parquet=PARQUET) + "".join(columns)


def renewed(template: str) -> str:
    before, rest = template.split(BEGIN)
    return before + BEGIN + written() + END + rest.split(END)[1]


def main() -> int:
    parser = argparse.ArgumentParser(description="The lake's tables in infra/template.yaml.")
    parser.add_argument("--check", action="store_true", help="only say whether they are current")
    stored = TEMPLATE.read_text(encoding="utf-8")
    current = renewed(stored)
    if parser.parse_args().check:
        print("current" if stored == current else "template.yaml is not: run python -m infra.lake_tables")
        return int(stored != current)
    TEMPLATE.write_text(current, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
