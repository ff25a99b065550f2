package sampler

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ergon-energy/ergon/datamodel/store"
)

const (
	// filesFD is the descriptor of the sampler's end of the socket for descriptors.
	filesFD = 3
	// filesAtOnce is the most descriptors in one message (SCM_MAX_FD in unix(7)).
	filesAtOnce = 253
)

// filesPair makes the socket. ours is the runner's end. The sampler gets theirs as filesFD.
func filesPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socket pair: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "files"), os.NewFile(uintptr(fds[1]), "files"), nil
}

// sendFiles sends the descriptors. It does not wait for the receiver. Close may be called meanwhile: Control keeps the socket open
// until its function returns, so its number cannot become another file's.
func sendFiles(to *os.File, files []int) error {
	if len(files) == 0 {
		return nil
	}
	if to == nil {
		return errors.New("hand over files: the sampler has no socket for them")
	}
	socket, err := to.SyscallConn()
	if err != nil {
		return fmt.Errorf("hand over files: %w", err)
	}
	for len(files) > 0 {
		n := min(len(files), filesAtOnce)
		var sent error
		err := socket.Control(func(fd uintptr) {
			sent = unix.Sendmsg(int(fd), []byte{0}, unix.UnixRights(files[:n]...), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		})
		if err := errors.Join(err, sent); err != nil {
			return fmt.Errorf("hand over files: %w", err)
		}
		files = files[n:]
	}
	return nil
}

// sendFolder sends the handle of a folder. So the sampler writes to this folder, whatever its path leads to by then.
func sendFolder(to *os.File, f *store.Folder) error {
	if to == nil {
		return nil // the sampler opens it by its path
	}
	return sendFiles(to, []int{f.Descriptor()})
}

// receiveFolder receives the handle of a folder.
func receiveFolder(path string) (*store.Folder, error) {
	files, err := receiveFiles([]int{1})
	if err != nil {
		return nil, err
	}
	return store.Inherit(files[0][0], path), nil
}

// receiveFiles receives the descriptors of each source; counts has their numbers.
func receiveFiles(counts []int) (files [][]int, err error) {
	files = make([][]int, len(counts))
	for i, count := range counts {
		for len(files[i]) < count {
			got, err := receive()
			if err != nil {
				return files, fmt.Errorf("take over files: %w", err)
			}
			files[i] = append(files[i], got...)
		}
	}
	return files, nil
}

// receive receives the descriptors of one message.
func receive() ([]int, error) {
	var data [1]byte
	space := make([]byte, unix.CmsgSpace(4*filesAtOnce))
	_, n, _, _, err := unix.Recvmsg(filesFD, data[:], space, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(space[:n])
	if err != nil {
		return nil, err
	}
	var files []int
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return nil, err
		}
		files = append(files, fds...)
	}
	if len(files) == 0 {
		return nil, errors.New("a message without files")
	}
	return files, nil
}

// closeFiles closes descriptors that no source takes over.
func closeFiles(files []int) {
	for _, fd := range files {
		_ = unix.Close(fd)
	}
}
