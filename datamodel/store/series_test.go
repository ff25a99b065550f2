package store_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/units"
)

// sampleChart returns a chart of a few courses with gaps, peaks and strings that are not UTF-8.
func sampleChart(parts int) datamodel.Chart {
	chart := datamodel.Chart{Host: "node1", Step: 100 * time.Millisecond, Parts: parts}
	for k, name := range []struct {
		metric  string
		subject datamodel.CourseSubject
		device  string
		unit    units.Unit
	}{
		{datamodel.Power, datamodel.MachineCourse, "package-0", units.Watt},
		{datamodel.Power, datamodel.CommandCourse, "package-0", units.Watt},
		{datamodel.Memory, datamodel.CommandCourse, "", units.Byte},
	} {
		c := datamodel.NewCourse(parts)
		c.Metric, c.Subject, c.Device, c.Unit = name.metric, name.subject, name.device, name.unit
		for i := range parts {
			if i%7 == k {
				continue // a gap
			}
			v := float64(i*(k+1)) / 3
			c.Covered[i], c.Values[i], c.Least[i], c.Most[i] = 0.1, v, v, v
			if i%5 == 0 {
				c.Least[i], c.Most[i] = v/2, v*2
			}
		}
		chart.Courses = append(chart.Courses, c)
	}
	return chart
}

// equalCharts compares charts, with NaN equal to NaN.
func equalCharts(a, b []datamodel.Chart) bool {
	plain := func(list []datamodel.Chart) []datamodel.Chart {
		var out []datamodel.Chart
		for _, c := range list {
			var courses []datamodel.Course
			for _, course := range c.Courses {
				for _, values := range []*[]float64{&course.Values, &course.Least, &course.Most, &course.Covered} {
					*values = append([]float64{}, *values...)
					for i, v := range *values {
						if math.IsNaN(v) {
							(*values)[i] = -12345
						}
					}
				}
				course.Readings = 0
				courses = append(courses, course)
			}
			c.Courses = courses
			out = append(out, c)
		}
		return out
	}
	return reflect.DeepEqual(plain(a), plain(b))
}

// TestCharts tests that courses come back as they were saved, also those of several rounds and hosts and of several row
// groups. It tests that there is no file without a course.
func TestCharts(t *testing.T) {
	other := sampleChart(9)
	other.Round, other.Host, other.Step = 1, "node2", time.Second
	for _, want := range [][]datamodel.Chart{{sampleChart(5)}, {sampleChart(36_000), other}, {sampleChart(400_000)}, {{Host: "node1"}}, nil} {
		run := sampleRun()
		dir := saveRun(t, t.TempDir(), run)
		files := folderAt(dir).Files()
		if err := errors.Join(files.SaveCharts(want), files.SaveManifest(run)); err != nil {
			t.Fatal(err)
		}
		got, err := store.LoadCharts(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(want) == 0 || want[0].Parts == 0 {
			if _, err := os.Stat(filepath.Join(dir, store.SeriesFile)); err == nil || got != nil {
				t.Errorf("%v: a file without courses, %v", err, got)
			}
			continue
		}
		if !equalCharts(got, want) {
			t.Errorf("%d parts: the courses came back differently", want[0].Parts)
		}
	}
}
