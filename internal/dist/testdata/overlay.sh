# overlay.sh FOLDER SCRIPT FILE...: runs a script as root in a copy of this system, which is thrown away. The script finds itself
# and the files in /dist. The caller gives a mount namespace (unshare --mount), in which all mounts end.
set -eu
work=$1 script=$2
shift 2
mount -t tmpfs tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$work/root"
for kernel in proc sys dev; do
	mount --rbind "/$kernel" "$work/root/$kernel"
done
mkdir "$work/root/dist"
cp "$@" "$work/root/dist"
cp "$script" "$work/root/dist/script"
cd "$work/root"
exec chroot . /bin/sh -eux /dist/script
