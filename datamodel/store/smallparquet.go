package store

import (
	"encoding/binary"
	"io"
	"iter"
	"math"
	"math/bits"

	"github.com/klauspost/compress/zstd"
)

// This file writes small Parquet files (https://parquet.apache.org/docs/file-format/). Arrow's writer needs twice the bytes
// for a table of few rows, since it adds statistics to each column, and it compresses each page with an encoder of its own.
// A file here has one row group, or a few if it has many rows. Each column of a row group is one page, behind its
// dictionary if that is smaller.

// The numbers of Parquet's format (https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift).
const (
	typeInt32     = 1
	typeInt64     = 2
	typeDouble    = 5
	typeByteArray = 6

	repeatRequired = 0
	repeatOptional = 1

	convertedUTF8            = 0
	convertedDate            = 6
	convertedTimestampMicros = 10

	encodingPlain         = 0
	encodingRLE           = 3
	encodingDelta         = 5
	encodingRLEDictionary = 8

	codecNone = 0
	codecZstd = 6

	pageData       = 0
	pageDictionary = 2
)

// cells is a column of a small file. One of words, ints and floats has the values that are not null, as kind says.
type cells struct {
	name  string
	kind  int64 // typeByteArray, typeInt64, typeDouble, or typeInt32 for a day
	words []string
	// index holds words as numbers in list, instead of words.
	index  []int32
	list   []string
	ints   []int64
	floats []float64
	// null is true if the column may have nulls. levels then has a 1 for each row that has a value.
	null   bool
	levels []int16
	// lacking is true if a row has no value and the column may have no nulls.
	lacking bool
	// moment means that the integers are microseconds since 1970 UTC. Those of typeInt32 are days since then.
	moment bool
}

// smallFile writes a Parquet file into memory. The caller may write out what is in memory between two row groups.
type smallFile struct {
	out     []byte
	flushed int64 // bytes before out
	zstd    *zstd.Encoder
}

// at is the place in the file that is written next.
func (f *smallFile) at() int64 { return f.flushed + int64(len(f.out)) }

// flush writes out what is in memory.
func (f *smallFile) flush(w io.Writer) error {
	n, err := w.Write(f.out)
	f.flushed += int64(n)
	f.out = f.out[:0]
	return err
}

// end writes the footer, and with it the rest of the file.
func (f *smallFile) end(w io.Writer, columns []*cells, groups []smallGroup, pairs []string) error {
	before := len(f.out)
	f.footer(columns, groups, pairs)
	f.out = binary.LittleEndian.AppendUint32(f.out, uint32(len(f.out)-before))
	f.out = append(f.out, parquetMagic...)
	return f.flush(w)
}

// parquetMagic begins and ends a Parquet file.
const parquetMagic = "PAR1"

// smallGroup is a row group: its columns, and how many rows there are.
type smallGroup struct {
	chunks []chunk
	rows   int64
}

// chunk is where a column is in the file.
type chunk struct {
	start, data          int64 // of the column, and of its data page
	plain, packed, codec int64
	encodings            []int64
}

// newPacker returns the encoder of pages. It may be used by several goroutines, one after another.
func newPacker() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
		zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithWindowSize(1<<17), zstd.WithLowerEncoderMem(true))
}

// oneGroup is a table of one row group.
func oneGroup(columns []*cells, rows int) iter.Seq2[[]*cells, int] {
	return func(yield func([]*cells, int) bool) { yield(columns, rows) }
}

// writeSmall writes a table with its metadata, as pairs of a key and a value. groups yields the columns of each row group and
// the number of its rows; it yields at least once, with all columns.
func writeSmall(w io.Writer, packer *zstd.Encoder, groups iter.Seq2[[]*cells, int], pairs []string) error {
	f := &smallFile{out: make([]byte, 0, 8<<10), zstd: packer}
	f.out = append(f.out, parquetMagic...)
	var all []*cells
	var written []smallGroup
	for columns, rows := range groups {
		if all == nil {
			all = columns
		}
		written = f.group(written, columns, rows)
	}
	return f.end(w, all, written, pairs)
}

// group writes a row group and adds it to the others. Without rows there is none.
func (f *smallFile) group(groups []smallGroup, columns []*cells, rows int) []smallGroup {
	if rows == 0 {
		return groups
	}
	g := smallGroup{rows: int64(rows)}
	for _, c := range columns {
		g.chunks = append(g.chunks, f.column(c, rows))
	}
	return append(groups, g)
}

