package deps

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestProseDecidesNothing checks that no code decides anything by a text for people, because facts are types. The fields
// Reason, Source, Text, Doc and Detail may be printed, joined and compared with "".
func TestProseDecidesNothing(t *testing.T) {
	files := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(name, ".") && name != ".." || name == "testdata"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		files++
		found, err := proseRead(path, nil)
		for _, f := range found {
			if f = strings.TrimPrefix(f, "../../"); !slices.ContainsFunc(names(), func(n [2]string) bool {
				return strings.HasPrefix(f, n[0]) && strings.Contains(f, "text "+n[1])
			}) {
				t.Error(f)
			}
		}
		return err
	})
	if err != nil || files < 100 {
		t.Fatalf("%d files, %v", files, err)
	}
}

// names returns the fields that have such a name but hold no text for people: the start of the path, and the field.
func names() [][2]string {
	return [][2]string{
		{"datamodel/rule/", "Text"},        // the rule as typed, for the position of the caret
		{"datamodel/store/", "Source"},     // the name of a spool's source
		{"cmd/ergon/sensors.go", "Source"}, // the same
		{"runner/process.go", "Source"},    // the same
		{"datamodel/perun/", "Source"},     // the same
		{"datamodel/store/", "Reason"},     // equal texts are stored once, and all of them are read back
		{"datamodel/store/", "Text"},       // a position in a file of texts
		{"runner/bench.go", "Text"},        // equal warnings of several rounds are kept once
	}
}

// TestProseIsFound checks that the search finds each way to decide by a text, and nothing that only shows a text.
func TestProseIsFound(t *testing.T) {
	find := func(body string) []string {
		t.Helper()
		found, err := proseRead("fixture.go", "package p\nfunc f() {\n"+body+"\n}\n")
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	for _, body := range []string{
		`if strings.Contains(a.Reason, "denied") { g() }`,
		`if strings.HasPrefix(printable(m.Source), "packages") { g() }`,
		`name, _, _ := strings.Cut(s.Doc, ": ")`,
		`if m.Reason == "no driver" { g() }`,
		`if "cgroup" != s.Source { g() }`,
		`if a.Reason == b.Reason { g() }`,
		`switch w.Text { case "x": g() }`,
		`if slices.Contains(known, a.Detail) { g() }`,
		`g(m.Reason[:4])`,
		`if pattern.MatchString(m.Reason) { g() }`,
	} {
		if len(find(body)) != 1 {
			t.Errorf("the search does not find %s", body)
		}
	}
	for _, body := range []string{
		`if m.Reason != "" { g() }`,
		`g(strings.Join([]string{m.Reason, s.Source}, ": "))`,
		`m.Source += ", by whatever program"`,
		`g("less: " + a.Reason)`,
		`if m.Absence == a.ID { g(a.Reason) }`,
		`if m.Count != n { g(m.Reason) }`,
	} {
		if found := find(body); len(found) != 0 {
			t.Errorf("the search finds %s, which decides nothing", found)
		}
	}
}

// proseRead returns the places of a Go file that decide by a text for people, as "file:line: what".
func proseRead(path string, src any) ([]string, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, src, 0)
	if err != nil {
		return nil, err
	}
	var found []string
	tell := func(n ast.Node, e ast.Expr) {
		found = append(found, fmt.Sprintf("%s: the text %s decides something", set.Position(n.Pos()), e.(*ast.SelectorExpr).Sel.Name))
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if n.Op != token.EQL && n.Op != token.NEQ && n.Op != token.LSS && n.Op != token.GTR {
				break
			}
			if isEmpty(n.X) || isEmpty(n.Y) {
				break
			}
			if e := prose(n.X); e != nil {
				tell(n, e)
			} else if e := prose(n.Y); e != nil {
				tell(n, e)
			}
		case *ast.SwitchStmt:
			if e := prose(n.Tag); e != nil {
				tell(n, e)
			}
		case *ast.SliceExpr:
			if e := prose(n.X); e != nil {
				tell(n, e)
			}
		case *ast.CallExpr:
			if !reads(n.Fun) {
				break
			}
			for _, arg := range n.Args {
				if e := within(arg); e != nil {
					tell(n, e)
				}
			}
		}
		return true
	})
	return found, nil
}

// prose returns e if it is a field with a text for people, else nil.
func prose(e ast.Expr) ast.Expr {
	s, ok := e.(*ast.SelectorExpr)
	if ok && slices.Contains([]string{"Reason", "Source", "Text", "Doc", "Detail"}, s.Sel.Name) {
		return s
	}
	return nil
}

// within returns the first such field in e, also inside calls.
func within(e ast.Expr) (found ast.Expr) {
	ast.Inspect(e, func(n ast.Node) bool {
		if x, ok := n.(ast.Expr); ok && found == nil {
			found = prose(x)
		}
		return found == nil
	})
	return found
}

// reads tells whether a function inspects its arguments: any function of strings, bytes, slices or regexp except those that
// only make another text.
func reads(fun ast.Expr) bool {
	s, ok := fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	if strings.HasPrefix(s.Sel.Name, "Match") || strings.HasPrefix(s.Sel.Name, "FindString") {
		return true
	}
	p, ok := s.X.(*ast.Ident)
	if !ok || !slices.Contains([]string{"strings", "bytes", "slices"}, p.Name) {
		return false
	}
	return !slices.Contains([]string{
		"Join", "ToValidUTF8", "Repeat", "ToUpper", "ToLower", "NewReader", "Clone", "Insert", "Concat", "Delete",
	}, s.Sel.Name)
}

func isEmpty(e ast.Expr) bool {
	b, ok := e.(*ast.BasicLit)
	return ok && (b.Value == `""` || b.Value == "``")
}
