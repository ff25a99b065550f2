package readers

import "math"

// near reports whether two sums are equal but for the order in which a reader adds up.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b)) }
