// Sums an Arrow table of readings or of figures: the rows, the missing values, the types, and of each sensor or metric the sum,
// the first and the last value. TestArrowJS in internal/readers compares that with what ergon reports.
"use strict";

module.exports = (table) => {
  const key = table.getChild("sensor") ?? table.getChild("metric");
  const [value, time] = [table.getChild("value"), table.getChild("time")];
  const sums = {}, first = {}, last = {};
  for (let i = 0; i < table.numRows; i++) {
    const v = value.get(i);
    if (v === null) continue;
    const k = key.get(i);
    sums[k] = (sums[k] ?? 0) + v;
    first[k] ??= v;
    last[k] = v;
  }
  const types = Object.fromEntries(table.schema.fields.map((f) => [f.name, `${f.type}`]));
  return { rows: table.numRows, missing: value.nullCount, types, sums, first, last, start: Number(time?.get(0)) };
};
