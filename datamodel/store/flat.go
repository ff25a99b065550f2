package store

import "encoding/binary"

// flat reads FlatBuffers (https://flatbuffers.dev/internals/), the format of the metadata in Arrow's messages. Arrow's
// generated reader believes every length and makes slices of it: 200 GB for one flipped bit, and recover cannot catch
// that. Here a position outside the bytes sets bad and reads as 0.
type flat struct {
	b   []byte
	bad bool
}

// uint returns the number of size bytes at pos.
func (f *flat) uint(pos int64, size int) uint64 {
	if pos < 0 || pos > int64(len(f.b)-size) {
		f.bad = true
		return 0
	}
	var b [8]byte
	copy(b[:], f.b[pos:pos+int64(size)])
	return binary.LittleEndian.Uint64(b[:])
}

// int returns the 64-bit number at pos.
func (f *flat) int(pos int64) int64 { return int64(f.uint(pos, 8)) }

// root returns the position of the root table.
func (f *flat) root() int64 { return f.ref(0) }

// field returns the position of a field, by its number, in the table at pos. It is 0 if the field has its default.
func (f *flat) field(pos int64, number int) int64 {
	vtable := pos - int64(int32(f.uint(pos, 4)))
	at := int64(4 + 2*number)
	if at+2 > int64(f.uint(vtable, 2)) {
		return 0
	}
	offset := int64(f.uint(vtable+at, 2))
	if offset == 0 {
		return 0
	}
	return pos + offset
}

// ref follows the reference at pos.
func (f *flat) ref(pos int64) int64 { return pos + int64(f.uint(pos, 4)) }

// vector returns the position of the first element of a vector field, and the number of elements. There are none if the
// field is missing, or if the bytes cannot hold so many elements of the given size.
func (f *flat) vector(field, size int64) (first, n int64) {
	if field == 0 {
		return 0, 0
	}
	first = f.ref(field)
	n = int64(f.uint(first, 4))
	first += 4
	if n*size > int64(len(f.b))-first {
		f.bad = true
		return 0, 0
	}
	return first, n
}

// text returns a string field.
func (f *flat) text(field int64) string {
	first, n := f.vector(field, 1)
	return string(f.b[first : first+n])
}
