"""Runs lines of code that read tables of ergon's runs, and sums what they find, each with the reader's own means.

The input is a list of tasks in JSON: {"reader", "setup", "line"}. "line" is code whose last line gives a table, as
docs/readers.md shows it. The output is a list of answers in the same order: {"version", "rows", "sums", "types"}, and of a table
with the columns of the partitions also {"projects", "runs", "dates"}. A table without a column "metric" has a column for each
metric. TestReaders and TestSpark in internal/readers compare the answers with what ergon reports. The working folder holds
ergon-results.
"""

import importlib
import json
import sys


class Pandas:
    def __init__(self, d):
        self.d, self.rows, self.types = d, len(d), {c: str(t) for c, t in d.dtypes.items()}

    def sums(self, by):
        return self.d.groupby(by, observed=True).value.sum().items()

    def totals(self):
        return self.d.sum(numeric_only=True).items()

    def unique(self, column):
        return self.d[column].unique()


class Polars:
    def __init__(self, d):
        self.d, self.rows, self.types = d, len(d), {c: str(t) for c, t in d.schema.items()}

    def sums(self, by):
        import polars as pl

        return self.d.group_by(by).agg(pl.col("value").sum()).iter_rows()

    def totals(self):
        import polars.selectors as cs

        return self.d.select(cs.numeric().sum()).row(0, named=True).items()

    def unique(self, column):
        return self.d[column].unique()


class DuckDB:
    def __init__(self, d):
        self.d, self.rows = d, d.aggregate("count(*)").fetchall()[0][0]
        self.types = {c: str(t) for c, t in zip(d.columns, d.types)}

    def sums(self, by):
        return self.d.aggregate(f"{by}, sum(value)").fetchall()

    def totals(self):
        columns = [c for c, t in self.types.items() if t in ("DOUBLE", "BIGINT")]
        return zip(columns, self.d.aggregate(", ".join(f'sum("{c}")' for c in columns)).fetchall()[0])

    def unique(self, column):
        return [v for (v,) in self.d.aggregate(column).fetchall()]


class PyArrow:
    def __init__(self, d):
        self.d = d if hasattr(d, "num_rows") else d.to_table()
        self.rows, self.types = self.d.num_rows, {f.name: str(f.type) for f in self.d.schema}

    def sums(self, by):
        rows = self.d.group_by(by).aggregate([("value", "sum")]).to_pydict()
        return zip(rows[by], rows["value_sum"])

    def totals(self):
        import pyarrow.compute as pc

        return [(c, pc.sum(self.d[c]).as_py()) for c, t in self.types.items() if t in ("double", "int64")]

    def unique(self, column):
        import pyarrow.compute as pc

        return pc.unique(self.d[column]).to_pylist()


class Spark:
    def __init__(self, d):
        self.d, self.types, self.distinct = d.cache(), dict(d.dtypes), None
        self.rows = self.d.count()

    def sums(self, by):
        return self.d.groupBy(by).sum("value").collect()

    def totals(self):
        columns = [c for c, t in self.types.items() if t in ("double", "bigint")]
        return zip(columns, self.d.groupBy().sum(*columns).collect()[0])

    def unique(self, column):
        if not self.distinct:
            self.distinct = self.d.select("project", "date", "run").distinct().collect()
        return {row[column] for row in self.distinct}


READERS = {"pandas": Pandas, "polars": Polars, "duckdb": DuckDB, "pyarrow": PyArrow, "pyspark": Spark}


def numbers(pairs):
    return {str(k): float(v) for k, v in pairs if v is not None}


names = {}
answers = []
for task in json.load(sys.stdin):
    *before, line = task["line"].splitlines()
    exec("\n".join([task["setup"], *before]), names)
    t = READERS[task["reader"]](eval(line, names))
    answer = {"version": importlib.import_module(task["reader"]).__version__, "rows": t.rows, "types": t.types}
    long = "metric" in t.types
    answer["sums"] = numbers(t.sums("metric") if long else t.totals())
    if "run" in t.types:
        answer["runs"], answer["dates"] = (sorted(str(v) for v in t.unique(c)) for c in ("run", "date"))
        answer["projects"] = sorted(str(v) for v in t.unique("project"))
    answers.append(answer)
json.dump(answers, sys.stdout)
