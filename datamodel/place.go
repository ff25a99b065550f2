package datamodel

// Place is a place in a settings file. The zero Place is none.
type Place struct {
	// File is the path of the file as the user knows it.
	File string `json:"file,omitempty"`
	// Line and Column count from 1.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
}
