package store

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// record is a Thrift struct by field number: int64 for numbers and booleans, []byte for binary and doubles, record for
// structs, []any for lists and sets.
type record map[int16]any

// int returns a number of the record, or missing if there is none.
func (r record) int(field int16, missing int64) int64 {
	if n, ok := r[field].(int64); ok {
		return n
	}
	return missing
}

var errThrift = errors.New("malformed thrift")

// compact reads the Thrift compact protocol
// (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md), in which Parquet keeps its
// footer and page headers. Arrow's generated reader makes lists of whatever length the bytes claim, 800 MB for a few
// bytes. This one reads first and refuses such lists.
type compact struct {
	b      []byte
	values int // read so far
}

const (
	compactStop   = 0
	compactTrue   = 1
	compactFalse  = 2
	compactByte   = 3
	compactI16    = 4
	compactI32    = 5
	compactI64    = 6
	compactDouble = 7
	compactBinary = 8
	compactList   = 9
	compactSet    = 10
	compactStruct = 12
	compactDepth  = 16      // structs within structs; a footer has 6
	compactValues = 1 << 20 // values in all; a footer has about 100 for each row group
)

func (c *compact) byte() (byte, error) {
	if len(c.b) == 0 {
		return 0, errThrift
	}
	b := c.b[0]
	c.b = c.b[1:]
	return b, nil
}

func (c *compact) varint() (uint64, error) {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		return 0, errThrift
	}
	c.b = c.b[n:]
	return v, nil
}

func (c *compact) zigzag() (int64, error) {
	v, err := c.varint()
	return int64(v>>1) ^ -int64(v&1), err
}

func (c *compact) bytes(n uint64) ([]byte, error) {
	if n > uint64(len(c.b)) {
		return nil, errThrift
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b, nil
}

func (c *compact) record(depth int) (record, error) {
	if depth > compactDepth {
		return nil, errThrift
	}
	r := record{}
	var field int64
	for {
		head, err := c.byte()
		if err != nil {
			return nil, err
		}
		kind := head & 0x0f
		if kind == compactStop {
			return r, nil
		}
		if delta := head >> 4; delta != 0 {
			field += int64(delta)
		} else if field, err = c.zigzag(); err != nil {
			return nil, err
		}
		if field != int64(int16(field)) {
			return nil, errThrift
		}
		var v any
		switch kind {
		case compactTrue, compactFalse: // a boolean field has its value in its type
			v = int64(compactFalse - kind)
		default:
			if v, err = c.value(kind, depth); err != nil {
				return nil, err
			}
		}
		r[int16(field)] = v
	}
}

func (c *compact) value(kind byte, depth int) (any, error) {
	if c.values++; c.values > compactValues {
		return nil, fmt.Errorf("more than %d values: %w", compactValues, errThrift)
	}
	switch kind {
	case compactTrue, compactFalse, compactByte:
		b, err := c.byte()
		return int64(int8(b)), err
	case compactI16, compactI32, compactI64:
		return c.zigzag()
	case compactDouble:
		return c.bytes(8)
	case compactBinary:
		n, err := c.varint()
		if err != nil {
			return nil, err
		}
		return c.bytes(n)
	case compactList, compactSet:
		return c.list(depth)
	case compactStruct:
		return c.record(depth + 1)
	}
	return nil, fmt.Errorf("type %d: %w", kind, errThrift) // maps, which Parquet does not use
}

func (c *compact) list(depth int) ([]any, error) {
	head, err := c.byte()
	if err != nil {
		return nil, err
	}
	n := uint64(head >> 4)
	if n == 15 {
		if n, err = c.varint(); err != nil {
			return nil, err
		}
	}
	if n > uint64(len(c.b)) || depth > compactDepth { // an element has at least a byte
		return nil, errThrift
	}
	out := make([]any, n)
	for i := range out {
		if out[i], err = c.value(head&0x0f, depth+1); err != nil {
			return nil, err
		}
	}
	return out, nil
}
