# alone.sh ROOT: runs the static ergon in a root folder that has only it and busybox, as on a system with musl. The caller gives
# a mount namespace.
set -eux
cd "$1"
mkdir proc sys
mount -t proc proc proc
mount --rbind /sys sys
chroot . /ergon -- /bin/busybox true
chroot . /ergon report last | grep '^/bin/busybox true '
chroot . /ergon sensors | grep 'nvml.*built without cgo'
chroot . /ergon doctor | grep 'note: this is the build without cgo'
