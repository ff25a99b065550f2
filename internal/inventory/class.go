package inventory

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// longestExtension and longestGroup bound the length of a type in bytes. What is longer is hardly meant as a type.
	longestExtension = 16
	longestGroup     = 64
)

// classes gives a number to each type of each area, in the order in which they are met.
type classes struct {
	areas []Area
	known []map[string]uint32 // by area, then by type
	all   []class
	text  []byte
}

// class is a type of an area.
type class struct {
	area   int
	groups []string
}

func newClasses(areas []Area) *classes {
	c := &classes{areas: areas, known: make([]map[string]uint32, len(areas))}
	for i, a := range areas {
		c.known[i] = map[string]uint32{}
		other, key := make([]string, len(a.Groups())), ""
		for j := range other {
			other[j] = Other
			if a.Pattern != nil {
				key += "\x00" + Other
			}
		}
		c.number(i, key, other) // class i
	}
	return c
}

// number returns the number of a new class.
func (c *classes) number(area int, text string, groups []string) uint32 {
	n := uint32(len(c.all))
	c.known[area][text] = n
	c.all = append(c.all, class{area, groups})
	return n
}

// other returns the class of the files of an area that have no type.
func (c *classes) other(area int) uint32 { return uint32(area) }

// of returns the class of a file. folder is the path of its folder below the area, which ends with a slash unless empty.
func (c *classes) of(area int, folder, name []byte) uint32 {
	if p := c.areas[area].Pattern; p != nil {
		return c.matched(area, p, folder, name)
	}
	text := extension(c.text[:0], name)
	c.text = text
	if n, ok := c.known[area][string(text)]; ok {
		return n
	}
	return c.made(area, string(text), []string{string(text)})
}

// made returns a new class, or other if there are too many.
func (c *classes) made(area int, text string, groups []string) uint32 {
	if len(c.all) >= mostClasses {
		return c.other(area)
	}
	return c.number(area, text, groups)
}

// extension appends the extension of a name to dst, in lower case and without its dot. It appends nothing if there is none:
// a dot at the beginning of a name begins no extension, and an extension has only letters, digits, +, -, _ and ~.
func extension(dst, name []byte) []byte {
	for i := len(name) - 1; i > 0; i-- {
		if name[i] != '.' {
			continue
		}
		ext := name[i+1:]
		if len(ext) > longestExtension {
			return dst
		}
		return lower(dst, ext)
	}
	return dst
}

// lower appends a word in lower case, or nothing if it has characters that no extension has.
func lower(dst, word []byte) []byte {
	begin := len(dst)
	for len(word) > 0 {
		r, size := rune(word[0]), 1
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '+', r == '-', r == '_', r == '~':
		case r >= 'A' && r <= 'Z':
			r += 'a' - 'A'
		default:
			r, size = utf8.DecodeRune(word)
			if r == utf8.RuneError || !unicode.IsLetter(r) && !unicode.IsDigit(r) {
				return dst[:begin]
			}
			r = unicode.ToLower(r)
		}
		dst = utf8.AppendRune(dst, r)
		word = word[size:]
	}
	if string(dst[begin:]) == Other {
		return dst[:begin] // `x.other` has the same row as a name without an extension
	}
	return dst
}

// matched returns the class that a pattern gives.
func (c *classes) matched(area int, p *Pattern, folder, name []byte) uint32 {
	text := name
	if p.path {
		text = append(append(c.text[:0], folder...), name...)
		c.text = text
	}
	at := p.expr.FindSubmatchIndex(text)
	if at == nil {
		return c.other(area)
	}
	var both [2 * (longestGroup + 1)]byte
	key := both[:0]
	for _, g := range p.groups {
		key = append(key, 0)
		if begin, end := at[2*g], at[2*g+1]; begin >= 0 && showable(text[begin:end]) {
			key = append(key, text[begin:end]...)
		} else {
			key = append(key, Other...)
		}
	}
	if n, ok := c.known[area][string(key)]; ok {
		return n
	}
	return c.made(area, string(key), strings.Split(string(key[1:]), "\x00"))
}

// showable reports whether what a group matched can be shown as a type.
func showable(word []byte) bool {
	if len(word) == 0 || len(word) > longestGroup || !utf8.Valid(word) {
		return false
	}
	for _, r := range string(word) {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
