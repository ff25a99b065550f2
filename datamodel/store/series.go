package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/parquet"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/units"
)

const (
	seriesSchema = "ergon.series/2"
	// courseRows is the number of rows in a row group of series.parquet. They are in memory together.
	courseRows = 128 << 10
	// chartsKey is the key of the list of charts in the file's metadata.
	chartsKey = "ergon.charts"
	// chartParts bounds the parts of a chart that is read back. It is many times what package account makes.
	chartParts = 1 << 20
	// chartLimit bounds what LoadCharts keeps, in bytes: some hundred courses of an hour at 10 Hz.
	chartLimit = 512 << 20
)

// seriesAbout describes the columns of series.parquet in their order.
func seriesAbout() []columnAbout {
	word, number := about{kind: typeByteArray, notNull: true}, about{kind: typeDouble, notNull: true}
	const same = "it differs from value by less than 0.1 %"
	return []columnAbout{
		{"round", about{kind: typeInt64, notNull: true, meaning: "round, from 0"}},
		{"host", word.says("host")},
		{"metric", word.says("what the course shows; see the metrics of series.parquet below")},
		{"subject", word.says("whose course: command, other, idle or machine")},
		{"device", word.says(`device; "" if the course is of the subject as a whole`)},
		{"unit", word.says("unit of value, min and max, as a UCUM code")},
		{"elapsed", about{
			kind: typeDouble, notNull: true, unit: units.Second,
			meaning: "begin of the part on the clock of elapsed in samples.parquet",
		}},
		{"covered", about{
			kind: typeDouble, notNull: true, unit: units.Second,
			meaning: "time in the part that has readings",
		}},
		{"value", number.says("mean over that time; value × covered adds up to the whole amount")},
		{"min", about{kind: typeDouble, null: same, meaning: "least reading or rate in the part"}},
		{"max", about{kind: typeDouble, null: same, meaning: "greatest reading or rate in the part"}},
	}
}

// SaveCharts adds the courses of a run to the batch, as series.parquet: one row for each part of a course that has readings.
// Without such a part there is no file.
func (b *Files) SaveCharts(charts []datamodel.Chart) error {
	rows := 0
	var infos []chartInfo
	for _, c := range charts {
		infos = append(infos, chartInfo{c.Round, strings.ToValidUTF8(c.Host, "\uFFFD"), int64(c.Step), c.Parts})
		for _, course := range c.Courses {
			for _, covered := range course.Covered {
				if covered > 0 {
					rows++
				}
			}
		}
	}
	if rows == 0 {
		return nil
	}
	path := filepath.Join(b.dir.path, SeriesFile)
	text, err := json.Marshal(infos)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	pairs := []string{
		schemaKey, seriesSchema, chartsKey, string(text),
	}
	return b.put(SeriesFile, func(w io.Writer) error {
		s := &seriesWriter{longWriter: longWriter{out: w, name: path, columns: seriesAbout(), pairs: pairs, packer: b.packer}}
		for _, c := range charts {
			for _, course := range c.Courses {
				if err := s.add(c, course); err != nil {
					return err
				}
			}
		}
		return s.flush(true)
	})
}

// seriesWriter collects rows to row groups and writes them.
type seriesWriter struct {
	longWriter
	words words
	// index holds the words of each row: host, metric, subject, device, unit.
	index                   [5][]int32
	round                   []int64
	elapsed, covered, value []float64
	least, most             []float64 // of the rows that have one
	leastLevels, mostLevels []int16   // 1 if the row has one
}

// add appends the parts of a course that have readings. A row group is closed before a course rather than within it.
func (s *seriesWriter) add(c datamodel.Chart, course datamodel.Course) error {
	if len(s.value)+c.Parts > courseRows {
		if err := s.flush(false); err != nil {
			return err
		}
	}
	var numbers [5]int32
	for i, word := range []string{c.Host, course.Metric, string(course.Subject), course.Device, string(course.Unit)} {
		numbers[i] = s.words.number(word)
	}
	for i, v := range course.Values {
		if !(course.Covered[i] > 0) {
			continue
		}
		for k, n := range numbers {
			s.index[k] = append(s.index[k], n)
		}
		s.round = append(s.round, int64(c.Round))
		s.elapsed = append(s.elapsed, (time.Duration(i) * c.Step).Seconds())
		s.covered = append(s.covered, course.Covered[i])
		s.value = append(s.value, v)
		s.least, s.leastLevels = other(s.least, s.leastLevels, course.Least[i], v)
		s.most, s.mostLevels = other(s.most, s.mostLevels, course.Most[i], v)
	}
	return nil
}

// other appends an extreme, null if it says no more than the value. Readings are seldom exactly at the ends of a part, so
// the mean and the extremes of one reading differ a little.
func other(values []float64, levels []int16, extreme, value float64) ([]float64, []int16) {
	const noMore = 1e-3
	if math.IsNaN(extreme) || math.Abs(extreme-value) <= noMore*math.Abs(value) {
		return values, append(levels, 0)
	}
	return append(values, extreme), append(levels, 1)
}

// flush writes the collected rows as a row group.
func (s *seriesWriter) flush(last bool) error {
	columns := []*cells{{ints: s.round}}
	for i := range s.index {
		columns = append(columns, &cells{index: s.index[i], list: s.words.list})
	}
	columns = append(columns, &cells{floats: s.elapsed}, &cells{floats: s.covered}, &cells{floats: s.value},
		&cells{floats: s.least, levels: s.leastLevels}, &cells{floats: s.most, levels: s.mostLevels})
	err := s.group(columns, len(s.value), last)
	for i := range s.index {
		s.index[i] = s.index[i][:0]
	}
	s.round, s.elapsed, s.covered, s.value = s.round[:0], s.elapsed[:0], s.covered[:0], s.value[:0]
	s.least, s.most, s.leastLevels, s.mostLevels = s.least[:0], s.most[:0], s.leastLevels[:0], s.mostLevels[:0]
	return err
}