// column writes the pages of a column.
func (f *smallFile) column(c *cells, rows int) chunk {
	var levels []byte
	if c.null {
		runs := runLengths(nil, c.levels, 1)
		levels = append(binary.LittleEndian.AppendUint32(nil, uint32(len(runs))), runs...)
	}
	dictionary, indices, n, values, encoding := c.encoded()
	at := chunk{start: f.at()}
	page := append(levels, values...)
	withDictionary := append(append([]byte{}, levels...), indices...)
	packed, packedDictionary, packedIndices := f.packed(page), f.packed(dictionary), f.packed(withDictionary)
	// All pages of a column have the same codec.
	whole := min(len(page), len(packed))
	split := min(len(dictionary)+len(withDictionary), len(packedDictionary)+len(packedIndices)) + 16
	if n == 0 || whole <= split && c.index == nil {
		at.encodings = append(at.encodings, encoding)
		at.codec = codecOf(len(packed), len(page))
		at.data = f.at()
		f.page(&at, pageData, page, packed, int64(rows), encoding)
	} else {
		at.encodings = append(at.encodings, encodingPlain, encodingRLEDictionary)
		at.codec = codecOf(len(packedDictionary)+len(packedIndices), len(dictionary)+len(withDictionary))
		f.page(&at, pageDictionary, dictionary, packedDictionary, int64(n), encodingPlain)
		at.data = f.at()
		f.page(&at, pageData, withDictionary, packedIndices, int64(rows), encodingRLEDictionary)
	}
	return at
}

// codecOf returns the codec that gives fewer bytes.
func codecOf(packed, plain int) int64 {
	if packed < plain {
		return codecZstd
	}
	return codecNone
}

// packed returns a page as zstd packs it.
func (f *smallFile) packed(page []byte) []byte {
	return f.zstd.EncodeAll(page, make([]byte, 0, len(page)/2+32))
}

// page writes a page and its header.
func (f *smallFile) page(at *chunk, kind int64, plain, packed []byte, values, encoding int64) {
	body := packed
	if at.codec == codecNone {
		body = plain
	}
	before := len(f.out)
	t := thriftWriter{b: f.out}
	t.int(1, kind)
	t.int(2, int64(len(plain)))
	t.int(3, int64(len(body)))
	if kind == pageDictionary {
		t.begin(7)
		t.int(1, values)
		t.int(2, encoding)
	} else {
		t.begin(5)
		t.int(1, values)
		t.int(2, encoding)
		t.int(3, encodingRLE)
		t.int(4, encodingRLE)
	}
	t.end()
	t.stop()
	f.out = append(t.b, body...)
	header := len(f.out) - before - len(body)
	at.plain += int64(header + len(plain))
	at.packed += int64(header + len(body))
}

// footer writes FileMetaData.
func (f *smallFile) footer(columns []*cells, groups []smallGroup, pairs []string) {
	t := thriftWriter{b: f.out}
	t.int(1, 1) // version
	t.list(2, compactStruct, len(columns)+1)
	t.element()
	t.text(4, "schema")
	t.int(5, int64(len(columns)))
	t.end()
	for _, c := range columns {
		t.element()
		t.int(1, c.kind)
		repetition := int64(repeatRequired)
		if c.null {
			repetition = repeatOptional
		}
		t.int(3, repetition)
		t.text(4, c.name)
		switch {
		case c.kind == typeByteArray:
			t.int(6, convertedUTF8) // all readers know it; the logical type would say the same
		case c.kind == typeInt32:
			t.int(6, convertedDate)
			t.begin(10) // LogicalType
			t.begin(6)  // DATE
			t.end()
			t.end()
		case c.moment:
			t.int(6, convertedTimestampMicros)
			t.begin(10) // LogicalType
			t.begin(8)  // TIMESTAMP
			t.bool(1, true)
			t.begin(2) // unit
			t.begin(2) // MICROS
			t.end()
			t.end()
			t.end()
			t.end()
		}
		t.end()
	}
	rows := int64(0)
	for _, g := range groups {
		rows += g.rows
	}
	t.long(3, rows)
	t.list(4, compactStruct, len(groups))
	for _, g := range groups {
		t.element()
		t.list(1, compactStruct, len(g.chunks))
		total := int64(0)
		for i, c := range g.chunks {
			t.element()
			t.long(2, 0) // deprecated
			t.begin(3)
			t.int(1, columns[i].kind)
			t.list(2, compactI32, len(c.encodings))
			for _, e := range c.encodings {
				t.b = binary.AppendVarint(t.b, e)
			}
			t.list(3, compactBinary, 1)
			t.bytes(columns[i].name)
			t.int(4, c.codec)
			t.long(5, g.rows)
			t.long(6, c.plain)
			t.long(7, c.packed)
			t.long(9, c.data)
			if c.data != c.start {
				t.long(11, c.start)
			}
			t.end()
			t.end()
			total += c.plain
		}
		t.long(2, total)
		t.long(3, g.rows)
		t.end()
	}
	t.list(5, compactStruct, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		t.element()
		t.text(1, pairs[i])
		t.text(2, pairs[i+1])
		t.end()
	}
	t.text(6, "ergon")
	t.stop()
	f.out = t.b
}

