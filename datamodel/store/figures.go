package store

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/schema"

	"github.com/ergon-energy/ergon/datamodel"
)

// figuresSchema is the version of a table of figures that a user exports.
const figuresSchema = "ergon.figures/1"

// figureColumn is a column of a table of figures. One of text, number and count is set. An empty text and NaN are null.
type figureColumn struct {
	name   string
	text   func(r *datamodel.Row) string
	number func(r *datamodel.Row) float64
	count  func(r *datamodel.Row) int64
}

// figureColumns lists the columns, which are those of the report as CSV.
func figureColumns() []figureColumn {
	text := func(name string, of func(r *datamodel.Row) string) figureColumn {
		return figureColumn{name: name, text: of}
	}
	number := func(name string, of func(r *datamodel.Row) float64) figureColumn {
		return figureColumn{name: name, number: of}
	}
	return []figureColumn{
		text("run", func(r *datamodel.Row) string { return r.Run }),
		text("path", func(r *datamodel.Row) string { return r.Path }),
		text("level", func(r *datamodel.Row) string { return r.Level }),
		text("metric", func(r *datamodel.Row) string { return r.Name }),
		number("value", func(r *datamodel.Row) float64 { return r.Value }),
		text("unit", func(r *datamodel.Row) string { return string(r.Unit) }),
		text("aggregation", func(r *datamodel.Row) string { return r.Aggregation }),
		text("provenance", func(r *datamodel.Row) string { return string(r.Provenance) }),
		text("source", func(r *datamodel.Row) string { return r.Source }),
		{name: "count", count: func(r *datamodel.Row) int64 { return r.Count }},
		{name: "gaps", count: func(r *datamodel.Row) int64 { return r.Gaps }},
		number("min", func(r *datamodel.Row) float64 { return r.Min }),
		number("max", func(r *datamodel.Row) float64 { return r.Max }),
		number("mean", func(r *datamodel.Row) float64 { return r.Mean }),
		number("std", func(r *datamodel.Row) float64 { return r.Std }),
		text("reason", func(r *datamodel.Row) string { return r.Reason }),
		number("uncertainty", func(r *datamodel.Row) float64 { return r.Uncertainty }),
		number("at_most", func(r *datamodel.Row) float64 { return r.AtMost }),
		text("bound", func(r *datamodel.Row) string { return string(r.Bound) }),
	}
}

// finite returns v and true, or false if v is no number that a table has.
func finite(v float64) (float64, bool) { return v, !math.IsNaN(v) && !math.IsInf(v, 0) }

// WriteFiguresParquet writes figures as a Parquet file.
func WriteFiguresParquet(w io.Writer, rows []datamodel.Row) (err error) {
	defer guard("figures", &err)
	columns := figureColumns()
	var fields schema.FieldList
	optional := parquet.Repetitions.Optional
	for _, c := range columns {
		switch {
		case c.text != nil:
			fields = append(fields, schema.MustPrimitive(schema.NewPrimitiveNodeLogical(
				c.name, optional, schema.StringLogicalType{}, parquet.Types.ByteArray, 0, -1)))
		case c.number != nil:
			fields = append(fields, schema.NewFloat64Node(c.name, optional, -1))
		default:
			fields = append(fields, schema.NewInt64Node(c.name, optional, -1))
		}
	}
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, fields, -1)
	if err != nil {
		return err
	}
	meta, err := keyValues(schemaKey, figuresSchema)
	if err != nil {
		return err
	}
	props := parquet.NewWriterProperties(parquet.WithDictionaryDefault(false), parquet.WithEncoding(parquet.Encodings.Plain),
		parquet.WithCompression(compress.Codecs.Snappy), parquet.WithCreatedBy("ergon"))
	f := file.NewParquetWriter(w, root, file.WithWriterProps(props), file.WithWriteMetadata(meta))
	group := f.AppendRowGroup()
	for _, c := range columns {
		if err := c.parquet(group, rows); err != nil {
			return fmt.Errorf("column %s: %w", c.name, err)
		}
	}
	return f.Close()
}

// parquet writes the column into the row group.
func (c figureColumn) parquet(group file.SerialRowGroupWriter, rows []datamodel.Row) error {
	column, err := group.NextColumn()
	if err != nil {
		return err
	}
	levels := make([]int16, len(rows))
	switch {
	case c.text != nil:
		var values []parquet.ByteArray
		for i := range rows {
			if s := c.text(&rows[i]); s != "" {
				values, levels[i] = append(values, parquet.ByteArray(strings.ToValidUTF8(s, "\uFFFD"))), 1
			}
		}
		_, err = column.(*file.ByteArrayColumnChunkWriter).WriteBatch(values, levels, nil)
	case c.number != nil:
		var values []float64
		for i := range rows {
			if v, ok := finite(c.number(&rows[i])); ok {
				values, levels[i] = append(values, v), 1
			}
		}
		_, err = column.(*file.Float64ColumnChunkWriter).WriteBatch(values, levels, nil)
	default:
		var values []int64
		for i := range rows {
			values, levels[i] = append(values, c.count(&rows[i])), 1
		}
		_, err = column.(*file.Int64ColumnChunkWriter).WriteBatch(values, levels, nil)
	}
	return errors.Join(err, column.Close())
}

// WriteFiguresArrow writes figures as an Arrow IPC file, which is what the extension .arrow means: readers may jump in it.
func WriteFiguresArrow(w io.Writer, rows []datamodel.Row) error {
	columns := figureColumns()
	var fields []arrow.Field
	for _, c := range columns {
		f := arrow.Field{Name: c.name, Type: arrow.PrimitiveTypes.Int64, Nullable: true}
		switch {
		case c.text != nil:
			f.Type = arrow.BinaryTypes.String
		case c.number != nil:
			f.Type = arrow.PrimitiveTypes.Float64
		}
		fields = append(fields, f)
	}
	meta := arrow.NewMetadata([]string{schemaKey}, []string{figuresSchema})
	layout := arrow.NewSchema(fields, &meta)
	builder := array.NewRecordBuilder(memory.DefaultAllocator, layout)
	defer builder.Release()
	for i, c := range columns {
		c.arrow(builder.Field(i), rows)
	}
	record := builder.NewRecord()
	defer record.Release()
	out, err := ipc.NewFileWriter(&placed{w: w}, ipc.WithSchema(layout))
	if err != nil {
		return err
	}
	return errors.Join(out.Write(record), out.Close())
}

// arrow appends the column to its builder.
func (c figureColumn) arrow(to array.Builder, rows []datamodel.Row) {
	for i := range rows {
		switch r := &rows[i]; {
		case c.text != nil:
			if s := c.text(r); s != "" {
				to.(*array.StringBuilder).Append(strings.ToValidUTF8(s, "\uFFFD"))
				continue
			}
			to.AppendNull()
		case c.number != nil:
			if v, ok := finite(c.number(r)); ok {
				to.(*array.Float64Builder).Append(v)
				continue
			}
			to.AppendNull()
		default:
			to.(*array.Int64Builder).Append(c.count(r))
		}
	}
}

// placed is a writer that knows its position. The writer of Arrow files asks for no more.
type placed struct {
	w  io.Writer
	at int64
}

func (p *placed) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	p.at += int64(n)
	return n, err
}

// Seek tells the position.
func (p *placed) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekCurrent {
		return p.at, errors.ErrUnsupported
	}
	return p.at, nil
}
