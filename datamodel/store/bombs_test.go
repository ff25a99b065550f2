package store_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/metadata"
	"github.com/apache/arrow/go/v15/parquet/schema"

	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/testenv"
)

// childBomb reads everything in a folder, whatever it is.
const childBomb = "bomb"

// bombChild reads a run, a spool folder or a tape. It returns the errors of all readers.
func bombChild(dir string) error {
	_, err := store.Load(dir)
	errs := []error{err, drain(dir)}
	if _, err := os.Stat(filepath.Join(dir, "tape.zip")); err == nil {
		_, err := store.OpenTape(filepath.Join(dir, "tape.zip"))
		errs = append(errs, err)
	}
	if folder, err := store.OpenFolder(filepath.Join(dir, store.SpoolFolder)); err == nil {
		defer folder.Close()
		_, err := store.LoadState(folder)
		_, err2 := store.FirstReadings(folder)
		seen, err3 := store.ReadProcesses(folder)
		errs = append(errs, err, err2, err3)
		if seen != nil && seen.Unnamed > 0 {
			errs = append(errs, fmt.Errorf("%d of %d processes have no name", seen.Unnamed, len(seen.Processes)))
		}
		var none *store.Files
		c, err := none.Convert(folder, nil)
		if err == nil {
			for _, s := range c.Spools() {
				errs = append(errs, s.Err)
			}
		}
	}
	status, _ := os.ReadFile("/proc/self/status")
	errs = append(errs, fmt.Errorf("%.3000s", status))
	return errors.Join(errs...)
}