// encoded returns the values in two ways: behind a dictionary of n values as indices, and without one. n is 0 if a
// dictionary is useless.
func (c *cells) encoded() (dictionary, indices []byte, n int, values []byte, encoding int64) {
	encoding = encodingPlain
	switch c.kind {
	case typeByteArray:
		if c.index != nil {
			dictionary, indices, n = c.numbered()
			return dictionary, indices, n, nil, encoding
		}
		dictionary, indices, n = dictionaryOf(c.words, appendWord)
		for _, w := range c.words {
			values = appendWord(values, w)
		}
	case typeInt32:
		days := func(b []byte, v int64) []byte { return binary.LittleEndian.AppendUint32(b, uint32(v)) }
		dictionary, indices, n = dictionaryOf(c.ints, days)
		for _, v := range c.ints {
			values = days(values, v)
		}
	case typeInt64:
		const few = 8 // values that are as small without differences
		dictionary, indices, n = dictionaryOf(c.ints, appendInt)
		if len(c.ints) >= few && !c.null {
			return dictionary, indices, n, deltaPacked(c.ints), encodingDelta
		}
		for _, v := range c.ints {
			values = appendInt(values, v)
		}
	default:
		keys := make([]uint64, len(c.floats)) // 0 and -0 are two values
		values = make([]byte, 0, 8*len(c.floats))
		for i, v := range c.floats {
			keys[i] = math.Float64bits(v)
			values = binary.LittleEndian.AppendUint64(values, keys[i])
		}
		const many = 4096 // a dictionary of so many is slow to make, and seldom smaller
		if len(keys) < many {
			dictionary, indices, n = dictionaryOf(keys, binary.LittleEndian.AppendUint64)
		}
	}
	return dictionary, indices, n, values, encoding
}

// numbered is encoded for words that have numbers.
func (c *cells) numbered() (dictionary, indices []byte, n int) {
	numbers, list := make([]int16, len(c.list)), make([]int16, len(c.index))
	for i, w := range c.index {
		if numbers[w] == 0 {
			n++
			numbers[w] = int16(n)
			dictionary = appendWord(dictionary, c.list[w])
		}
		list[i] = numbers[w] - 1
	}
	width := max(1, bits.Len(uint(n-1)))
	return dictionary, runLengths([]byte{byte(width)}, list, width), n
}

func appendWord(b []byte, w string) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(w))), w...)
}

func appendInt(b []byte, v int64) []byte { return binary.LittleEndian.AppendUint64(b, uint64(v)) }

// dictionaryOf returns the distinct values in the order they are first seen, and a data page of their indices. n is 0 if
// there are no values, or hardly fewer distinct ones.
func dictionaryOf[T comparable](values []T, write func([]byte, T) []byte) (dictionary, indices []byte, n int) {
	numbers := make(map[T]int16, len(values))
	list := make([]int16, len(values))
	for i, v := range values {
		k, ok := numbers[v]
		if !ok {
			if k = int16(len(numbers)); k == math.MaxInt16 {
				return nil, nil, 0
			}
			numbers[v] = k
			dictionary = write(dictionary, v)
		}
		list[i] = k
	}
	if len(numbers) == 0 {
		return nil, nil, 0
	}
	width := max(1, bits.Len(uint(len(numbers)-1))) // arrow never writes a width of 0, and not every reader knows it
	return dictionary, runLengths([]byte{byte(width)}, list, width), len(numbers)
}

// runLengths appends values of so many bits in Parquet's RLE hybrid: runs of one value, and groups of 8 packed values
// (https://parquet.apache.org/docs/file-format/data-pages/encodings/#RLE).
func runLengths(b []byte, values []int16, width int) []byte {
	packed := 0 // values before i that wait to be packed: always whole groups, but for the last
	flush := func(end int) {
		if groups := (packed + 7) / 8; groups > 0 {
			b = binary.AppendUvarint(b, uint64(groups)<<1|1)
			b = packBits(b, values[end-packed:end], groups*8, width)
			packed = 0
		}
	}
	for i := 0; i < len(values); {
		run := 1
		for i+run < len(values) && values[i+run] == values[i] {
			run++
		}
		// A run begins between two groups.
		fill := (8 - packed%8) % 8
		if run-fill < 8 && i+run < len(values) || run <= fill {
			packed += run
			i += run
			continue
		}
		packed += fill
		flush(i + fill)
		b = binary.AppendUvarint(b, uint64(run-fill)<<1)
		for k := 0; k < width; k += 8 {
			b = append(b, byte(values[i]>>k))
		}
		i += run
	}
	flush(len(values))
	return b
}

