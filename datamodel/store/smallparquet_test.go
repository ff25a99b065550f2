package store

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/file"
)

// mixed is a row of all kinds of columns.
type mixed struct {
	n, sparse int64
	word      string
	figure    float64
	at        time.Time
}

func mixedFields() []field[mixed] {
	return []field[mixed]{
		whole("n", func(r *mixed) *int64 { return &r.n }).required(),
		whole("sparse", func(r *mixed) *int64 { return &r.sparse }),
		word("word", func(r *mixed) *string { return &r.word }),
		figure("figure", func(r *mixed) *float64 { return &r.figure }),
		moment("at", func(r *mixed) *time.Time { return &r.at }),
	}
}

// TestSmallFiles tests that tables of any size and content come back, and that arrow's own reader sees the same in them.
func TestSmallFiles(t *testing.T) {
	for _, n := range []int{0, 1, 2, 7, 8, 9, 31, 33, 127, 128, 129, 130, 257, 1000, 5000, 40_000} {
		for _, distinct := range []int{1, 2, 3, 17, 300, math.MaxInt32} {
			random := rand.New(rand.NewPCG(uint64(n), uint64(distinct)))
			pick := func() int { return random.IntN(distinct) }
			rows := make([]mixed, n)
			run := 0
			for i := range rows {
				if run--; run < 0 || i == 0 {
					run = random.IntN(40)
					rows[i] = mixed{
						n: int64(pick()), sparse: int64(pick()) - 1, word: fmt.Sprint(pick()), figure: float64(pick()) / 7,
						at: time.UnixMicro(int64(pick())),
					}
					if rows[i].sparse%3 == 0 {
						rows[i].sparse, rows[i].word, rows[i].figure, rows[i].at = -1, "", math.NaN(), time.Time{}
					}
				} else {
					rows[i] = rows[i-1]
				}
				rows[i].n++
				if !rows[i].at.IsZero() {
					rows[i].at = rows[i].at.UTC()
				}
			}
			dir := t.TempDir()
			folder, err := OpenFolder(dir)
			if err != nil {
				t.Fatal(err)
			}
			files := folder.Files()
			err = saveTable(files, "t.parquet", "test/2", mixedFields(), rows)
			if err := errors.Join(err, files.Keep(), folder.Close()); err != nil {
				t.Fatal(err)
			}
			got, version, err := readTable(folderFiles{dir: dir}, "t.parquet", layout[mixed]{"test/1", nil}, layout[mixed]{"test/2", mixedFields()})
			if err != nil || version != "test/2" || len(got) != n {
				t.Fatalf("%d rows of %d values: %d rows, %s, %v", n, distinct, len(got), version, err)
			}
			for i, want := range rows {
				same := math.IsNaN(got[i].figure) && math.IsNaN(want.figure) || got[i].figure == want.figure
				if got[i].figure, want.figure = 0, 0; !same || got[i] != want {
					t.Fatalf("%d rows of %d values: row %d is %+v, want %+v", n, distinct, i, got[i], want)
				}
			}
			byArrow(t, filepath.Join(dir, "t.parquet"), rows)
		}
	}
}

// TestRequired tests that a column without nulls refuses a row without a value: such a file could not be read.
func TestRequired(t *testing.T) {
	folder, err := OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	files := folder.Files()
	defer files.Drop()
	err = saveTable(files, "t.parquet", "test/2", mixedFields(), []mixed{{n: 1}, {n: -1}})
	if err == nil || !strings.HasSuffix(err.Error(), "t.parquet: a row without n") {
		t.Errorf("%v", err)
	}
}

// byArrow reads the columns n and word with arrow's page reader.
func byArrow(t *testing.T, path string, rows []mixed) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := file.NewParquetReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.NumRows() != int64(len(rows)) {
		t.Fatalf("arrow sees %d rows of %d", r.NumRows(), len(rows))
	}
	if len(rows) == 0 {
		return
	}
	numbers, levels := make([]int64, len(rows)), make([]int16, len(rows))
	column, err := r.RowGroup(0).Column(0)
	if err != nil {
		t.Fatal(err)
	}
	if total, n, err := column.(*file.Int64ColumnChunkReader).ReadBatch(int64(len(rows)), numbers, nil, nil); total != int64(len(rows)) || n != len(rows) || err != nil {
		t.Fatalf("%d, %d, %v", total, n, err)
	}
	column, err = r.RowGroup(0).Column(2)
	if err != nil {
		t.Fatal(err)
	}
	words := make([]parquet.ByteArray, len(rows))
	total, n, err := column.(*file.ByteArrayColumnChunkReader).ReadBatch(int64(len(rows)), words, levels, nil)
	if total != int64(len(rows)) || err != nil {
		t.Fatalf("%d, %v", total, err)
	}
	k := 0
	for i, want := range rows {
		if numbers[i] != want.n {
			t.Fatalf("row %d: arrow reads %d, want %d", i, numbers[i], want.n)
		}
		if (levels[i] == 1) != (want.word != "") {
			t.Fatalf("row %d: arrow reads level %d of %q", i, levels[i], want.word)
		}
		if levels[i] == 1 {
			if string(words[k]) != want.word {
				t.Fatalf("row %d: arrow reads %q, want %q", i, words[k], want.word)
			}
			k++
		}
	}
	if k != n {
		t.Fatalf("arrow reads %d words, want %d", n, k)
	}
}

// FuzzDelta tests that any integers come back from DELTA_BINARY_PACKED, as arrow reads it.
func FuzzDelta(f *testing.F) {
	f.Add(int64(0), int64(math.MaxInt64), int64(math.MinInt64), uint16(300))
	f.Add(int64(5), int64(5), int64(5), uint16(9))
	f.Fuzz(func(t *testing.T, a, b, c int64, n uint16) {
		rows := make([]mixed, min(int(n), 1000))
		for i := range rows {
			rows[i].n = []int64{a, b, c, a + int64(i)*b}[i%4] & math.MaxInt64 // whole takes a negative number for null
			rows[i].sparse = -1
			rows[i].figure = math.NaN()
		}
		dir := t.TempDir()
		folder, err := OpenFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		files := folder.Files()
		err = saveTable(files, "t.parquet", "test/2", mixedFields(), rows)
		if err := errors.Join(err, files.Keep(), folder.Close()); err != nil {
			t.Fatal(err)
		}
		byArrow(t, filepath.Join(dir, "t.parquet"), rows)
	})
}
