//go:build !linux

package marks

import (
	"errors"
	"fmt"
	"time"

	"github.com/ergon-energy/ergon/datamodel"
)

// Socket is for Linux. Other systems do not say who sent a datagram.
type Socket struct{}

// sender is who sent a datagram.
type sender struct{ pid int }

func unsupported() error {
	return fmt.Errorf("marks of the command: %w on this system", errors.ErrUnsupported)
}

// Owner is the user and the group that a socket is for.
type Owner struct{ UID, GID int }

// Listen says that there are no marks on this system.
func Listen(*Owner) (*Socket, error) { return nil, unsupported() }

// Over is never called on this system.
func Over(int) *Socket { return &Socket{} }

// Path is empty on this system.
func (s *Socket) Path() string { return "" }

// FD is unknown on this system.
func (s *Socket) FD() (int, error) { return -1, unsupported() }

// Close does nothing on this system.
func (s *Socket) Close() error { return nil }

// Stop does nothing on this system.
func (s *Socket) Stop() {}

// Again does nothing on this system.
func (s *Socket) Again() {}

// Receive says that there are no marks on this system.
func (r *Receiver) Receive(*Socket, time.Time) error { return unsupported() }

// Forwarder is for Linux.
type Forwarder struct{}

// Forward says that there are no marks on this system.
func Forward(string, time.Time) (*Forwarder, error) { return nil, unsupported() }

// Put does nothing on this system.
func (f *Forwarder) Put([]datamodel.Mark) {}

// Close does nothing on this system.
func (f *Forwarder) Close() int { return 0 }

// Monotonic is unknown on this system.
func Monotonic() int64 { return 0 }

// Send says that there are no marks on this system.
func Send(string, []byte) error { return unsupported() }