// packBits appends n values of so many bits, the least significant bit first. Values that are missing are 0.
func packBits[T int16 | uint64](b []byte, values []T, n, width int) []byte {
	var buffer uint64
	held := 0
	for i := range n {
		var v uint64
		if i < len(values) {
			v = uint64(values[i])
		}
		for done := 0; done < width; { // at most 8 bits at once, so that the buffer never overflows
			step := min(8, width-done)
			buffer |= (v >> done & (1<<step - 1)) << held
			held += step
			done += step
			for held >= 8 {
				b = append(b, byte(buffer))
				buffer >>= 8
				held -= 8
			}
		}
	}
	if held > 0 {
		b = append(b, byte(buffer))
	}
	return b
}

// deltaPacked returns integers in DELTA_BINARY_PACKED, in blocks of deltaBlock values in 4 miniblocks
// (https://parquet.apache.org/docs/file-format/data-pages/encodings/#DELTAENC).
func deltaPacked(values []int64) []byte {
	const minis = 4
	b := binary.AppendUvarint(nil, deltaBlock)
	b = binary.AppendUvarint(b, minis)
	b = binary.AppendUvarint(b, uint64(len(values)))
	if len(values) == 0 {
		return binary.AppendVarint(b, 0)
	}
	b = binary.AppendVarint(b, values[0])
	for first := 1; first < len(values); first += deltaBlock {
		end := min(first+deltaBlock, len(values))
		least := int64(math.MaxInt64)
		for i := first; i < end; i++ {
			least = min(least, values[i]-values[i-1]) // wraps around as the format wants it
		}
		b = binary.AppendVarint(b, least)
		const size = deltaBlock / minis
		var widths [minis]byte
		var deltas [minis][]uint64
		for m := range minis {
			for i := first + m*size; i < min(first+(m+1)*size, end); i++ {
				d := uint64(values[i]-values[i-1]) - uint64(least)
				deltas[m] = append(deltas[m], d)
				widths[m] = max(widths[m], byte(bits.Len64(d)))
			}
		}
		b = append(b, widths[:]...)
		for m, list := range deltas {
			if len(list) > 0 {
				b = packBits(b, list, size, int(widths[m]))
			}
		}
	}
	return b
}

// thriftWriter writes the compact protocol that compact reads.
type thriftWriter struct {
	b []byte
	// last is the number of the last field of the struct. outer holds those of the structs around it.
	last  int64
	outer []int64
}

func (t *thriftWriter) field(number int64, kind byte) {
	if d := number - t.last; d > 0 && d < 16 {
		t.b = append(t.b, byte(d)<<4|kind)
	} else {
		t.b = binary.AppendVarint(append(t.b, kind), number)
	}
	t.last = number
}

// int writes an i32, long an i64.
func (t *thriftWriter) int(number, v int64)  { t.number(number, v, compactI32) }
func (t *thriftWriter) long(number, v int64) { t.number(number, v, compactI64) }

func (t *thriftWriter) number(number, v int64, kind byte) {
	t.field(number, kind)
	t.b = binary.AppendVarint(t.b, v)
}

func (t *thriftWriter) bool(number int64, v bool) {
	kind := byte(compactFalse)
	if v {
		kind = compactTrue
	}
	t.field(number, kind)
}

func (t *thriftWriter) bytes(s string) {
	t.b = append(binary.AppendUvarint(t.b, uint64(len(s))), s...)
}

func (t *thriftWriter) text(number int64, s string) {
	t.field(number, compactBinary)
	t.bytes(s)
}

func (t *thriftWriter) list(number int64, kind byte, n int) {
	t.field(number, compactList)
	if n < 15 {
		t.b = append(t.b, byte(n)<<4|kind)
		return
	}
	t.b = binary.AppendUvarint(append(t.b, 0xf0|kind), uint64(n))
}

// begin starts a struct in a field, element one in a list. end ends it.
func (t *thriftWriter) begin(number int64) {
	t.field(number, compactStruct)
	t.element()
}

func (t *thriftWriter) element() {
	t.outer, t.last = append(t.outer, t.last), 0
}

func (t *thriftWriter) end() {
	t.stop()
	t.last, t.outer = t.outer[len(t.outer)-1], t.outer[:len(t.outer)-1]
}

func (t *thriftWriter) stop() { t.b = append(t.b, compactStop) }
