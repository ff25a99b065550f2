package datamodel_test

import (
	"slices"
	"testing"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
)

func TestSortMarks(t *testing.T) {
	mark := func(at time.Duration, name string) datamodel.Mark { return datamodel.Mark{Name: name, At: at} }
	got := datamodel.SortMarks([]datamodel.Mark{mark(3, "c"), mark(1, "a"), mark(1, "b"), mark(3, "c"), mark(1, "a"), mark(2, "a")})
	want := []datamodel.Mark{mark(1, "a"), mark(1, "b"), mark(2, "a"), mark(3, "c")}
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}