// bombTable writes a Parquet file of so many row groups, each of so many rows. text makes the strings of a column; nil writes
// nulls.
func bombTable(t *testing.T, path, version string, columns []string, groups, rows int, dictionary bool, text map[string]string) {
	t.Helper()
	var fields schema.FieldList
	for _, c := range columns {
		name, kind, _ := strings.Cut(c, ":")
		switch kind {
		case "int":
			fields = append(fields, schema.NewInt64Node(name, parquet.Repetitions.Optional, -1))
		case "float":
			fields = append(fields, schema.NewFloat64Node(name, parquet.Repetitions.Optional, -1))
		default:
			node, err := schema.NewPrimitiveNodeLogical(name, parquet.Repetitions.Optional, schema.StringLogicalType{}, parquet.Types.ByteArray, 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			fields = append(fields, node)
		}
	}
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, fields, -1)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	meta := metadata.NewKeyValueMetadata()
	if err := meta.Append("ergon.schema", version); err != nil {
		t.Fatal(err)
	}
	w := file.NewParquetWriter(out, root, file.WithWriteMetadata(meta), file.WithWriterProps(parquet.NewWriterProperties(
		parquet.WithDictionaryDefault(dictionary), parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCompressionLevel(1),
		parquet.WithStats(false), parquet.WithDictionaryPageSizeLimit(63<<20), parquet.WithDataPageSize(8<<20), parquet.WithAllocator(memory.DefaultAllocator))))
	for group := range groups {
		g := w.AppendRowGroup()
		for i := range columns {
			c, err := g.NextColumn()
			if err != nil {
				t.Fatal(err)
			}
			levels := make([]int16, rows)
			name, _, _ := strings.Cut(columns[i], ":")
			switch c := c.(type) {
			case *file.Int64ColumnChunkWriter:
				var values []int64
				if name == "id" && rows == 1 {
					values, levels[0] = []int64{0}, 1
				}
				_, err = c.WriteBatch(values, levels, nil)
			case *file.Float64ColumnChunkWriter:
				_, err = c.WriteBatch(nil, levels, nil)
			case *file.ByteArrayColumnChunkWriter:
				var values []parquet.ByteArray
				if s, ok := text[name]; ok {
					for j := range levels {
						levels[j] = 1
						if name == "sensor" { // another one in each group
							s = fmt.Sprint(group) + s
						}
						values = append(values, parquet.ByteArray(s))
					}
				}
				_, err = c.WriteBatch(values, levels, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil { // closes the file as well
		t.Fatal(err)
	}
}

// TestBombs gives every reader a small file that would become large: long strings, many rows, one long word many times, many
// empty values, many files. Each is an error, and the reader's memory stays below 700 MiB. The digests are right: an attacker can
// make them.
func TestBombs(t *testing.T) {
	testenv.Long(t)
	testenv.Sequential(t)
	nodes := []string{"id:int", "parent:int", "path", "level", "name", "device", "unit", "kind", "source", "metadata"}
	metrics := []string{
		"run_id", "node_id:int", "path", "metric", "value:float", "unit", "aggregation", "provenance", "source", "reason", "count:int",
		"min:float", "max:float", "mean:float", "std:float", "gaps:int", "uncertainty:float", "at_most:float", "parts", "absence",
	}
	samples := []string{"host", "sensor", "time:int", "elapsed:float", "value:float"}
	empty := func(begin, one, end string, size int) []byte {
		return []byte(begin + strings.Repeat(one, size/len(one)) + strings.TrimSuffix(one, ",") + end)
	}
	write := func(path string, b []byte) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for name, plant := range map[string]func(dir string){
		"long strings": func(dir string) {
			bombTable(t, filepath.Join(dir, store.NodesFile), "ergon.nodes/1", nodes, 20, 1, false, map[string]string{"name": strings.Repeat("A", 60<<20)})
		},
		"one word many times": func(dir string) {
			bombTable(t, filepath.Join(dir, store.NodesFile), "ergon.nodes/1", nodes, 1, 1000, true, map[string]string{"name": strings.Repeat("A", 1<<20)})
		},
		"many metrics": func(dir string) {
			bombTable(t, filepath.Join(dir, store.MetricsFile), "ergon.metrics/1", metrics, 1, 1<<20, false, nil)
		},
		"metadata": func(dir string) {
			bombTable(t, filepath.Join(dir, store.NodesFile), "ergon.nodes/1", nodes, 1, 1, false,
				map[string]string{"metadata": string(empty(`{"meta":[`, `["",""],`, `]}`, 40<<20))})
		},
		"many names of sensors": func(dir string) {
			bombTable(t, filepath.Join(dir, store.SamplesFile), "ergon.samples/1", samples, 8, 1, false, map[string]string{"sensor": strings.Repeat("A", 60<<20)})
			_ = os.Remove(filepath.Join(dir, store.NodesFile))
		},
		"footer": func(dir string) {
			footer := append([]byte{0x29, 0xfc}, binary.AppendUvarint(nil, 15<<20)...) // a list of structs
			footer = append(footer, make([]byte, 15<<20)...)                           // all empty
			footer = append(footer, 0)
			b := append([]byte("PAR1"), footer...)
			b = append(binary.LittleEndian.AppendUint32(b, uint32(len(footer))), "PAR1"...)
			write(filepath.Join(dir, store.NodesFile), b)
		},
		"manifest": func(dir string) {
			write(filepath.Join(dir, store.ManifestFile), empty(`{"schema":"ergon.run/1","sources":[`, `{},`, `]}`, 15<<20))
		},
		"state": func(dir string) {
			write(filepath.Join(dir, store.SpoolFolder, "run.json"), empty(`{"run":{"schema":"ergon.run/1","missing":[`, `{},`, `]}}`, 15<<20))
		},
		"tape": func(dir string) {
			var b bytes.Buffer
			z := zip.NewWriter(&b)
			w, _ := z.Create("tape.json")
			_, _ = w.Write(empty(`{"schema":"ergon.tape/2","run":{"schema":"ergon.run/1","sources":[`, `{},`, `]}}`, 4<<20-200))
			_ = z.Close()
			write(filepath.Join(dir, "tape.zip"), b.Bytes())
		},
		"directory of a tape": func(dir string) {
			var b bytes.Buffer
			z := zip.NewWriter(&b)
			for i := range 60_000 {
				_, _ = z.Create(fmt.Sprintf("spool/%d", i))
			}
			_ = z.Close()
			write(filepath.Join(dir, "tape.zip"), b.Bytes())
		},
		"processes": func(dir string) {
			record := make([]byte, 128)
			// As processRecord: the count, the sizes of name and line, the flag of a record in use. All have the same text.
			binary.LittleEndian.PutUint64(record[8:], 1)
			binary.LittleEndian.PutUint16(record[104:], 0xffff)
			binary.LittleEndian.PutUint16(record[106:], 0xffff)
			binary.LittleEndian.PutUint32(record[108:], 1)
			binary.LittleEndian.PutUint32(record[124:], crc32.ChecksumIEEE(record[:124]))
			head := bytes.Clone(record)
			copy(head, "ergonpr1")
			binary.LittleEndian.PutUint32(head[124:], crc32.ChecksumIEEE(head[:124]))
			write(filepath.Join(dir, store.SpoolFolder, "processes.table"), append(head, bytes.Repeat(record, 99_000)...))
			write(filepath.Join(dir, store.SpoolFolder, "processes.texts"), bytes.Repeat([]byte("A"), 1<<17))
		},
		"many sensors": func(dir string) {
			for i := range 6 {
				s, err := store.CreateSpool(folderAt(dir+"/"+store.SpoolFolder), header(fmt.Sprint("source", i), 30_000))
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
		},
		"many files": func(dir string) {
			for i := range 1200 {
				s, err := store.CreateSpool(folderAt(dir+"/"+store.SpoolFolder), header(fmt.Sprint("source", i), 1))
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			run := sampleRun()
			dir := saveRun(t, t.TempDir(), run)
			if err := os.Mkdir(filepath.Join(dir, store.SpoolFolder), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := saveTree(dir, run, sampleTree(2)); err != nil {
				t.Fatal(err)
			}
			plant(dir)
			if name != "manifest" {
				if err := saveManifest(dir, run); err != nil {
					t.Fatal(err)
				}
			}
			c := exec.CommandContext(t.Context(), os.Args[0])
			c.Env = append(os.Environ(), childVariable+"="+childBomb, dirVariable+"="+dir)
			out, err := c.CombinedOutput()
			told := strings.Contains(string(out), "MiB") || strings.Contains(string(out), "more than") || strings.Contains(string(out), "have no name")
			if name == "many names of sensors" { // batch by batch, they can be read
				told = true
			}
			if err == nil || !told {
				t.Errorf("%v: %.500s", err, out)
			}
			_, peak, _ := strings.Cut(string(out), "VmHWM:")
			most := 0
			if _, err := fmt.Sscan(peak, &most); err != nil {
				t.Skipf("no VmHWM: %.500s", out)
			}
			if most >>= 10; most > 700 {
				t.Errorf("%d MiB of memory: %.500s", most, out)
			} else {
				t.Logf("%d MiB: %.300s", most, out)
			}
		})
	}
}