// chartInfo describes a chart in the metadata of series.parquet.
type chartInfo struct {
	Round int    `json:"round"`
	Host  string `json:"host"`
	// Step is the length of a part in ns, and Parts is the number of parts.
	Step  int64 `json:"step_ns"`
	Parts int   `json:"parts"`
}

// LoadCharts reads the courses of a run from its folder. There are none if the run was too short for them, or if an older
// ergon made it.
func LoadCharts(dir string) ([]datamodel.Chart, error) { return unmoved(dir, chartsOf) }

func chartsOf(dir string) ([]datamodel.Chart, error) {
	run, err := LoadManifest(dir)
	if err != nil {
		return nil, err
	}
	left := budget(chartLimit)
	charts, err := loadCharts(folderFiles{dir: dir, files: run.Files, left: &left})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return charts, err
}

// loadCharts reads series.parquet.
func loadCharts(in folderFiles) (charts []datamodel.Chart, err error) {
	path := filepath.Join(in.dir, SeriesFile)
	defer guard("read "+path, &err)
	p, err := openParquet(in, SeriesFile, seriesSchema)
	if err != nil {
		return nil, err
	}
	defer p.close()
	var infos []chartInfo
	text := p.r.MetaData().KeyValueMetadata().FindValue(chartsKey)
	if text == nil {
		return nil, fmt.Errorf("read %s: no %s: %w", path, chartsKey, ErrForeign)
	}
	if err := errors.Join(in.left.take(jsonCost([]byte(*text))), json.Unmarshal([]byte(*text), &infos)); err != nil {
		return nil, fmt.Errorf("read %s: %s: %w", path, chartsKey, err)
	}
	for _, i := range infos {
		if i.Step <= 0 || i.Parts < 0 || i.Parts > chartParts {
			return nil, fmt.Errorf("read %s: %d parts of %d ns: %w", path, i.Parts, i.Step, ErrForeign)
		}
		charts = append(charts, datamodel.Chart{Round: i.Round, Host: i.Host, Step: time.Duration(i.Step), Parts: i.Parts})
	}
	for g := range p.r.NumRowGroups() {
		if err := readCourses(p, g, charts, in.left); err != nil {
			return nil, err
		}
	}
	return charts, nil
}

// readCourses reads the courses of a row group into their charts.
func readCourses(p *parquetFile, g int, charts []datamodel.Chart, left *budget) error {
	var words [5]*column[parquet.ByteArray]
	var numbers [5]*column[float64]
	round, err := openColumn[int64](p, g, "round", batchRows)
	if err != nil {
		return err
	}
	for i, name := range []string{"host", "metric", "subject", "device", "unit"} {
		if words[i], err = openColumn[parquet.ByteArray](p, g, name, batchRows); err != nil {
			return err
		}
	}
	for i, name := range []string{"elapsed", "covered", "value", "min", "max"} {
		if numbers[i], err = openColumn[float64](p, g, name, batchRows); err != nil {
			return err
		}
	}
	var last [5]string // of the row before
	var chart *datamodel.Chart
	var course *datamodel.Course
	for {
		rounds, err := round.next(0)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var texts [5][]parquet.ByteArray
		var values [5][]float64
		for i := range words {
			if texts[i], err = words[i].next(nil); err != nil || len(texts[i]) != len(rounds) {
				return errors.Join(fmt.Errorf("read %s: columns of different length", p.path), err)
			}
			if values[i], err = numbers[i].next(math.NaN()); err != nil || len(values[i]) != len(rounds) {
				return errors.Join(fmt.Errorf("read %s: columns of different length", p.path), err)
			}
		}
		for row := range rounds {
			same := course != nil && chart.Round == int(rounds[row])
			for i := range texts {
				same = same && string(texts[i][row]) == last[i]
			}
			if !same {
				for i := range texts {
					last[i] = string(texts[i][row])
				}
				if chart, course, err = newCourse(charts, int(rounds[row]), last, left); err != nil {
					return fmt.Errorf("read %s: row group %d: %w", p.path, g, err)
				}
			}
			i := int(math.Round(values[0][row] / chart.Step.Seconds()))
			if !(values[0][row] >= 0) || i >= chart.Parts {
				return fmt.Errorf("read %s: a part at %v s: %w", p.path, values[0][row], ErrForeign)
			}
			least, most := values[3][row], values[4][row]
			if math.IsNaN(least) {
				least = values[2][row]
			}
			if math.IsNaN(most) {
				most = values[2][row]
			}
			course.Covered[i], course.Values[i], course.Least[i], course.Most[i] = values[1][row], values[2][row], least, most
		}
	}
}

// newCourse adds an empty course to the chart of its round and host.
func newCourse(charts []datamodel.Chart, round int, words [5]string, left *budget) (*datamodel.Chart, *datamodel.Course, error) {
	at := slices.IndexFunc(charts, func(c datamodel.Chart) bool { return c.Round == round && c.Host == words[0] })
	if at < 0 {
		return nil, nil, fmt.Errorf("no chart of host %q in round %d: %w", words[0], round, ErrForeign)
	}
	chart := &charts[at]
	if err := left.take(int64(chart.Parts)*4*8 + 512); err != nil {
		return nil, nil, err
	}
	c := datamodel.NewCourse(chart.Parts)
	c.Metric, c.Subject, c.Device, c.Unit = words[1], datamodel.CourseSubject(words[2]), words[3], units.Unit(words[4])
	chart.Courses = append(chart.Courses, c)
	return chart, &chart.Courses[len(chart.Courses)-1], nil
}
