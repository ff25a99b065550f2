"""Reads a results folder of ergon with DuckDB, pandas and Polars, and prints what each of them finds, as JSON.

All readers print the same keys, so that TestReaders in datamodel/store can compare each with what was written.
The argument is the results folder.
"""

import json
import os
import sys

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

results = sys.argv[1]
ONE = "cpu/device1/energy"


def files(name):
    return os.path.join(results, "**", name)


def with_duckdb():
    db = duckdb.connect()
    for name in ("samples", "nodes", "metrics", "processes"):
        db.execute(f"create view {name} as from read_parquet('{files(name + '.parquet')}', hive_partitioning = true)")

    def ask(query):
        return db.execute(query).fetchone()

    out = {}
    out["samples"], out["values"], out["sum"], out["elapsed"], out["first"], out["last"], out["sensors"] = ask(
        "select count(*), count(value), sum(value), sum(elapsed), min(epoch_us(time)), max(epoch_us(time)), "
        "count(distinct sensor) from samples"
    )
    out["host"], out["zone"] = ask("select min(host), min(typeof(time)) from samples")
    out["one_rows"], out["one_sum"] = ask(f"select count(*), sum(value) from samples where sensor = '{ONE}' and run = 'r1'")
    out["runs"], out["project"], out["date"] = ask("select count(distinct run), max(project), min(date)::varchar from samples")
    out["nodes"], out["roots"], out["wrap"] = ask(
        "select count(*), count(*) - count(parent), sum(wrap) from nodes"
    )
    out["metrics"], out["metric_values"], out["metric_sum"], out["counts"], out["reason"] = ask(
        "select count(*), count(value), sum(value), sum(\"count\")::bigint, min(reason) from metrics"
    )
    out["processes"], out["named"], out["cpu_time"], out["started"], out["process_zone"] = ask(
        "select count(*), count(name), sum(cpu_time), max(epoch_us(start)), min(typeof(start)) from processes"
    )
    out["schema"] = ask(
        f"select decode(value) from parquet_kv_metadata('{files('samples.parquet')}') where decode(key) = 'ergon.schema'"
    )[0]
    return out


def with_pandas():
    def table(name):
        paths = sorted(os.path.join(d, f) for d, _, fs in os.walk(results) for f in fs if f == name)
        return pd.read_parquet(paths, partitioning="hive")

    samples, nodes, metrics = table("samples.parquet"), table("nodes.parquet"), table("metrics.parquet")
    processes = table("processes.parquet")
    one = samples[(samples.sensor == ONE) & (samples.run == "r1")]
    micros = samples.time.dt.as_unit("us").astype("int64")
    return {
        "samples": len(samples), "values": int(samples.value.count()), "sum": float(samples.value.sum()),
        "elapsed": float(samples.elapsed.sum()), "first": int(micros.min()), "last": int(micros.max()),
        "sensors": int(samples.sensor.nunique()), "host": samples.host.min(), "zone": str(samples.time.dtype),
        "one_rows": len(one), "one_sum": float(one.value.sum()), "runs": int(samples.run.astype(str).nunique()),
        "project": max(samples.project.astype(str)), "date": min(samples.date.astype(str)), "nodes": len(nodes),
        "roots": int(nodes.parent.isna().sum()), "wrap": float(nodes.wrap.sum()), "metrics": len(metrics),
        "metric_values": int(metrics.value.count()), "metric_sum": float(metrics.value.sum()),
        "counts": int(metrics["count"].sum()), "reason": metrics.reason.dropna().min(),
        "processes": len(processes), "named": int(processes.name.count()), "cpu_time": float(processes.cpu_time.sum()),
        "started": int(processes.start.dt.as_unit("us").max().value // 1000), "process_zone": str(processes.start.dtype),
    }


def with_polars():
    samples = pl.scan_parquet(files("samples.parquet"), hive_partitioning=True)
    nodes = pl.read_parquet(files("nodes.parquet"), hive_partitioning=True)
    metrics = pl.read_parquet(files("metrics.parquet"), hive_partitioning=True)
    processes = pl.read_parquet(files("processes.parquet"), hive_partitioning=True)
    all_samples = samples.collect()
    one = samples.filter((pl.col("sensor") == ONE) & (pl.col("run") == "r1")).collect()
    micros = all_samples["time"].dt.epoch("us")
    return {
        "samples": len(all_samples), "values": int(all_samples["value"].count()), "sum": all_samples["value"].sum(),
        "elapsed": all_samples["elapsed"].sum(), "first": micros.min(), "last": micros.max(),
        "sensors": all_samples["sensor"].n_unique(), "host": all_samples["host"].min(),
        "zone": str(all_samples["time"].dtype), "one_rows": len(one), "one_sum": one["value"].sum(),
        "runs": all_samples["run"].n_unique(), "project": all_samples["project"].max(),
        "date": str(all_samples["date"].min()), "nodes": len(nodes), "roots": int(nodes["parent"].null_count()),
        "wrap": nodes["wrap"].sum(), "metrics": len(metrics), "metric_values": int(metrics["value"].count()),
        "metric_sum": metrics["value"].sum(), "counts": int(metrics["count"].sum()),
        "reason": metrics["reason"].drop_nulls().min(), "processes": len(processes),
        "named": int(processes["name"].count()), "cpu_time": processes["cpu_time"].sum(),
        "started": processes["start"].dt.epoch("us").max(), "process_zone": str(processes["start"].dtype),
    }


def streams():
    """Reads the spool and the exported stream, which are in Arrow's own format."""
    with pa.ipc.open_stream(os.path.join(results, "export.arrows")) as stream:
        export = stream.read_all()
    with pa.ipc.open_stream(os.path.join(results, "cpu.arrows")) as stream:
        spool = stream.read_all()
    values = spool["values"].combine_chunks().flatten()
    return {
        "export": export.num_rows, "export_nulls": export["value"].null_count, "export_time": str(export.schema.field("time").type),
        "spool": spool.num_rows, "spool_nulls": values.null_count, "spool_sum": pc.sum(values).as_py(),
    }


print(json.dumps({"duckdb": with_duckdb(), "pandas": with_pandas(), "polars": with_polars(), "streams": streams()}))
