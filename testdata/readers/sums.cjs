// Sums an Arrow table with the columns sensor, value and time: the rows, the missing values, the types, and of each sensor the
// sum, the first and the last value. TestArrowJS in internal/readers compares that with what ergon reports.
"use strict";

module.exports = (table) => {
  const [sensor, value, time] = ["sensor", "value", "time"].map((name) => table.getChild(name));
  const sums = {}, first = {}, last = {};
  for (let i = 0; i < table.numRows; i++) {
    const v = value.get(i);
    if (v === null) continue;
    const s = sensor.get(i);
    sums[s] = (sums[s] ?? 0) + v;
    first[s] ??= v;
    last[s] = v;
  }
  const types = Object.fromEntries(table.schema.fields.map((f) => [f.name, `${f.type}`]));
  return { rows: table.numRows, missing: value.nullCount, types, sums, first, last, start: Number(time.get(0)) };
};
