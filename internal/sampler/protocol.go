package sampler

import (
	"errors"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
	"github.com/ergon-energy/ergon/datamodel/store"
	"github.com/ergon-energy/ergon/internal/marks"
	"github.com/ergon-energy/ergon/sensors"
)

// Config says what the sampler reads and how often. It is the first message to the sampler.
type Config struct {
	Setup sensors.Setup `json:"setup"`
	// Node is the name of the machine, for the host column.
	Node string `json:"node"`
	// Interval is the time between beats. Intervals has other times for single backends, by name. If watchdog is shorter,
	// a source is read more often.
	Interval  time.Duration            `json:"interval"`
	Intervals map[string]time.Duration `json:"intervals,omitempty"`
	// Select is the ordered list of patterns of --sensors.
	Select []string `json:"select,omitempty"`
	// Align takes the first and the last reading of energy counters just after they have moved.
	Align bool `json:"align,omitempty"`
	// Baseline opens only the backends that a baseline needs.
	Baseline bool `json:"baseline,omitempty"`
	// Cautious leaves out the sources that may crash the sampler: those that only the sampler may read.
	Cautious bool `json:"cautious,omitempty"`
	// List asks for every sensor, with a current reading, in Ready.
	List bool `json:"list,omitempty"`
}

// Subject describes the target of a round.
type Subject struct {
	Target sensors.Target `json:"target"`
	// PID is the target's process id, or 0 if it is not known yet.
	PID int `json:"pid,omitempty"`
	// Spool is the folder for the spools. If it is nil, nothing is recorded, as for `ergon sensors`. It does not travel in the
	// order: its handle travels over the socket, if the system can.
	Spool *store.Folder `json:"-"`
	// SpoolPath is the path of Spool, and SpoolSent says that its handle travels. Attach sets both.
	SpoolPath string `json:"spool,omitempty"`
	SpoolSent bool   `json:"spool_sent,omitempty"`
	// Marks is the socket that the command sends its marks to. It is nil if there is none. Its descriptor travels as that of
	// Spool does, and MarksSent says so.
	Marks     *marks.Socket `json:"-"`
	MarksSent bool          `json:"marks_sent,omitempty"`
	// Outer is the path of the socket of the ergon around this one, to which the marks are handed on. It is empty if there is
	// none.
	Outer string `json:"outer,omitempty"`
	// Part is the number of the part that this sampler writes of each source's spool: how many samplers wrote before it.
	Part int `json:"part,omitempty"`
	// Ephemeral asks the sampler to remove the spool if the runner ends without the order end.
	Ephemeral bool `json:"ephemeral,omitempty"`
}

// believed returns an error if the configuration names what a program with rights that its caller lacks must not read or
// load. A caller can start the sampler by hand, so the options of ergon are not the only way to it.
func (c Config) believed(privileged bool) error {
	if privileged && (!c.shared() || c.Setup.NVML != "") {
		return errors.New("with capabilities that the caller lacks, the sampler reads only /proc and /sys and loads only the system's NVML")
	}
	return nil
}

// shared reports whether /proc and /sys are the kernel's own, whose files answer at once. Their sources can share a lane.
func (c Config) shared() bool { return c.Setup.Proc == "/proc" && c.Setup.Sys == "/sys" }

// Ready is the answer to the subject.
type Ready struct {
	Sources []SourceInfo      `json:"sources"`
	Missing []sensors.Absence `json:"missing"`
	Sensors []Listed          `json:"sensors,omitempty"`
	// Accounting is the source of the target's CPU time.
	Accounting string `json:"accounting,omitempty"`
	// Error says why nothing can be measured, such as an unknown sensor or an interval that is too short.
	Error string `json:"error,omitempty"`
}

// SourceInfo is one opened source.
type SourceInfo struct {
	Name     string        `json:"name"`
	Interval time.Duration `json:"interval"`
	Sensors  int           `json:"sensors"`
}

// Listed is a sensor with a current reading. Reading is nil if there is none.
type Listed struct {
	sensors.Sensor
	Backend  string        `json:"backend"`
	Interval time.Duration `json:"interval"`
	Reading  *float64      `json:"reading"`
}

// Begun is the answer to begin: the clock from which the readings count, for another sampler if this one dies.
type Begun struct {
	// Monotonic is in ns of the kernel's monotonic clock. It is 0 if the system does not tell it.
	Monotonic int64     `json:"monotonic"`
	Wall      time.Time `json:"wall"`
}

// Ended is the answer to end.
type Ended struct {
	Sources  []datamodel.SourceStats `json:"sources"`
	Warnings []datamodel.Warning     `json:"warnings"`
}

// request is a line to the sampler, and reply is a line from it. At most one field is set in addition to Op.
type request struct {
	Op      string   `json:"op"`
	Config  *Config  `json:"config,omitempty"`
	Subject *Subject `json:"subject,omitempty"`
	PID     int      `json:"pid,omitempty"`
	// Takeover comes with begin if the runner has read before.
	Takeover *Takeover `json:"takeover,omitempty"`
}

type reply struct {
	Op    string `json:"op"`
	Ready *Ready `json:"ready,omitempty"`
	Begun *Begun `json:"begun,omitempty"`
	Ended *Ended `json:"ended,omitempty"`
}

// The values of request.Op and reply.Op.
const (
	opConfig  = "config"
	opSubject = "subject"
	opReady   = "ready"
	opFollow  = "follow"
	opBegin   = "begin"
	opBegun   = "begun"
	opEnd     = "end"
	opEnded   = "ended"
	// opForget says that the runner lives and removes the spool itself. It may need the spool.
	opForget = "forget"
)
