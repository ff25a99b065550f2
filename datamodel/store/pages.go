package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/golang/snappy"
	"github.com/klauspost/compress/zstd"
)

// checkFooter reads the footer of a Parquet file before arrow does, and refuses one that claims more than its bytes can
// hold. It accepts only flat schemas; all of ergon's are flat.
func checkFooter(r io.ReaderAt, size int64) error {
	const magic, tail = "PAR1", 8
	var end [tail]byte
	if size < int64(len(magic)+tail) {
		return errors.New("too short for a Parquet file")
	}
	if _, err := r.ReadAt(end[:], size-tail); err != nil {
		return err
	}
	if string(end[4:]) != magic {
		return errors.New("not a Parquet file, or cut off")
	}
	n := int64(binary.LittleEndian.Uint32(end[:]))
	if n > size-int64(len(magic)+tail) || n > footerLimit {
		return fmt.Errorf("a footer of %d bytes in a file of %d", n, size)
	}
	b := make([]byte, n)
	if _, err := r.ReadAt(b, size-tail-n); err != nil {
		return err
	}
	c := compact{b: b}
	footer, err := c.record(0)
	if err != nil {
		return fmt.Errorf("footer: %w", err)
	}
	schema, _ := footer[2].([]any) // FileMetaData.schema
	for i, e := range schema {
		element, _ := e.(record)
		children := element.int(5, 0) // SchemaElement.num_children
		if i == 0 && children != int64(len(schema)-1) || i > 0 && children != 0 {
			return errors.New("footer: the schema is not flat")
		}
	}
	return nil
}

// pages reads the pages of a column chunk for arrow's decoders. Arrow's own page reader allocates whatever a page header
// or a compressed frame claims, up to 64 GiB, and recover cannot catch that. This reader checks every length against the
// bytes that are there. It reads what ergon writes: pages of version 1, plain, dictionary and delta encoding, zstd, snappy.
type pages struct {
	b       []byte // the rest of the chunk
	rows    int64  // the rows to come
	codec   compress.Compression
	null    bool // there are definition levels
	zstd    *zstd.Decoder
	current file.Page
	err     error
}

// maxCompression bounds the pages of a chunk by its size in the file: at best, zstd packs a block of 128 KiB into 4 bytes.
const maxCompression = 64 << 10

