"""What processing does, by pyarrow: every spool of a folder into one Parquet file of the same columns and encodings."""

import glob
import json
import os
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

TICKS = 2048  # of one sensor at a time, as samples.parquet has them


def main(spools, path):
    start = time.monotonic()
    words = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema([("host", words), ("sensor", words), ("time", pa.timestamp("us", "UTC")),
                        ("elapsed", pa.float64()), ("value", pa.float64())])
    samples = 0
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=1, use_dictionary=["host", "sensor"],
                          column_encoding={"time": "DELTA_BINARY_PACKED", "elapsed": "PLAIN", "value": "PLAIN"}) as out:
        for spool in sorted(glob.glob(spools + "/*.arrows")):
            with ipc.open_stream(spool) as stream:
                header = json.loads(stream.schema.metadata[b"ergon"])
                ids = pa.array([s["id"] for s in header["sensors"]])
                anchor = np.datetime64(header["anchor"].rstrip("Z"), "us").astype("int64")
                held, rows = [], 0
                for batch in stream:
                    held.append(batch)
                    rows += batch.num_rows
                    if rows >= TICKS:
                        samples += write(out, schema, held, ids, header["host"], anchor)
                        held, rows = [], 0
                if rows:
                    samples += write(out, schema, held, ids, header["host"], anchor)
    with open(path, "rb") as f:
        os.fsync(f.fileno())
    print(json.dumps({"samples": samples, "bytes": os.path.getsize(path), "seconds": time.monotonic() - start}))


def write(out, schema, batches, ids, host, anchor):
    table = pa.Table.from_batches(batches).combine_chunks()
    elapsed = table["elapsed"].chunk(0).to_numpy()
    values = table["values"].chunk(0).flatten().to_numpy(zero_copy_only=False)
    ticks, n = len(elapsed), len(ids)
    values = values.reshape(ticks, n).T.reshape(-1)
    sensor = pa.DictionaryArray.from_arrays(np.repeat(np.arange(n, dtype="int32"), ticks), ids)
    hosts = pa.DictionaryArray.from_arrays(np.zeros(ticks * n, dtype="int32"), pa.array([host]))
    stamps = pa.array(np.tile(anchor + elapsed // 1000, n)).cast(schema.field("time").type)
    out.write_table(pa.table([hosts, sensor, stamps, np.tile(elapsed / 1e9, n), pa.array(values, from_pandas=True)],
                             schema=schema), row_group_size=1 << 20)
    return ticks * n


main(sys.argv[1], sys.argv[2])
