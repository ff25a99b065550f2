"""Reads all tables of results folders with DuckDB, joined or not: each line of the input names a folder, each line of the output has
what is in it, as JSON. A table has its number of rows and a sum over hashes of whole rows, so a row that is missing, changed or there
twice changes them.
"""

import glob
import json
import sys

import duckdb

TABLES = ("summary", "metrics", "nodes", "series", "samples", "processes", "regions")


def rows(results, table):
    """The query that docs/schema.md shows, without the part that has no files yet."""
    joined, folders = f"{results}/_tables/{table}/**/*.parquet", f"{results}/project=*/**/{table}.parquet"
    parts = []
    if glob.glob(joined, recursive=True):
        joined = f"""read_parquet('{joined}', union_by_name = true, hive_types = {{project: varchar, month: varchar}})"""
        parts.append(f"select * exclude (month) from {joined}")
    if glob.glob(folders, recursive=True):
        folders = f"""read_parquet('{folders}', union_by_name = true, hive_types = {{project: varchar, date: date, run: varchar}})"""
        parts.append(f"select * from {folders}")
        if len(parts) == 2:
            parts[1] += f" where run not in (select run from {joined})"
    return " union all by name ".join(parts)


for line in sys.stdin:
    results, found = line.rstrip("\n"), {}
    for table in TABLES:
        query = rows(results, table)
        if not query:
            continue
        columns = ", ".join(f'"{name}"' for name in sorted(duckdb.sql(query).columns))
        n, total = duckdb.sql(f"select count(*), sum(hash({columns})::hugeint)::varchar from ({query})").fetchall()[0]
        found[table] = f"{n} rows, {total}"
    manifests = f"{results}/_tables/manifests/**/*.parquet"
    runs = []
    if glob.glob(manifests, recursive=True):
        runs = [run for run, in duckdb.sql(f"select run from '{manifests}' order by run").fetchall()]
    print(json.dumps({"tables": found, "runs": runs}), flush=True)