// openPages opens a column chunk. unpack may be nil; then a chunk that is packed makes a decoder.
func openPages(r io.ReaderAt, size, offset, length, rows int64, codec compress.Compression, null bool, unpack *zstd.Decoder) (*pages, error) {
	if offset < 4 || length < 0 || rows < 0 || length > size || length > chunkLimit || offset > size-length {
		return nil, fmt.Errorf("%d bytes at %d in a file of %d", length, offset, size)
	}
	p := &pages{b: make([]byte, length), rows: rows, codec: codec, null: null, zstd: unpack}
	if _, err := r.ReadAt(p.b, offset); err != nil {
		return nil, err
	}
	if codec == compress.Codecs.Zstd && unpack == nil {
		var err error
		if p.zstd, err = newUnpacker(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// newUnpacker returns a decoder of pages. Several goroutines may use it.
func newUnpacker() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(pageLimit))
}

// SetMaxPageHeaderSize is part of file.PageReader. A header here is at most as long as the chunk.
func (p *pages) SetMaxPageHeaderSize(int) {}

// Reset is part of file.PageReader. Arrow calls it only on pooled readers, and this one is not pooled.
func (p *pages) Reset(parquet.BufferedReader, int64, compress.Compression, *file.CryptoContext) {
	p.err = errors.ErrUnsupported
}

// Page returns the page that Next found.
func (p *pages) Page() file.Page { return p.current }

// Err says why Next returned false. It is nil at the end.
func (p *pages) Err() error { return p.err }

// Next goes to the next page.
func (p *pages) Next() bool {
	p.current = nil
	if p.err == nil && p.rows > 0 {
		p.current, p.err = p.next()
	}
	return p.current != nil && p.err == nil
}

func (p *pages) next() (file.Page, error) {
	const dataPage, dictionaryPage = 0, 2
	c := compact{b: p.b}
	header, err := c.record(0)
	if err != nil {
		return nil, fmt.Errorf("page header: %w", err)
	}
	plain, packed := header.int(2, -1), header.int(3, -1)
	if packed < 0 || packed > int64(len(c.b)) || plain < 0 || plain > pageLimit || plain > (packed+1)*maxCompression {
		return nil, fmt.Errorf("a page of %d bytes, %d compressed, with %d left", plain, packed, len(c.b))
	}
	data, err := p.decode(c.b[:packed], int(plain))
	if err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	if len(data) != int(plain) {
		return nil, fmt.Errorf("a page of %d bytes, want %d", len(data), plain)
	}
	p.b = c.b[packed:]
	switch kind := header.int(1, -1); kind {
	case dictionaryPage:
		h, _ := header[7].(record)
		n := h.int(1, -1)
		if n < 0 || n > plain/4 { // a length of 4 bytes before each string
			return nil, fmt.Errorf("a dictionary of %d words in %d bytes", n, plain)
		}
		return file.NewDictionaryPage(memory.NewBufferBytes(data), int32(n), parquet.Encodings.Plain), nil
	case dataPage:
		h, _ := header[5].(record)
		n := h.int(1, -1)
		if n <= 0 || n > p.rows {
			return nil, fmt.Errorf("a page of %d rows with %d left", n, p.rows)
		}
		if p.null {
			if err := checkLevels(data, n); err != nil {
				return nil, err
			}
		}
		encoding := parquet.Encoding(h.int(2, -1))
		switch encoding {
		case parquet.Encodings.Plain, parquet.Encodings.PlainDict, parquet.Encodings.RLEDict:
		case parquet.Encodings.DeltaBinaryPacked:
			if p.null {
				return nil, fmt.Errorf("delta encoding with nulls: %w", ErrForeign)
			}
			if err := checkDelta(data); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("a page in encoding %d: %w", encoding, ErrForeign)
		}
		p.rows -= n
		return file.NewDataPageV1(memory.NewBufferBytes(data), int32(n), encoding, parquet.Encodings.RLE,
			parquet.Encodings.RLE, int32(plain)), nil
	default:
		return nil, fmt.Errorf("a page of type %d: %w", kind, ErrForeign)
	}
}

// decode returns the uncompressed bytes of a page, which should be n.
func (p *pages) decode(packed []byte, n int) ([]byte, error) {
	switch p.codec {
	case compress.Codecs.Uncompressed:
		return packed, nil
	case compress.Codecs.Snappy:
		if got, err := snappy.DecodedLen(packed); err != nil || got != n {
			return nil, errors.Join(snappy.ErrCorrupt, err)
		}
		return snappy.Decode(nil, packed)
	case compress.Codecs.Zstd:
		return p.zstd.DecodeAll(packed, make([]byte, 0, n))
	}
	return nil, fmt.Errorf("codec %v: %w", p.codec, ErrForeign)
}

// checkLevels refuses definition levels that are fewer than the page's rows, since arrow would look for more forever. The
// levels have one bit each. They are runs and bit-packed groups of 8, after their length in 4 bytes
// (https://parquet.apache.org/docs/file-format/data-pages/encodings/#RLE).
func checkLevels(data []byte, rows int64) error {
	if len(data) < 4 || uint64(binary.LittleEndian.Uint32(data)) > uint64(len(data)-4) {
		return errors.New("definition levels are cut off")
	}
	c := compact{b: data[4 : 4+binary.LittleEndian.Uint32(data)]}
	for rows > 0 {
		head, err := c.varint()
		if err != nil {
			return fmt.Errorf("definition levels: %w", err)
		}
		n, bytes := head>>1, uint64(1)
		if head&1 != 0 {
			bytes, n = n, n*8
		}
		if _, err := c.bytes(bytes); err != nil || n == 0 || n > 1<<31 {
			return errors.New("definition levels are damaged")
		}
		rows -= int64(n)
	}
	return nil
}

// checkDelta reads the header of a column in DELTA_BINARY_PACKED without nulls. It refuses block sizes that arrow does not
// write.
func checkDelta(data []byte) error {
	c := compact{b: data}
	block, err := c.varint()
	if err != nil {
		return err
	}
	minis, err := c.varint()
	if err != nil {
		return err
	}
	if block != deltaBlock || minis != 4 {
		return fmt.Errorf("delta blocks of %d in %d parts: %w", block, minis, ErrForeign)
	}
	return nil
}
