package datamodel

import (
	"slices"
	"strings"
)

// InventoryFamily is the family of the nodes that hold what was counted in folders. One node stands for an area, and one for
// each type of file in it.
const InventoryFamily = "inventory"

// The metrics of the files of one type in one area. In rules and in the catalogue their names begin with "inventory.".
const (
	Files        = "files"
	FileBytes    = "bytes"
	FilesBefore  = "files_before"
	BytesBefore  = "bytes_before"
	FilesMade    = "files_made"
	BytesMade    = "bytes_made"
	FilesGrown   = "files_grown"
	BytesGrown   = "bytes_grown"
	FilesShrunk  = "files_shrunk"
	BytesShrunk  = "bytes_shrunk"
	FilesDeleted = "files_deleted"
	BytesDeleted = "bytes_deleted"
	FileErrors   = "errors"
)

// The metrics of a file system. In rules and in the catalogue their names begin with "disk.".
const (
	SpaceTotal = "total"
	SpaceUsed  = "used"
	SpaceFree  = "free"
)

// Inventory is what the runner counted in folders before the command and after it. It is part of the Ledger.
type Inventory struct {
	Areas []Area `json:"areas"`
	// Once says that a file with several names counts once.
	Once bool `json:"once,omitempty"`
	// Reason says why nothing was counted. It is "" if the files were counted.
	Reason string `json:"reason,omitempty"`
}

// Area is a folder and what was counted in it.
type Area struct {
	Name string `json:"name"`
	// Path is the folder's absolute path. Pattern is the regular expression that gives the types; "" is the extension.
	Path    string `json:"path"`
	Pattern string `json:"pattern,omitempty"`
	// Within names the innermost area around this one; "" if there is none.
	Within string `json:"within,omitempty"`
	// Groups names the parts of a type.
	Groups []string `json:"groups"`
	// Types exclude the areas within this one.
	Types []FileType `json:"types"`
	// Merged is the number of types that count as "other" because there were too many.
	Merged int64 `json:"merged,omitempty"`
	// Dangling counts links that lead nowhere, Vanished what was removed during the second count, Unread what could not be
	// read, Loops folders that contain themselves. Unreadable is the first error behind Unread, of either count.
	Dangling   int64  `json:"dangling,omitempty"`
	Vanished   int64  `json:"vanished,omitempty"`
	Unread     int64  `json:"unread,omitempty"`
	Loops      int64  `json:"loops,omitempty"`
	Unreadable string `json:"unreadable,omitempty"`
	// Reason says why the area could not be counted. Unknown says why nobody knows which files changed. Both are "" if all
	// is known.
	Reason  string `json:"reason,omitempty"`
	Unknown string `json:"unknown,omitempty"`
	// Mount is the folder that the area's file system is mounted on. Its sizes are in By. NoSpace says why they are unknown.
	Mount   string  `json:"mount,omitempty"`
	Total   float64 `json:"total,omitempty"`
	Used    float64 `json:"used,omitempty"`
	Free    float64 `json:"free,omitempty"`
	NoSpace string  `json:"no_space,omitempty"`
}

// Errors returns the number of entries that could not be counted.
func (a Area) Errors() int64 { return a.Dangling + a.Vanished + a.Unread + a.Loops }

// FileType has the files of one type in one area.
type FileType struct {
	// Groups are the parts of the type, as Area.Groups names them.
	Groups  []string   `json:"groups"`
	Before  FileAmount `json:"before"`
	After   FileAmount `json:"after"`
	Made    FileAmount `json:"made"`
	Grown   FileAmount `json:"grown"`
	Shrunk  FileAmount `json:"shrunk"`
	Deleted FileAmount `json:"deleted"`
}

// FileAmount is a number of files, and a number of bytes.
type FileAmount struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Keys of the metadata of the nodes.
const (
	areaKey    = "area"    // the first pair of an area's node
	ofAreaKey  = "of_area" // the first pair of the node of a type; further pairs are the parts of the type
	pathKey    = "path"
	withinKey  = "within"
	patternKey = "pattern"
	groupsKey  = "groups"
	mountKey   = "file_system"
)

// AreaNode returns the node of an area, without metrics and without those of its types.
func AreaNode(a Area) *Node {
	n := &Node{Name: InventoryFamily + "/" + a.Name, Level: DeviceLevel, Family: InventoryFamily, Meta: []Pair{
		{areaKey, a.Name}, {pathKey, a.Path},
	}}
	for _, p := range []Pair{{withinKey, a.Within}, {patternKey, a.Pattern}, {mountKey, a.Mount}} {
		if p.Value != "" {
			n.Meta = append(n.Meta, p)
		}
	}
	n.Meta = append(n.Meta, Pair{groupsKey, strings.Join(a.Groups, ",")})
	return n
}

// TypeNode returns the node of a type in an area, without metrics.
func TypeNode(a Area, t FileType) *Node {
	n := &Node{
		Name: InventoryFamily + "/" + a.Name + "/" + strings.Join(t.Groups, "/"), Level: DeviceLevel, Family: InventoryFamily,
		Meta: []Pair{{ofAreaKey, a.Name}},
	}
	for i, name := range a.Groups {
		n.Meta = append(n.Meta, Pair{name, t.Groups[i]})
	}
	return n
}

// CountedArea is an area as it stands in a tree.
type CountedArea struct {
	Name, Path, Within, Pattern, Mount string
	// Groups names the parts of a type.
	Groups []string
	// Node has the number of errors. If the area could not be counted, it has the reason.
	Node *Node
	// Types exclude the areas within this one.
	Types []CountedType
}

// CountedType is a type of file as it stands in a tree.
type CountedType struct {
	// Groups are the parts of the type.
	Groups []string
	Node   *Node
}

// InventoryOf returns the areas of a tree, in the order in which they were named. It returns nil if nothing was counted.
func InventoryOf(tree *Node) []CountedArea {
	if tree == nil {
		return nil
	}
	var out []CountedArea
	for _, n := range tree.Children {
		out = append(out, InventoryOf(n)...)
	}
	for _, n := range tree.Children {
		if n.Family != InventoryFamily || n.Level != DeviceLevel || len(n.Meta) == 0 {
			continue
		}
		if n.Meta[0].Key == areaKey {
			meta := make(map[string]string, len(n.Meta))
			for _, p := range n.Meta {
				meta[p.Key] = p.Value
			}
			out = append(out, CountedArea{
				Name: meta[areaKey], Path: meta[pathKey], Within: meta[withinKey], Pattern: meta[patternKey], Mount: meta[mountKey],
				Groups: strings.Split(meta[groupsKey], ","), Node: n,
			})
			continue
		}
		i := slices.IndexFunc(out, func(a CountedArea) bool { return a.Name == n.Meta[0].Value })
		if i < 0 || len(n.Meta)-1 != len(out[i].Groups) {
			continue // a stranger's file
		}
		t := CountedType{Node: n}
		for _, p := range n.Meta[1:] {
			t.Groups = append(t.Groups, p.Value)
		}
		out[i].Types = append(out[i].Types, t)
	}
	return out
}
