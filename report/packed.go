package report

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/binary"
	"math"
)

const (
	// fullParts is the largest number of parts of all lines together that the page holds in full. An hour at 10 Hz has 36,000
	// parts. thinnedParts is the number of parts of a longer run, each with its mean, least and most.
	fullParts, thinnedParts = 800_000, 400_000
	// leastDropped and mostDropped are how many of the last bits of a float32 the page leaves out: as few as fit into hourSize bytes,
	// or daySize for a run of more than an hour. With 13, 10 bits of the fraction are left, and the error is below 0.05 % at every
	// size of a value; with 16, below 0.4 %.
	leastDropped, mostDropped = 13, 16
	hourSize, daySize         = 640_000, 2_400_000
	// near is the part of a value up to which its extremes count as the value itself: a reading that is taken a moment late lies in
	// two parts. It doubles with each bit that is dropped.
	near = 0.02
)

// packedLine describes one line to the page's script. Its fields stand in the page as JSON.
type packedLine struct {
	// Start is the middle of the first part, and Step the length of a part, in s.
	Start float64 `json:"start"`
	Step  float64 `json:"step"`
	Count int     `json:"count"`
	Look  string  `json:"look"`
	Fill  bool    `json:"fill,omitempty"`
	// Sparse says that the line joins its readings over parts without one.
	Sparse bool `json:"sparse,omitempty"`
}

// pack writes lines as the page's script reads them: in base64, a deflated stream of varints. Each line begins with a value for
// each part: the difference of its code to the code before, in zigzag, plus 1; 0 is a part without a reading. Then come the parts
// whose extremes differ from the value: their number, the distance of each from the one before, and the distances of the codes from
// least to value and from value to most.
func pack(curves []curve, length float64) (about []packedLine, text string, dropped int, err error) {
	parts := 0
	for _, c := range curves {
		parts += len(c.mean)
	}
	n := 1
	if parts > fullParts {
		n = (parts + thinnedParts - 1) / thinnedParts
	}
	lines := make([]curve, len(curves))
	for i, c := range curves {
		lines[i] = c.thin(n)
		about = append(about, packedLine{Start: lines[i].grid / 2, Step: lines[i].grid, Count: len(lines[i].mean), Look: c.look, Fill: c.fill, Sparse: c.sparse})
	}
	most := hourSize
	if length > 3600 {
		most = daySize
	}
	for dropped = leastDropped; ; {
		text, err = deflated(lines, dropped)
		if err != nil || len(text) <= most || dropped == mostDropped {
			return about, text, dropped, err
		}
		// A bit of each value less is a sixth of a byte of base64.
		dropped = min(mostDropped, dropped+1+6*(len(text)-most)/max(1, parts))
	}
}

func deflated(lines []curve, dropped int) (string, error) {
	var packed bytes.Buffer
	deflate, err := flate.NewWriter(&packed, flate.DefaultCompression)
	if err != nil {
		return "", err
	}
	for _, c := range lines {
		if _, err := deflate.Write(c.bytes(dropped)); err != nil {
			return "", err
		}
	}
	if err := deflate.Close(); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(packed.Bytes()), nil
}

func (c curve) bytes(dropped int) []byte {
	out := make([]byte, 0, 2*len(c.mean))
	last := int64(0)
	var differ []int // parts
	apart := math.Ldexp(near, dropped-leastDropped)
	for i, v := range c.mean {
		if math.IsNaN(v) {
			out = binary.AppendUvarint(out, 0)
			continue
		}
		now := coded(v, dropped)
		d := now - last
		out = binary.AppendUvarint(out, uint64(d<<1^d>>63)+1)
		last = now
		if max(v-c.least[i], c.most[i]-v) > apart*math.Abs(v) {
			differ = append(differ, i)
		}
	}
	out = binary.AppendUvarint(out, uint64(len(differ)))
	before := 0
	for _, i := range differ {
		out = binary.AppendUvarint(out, uint64(i-before))
		before = i
	}
	for _, i := range differ {
		out = binary.AppendUvarint(out, uint64(coded(c.mean[i], dropped)-coded(c.least[i], dropped)))
	}
	for _, i := range differ {
		out = binary.AppendUvarint(out, uint64(coded(c.most[i], dropped)-coded(c.mean[i], dropped)))
	}
	return out
}

// coded returns a value as a float32 without its last bits, rounded. Codes have the order of their values.
func coded(v float64, dropped int) int64 {
	const most = math.MaxFloat32 * 0.9
	n := int64((math.Float32bits(float32(min(math.Abs(v), most))) + 1<<(dropped-1)) >> dropped)
	if v < 0 {
		return -n
	}
	return n
}
