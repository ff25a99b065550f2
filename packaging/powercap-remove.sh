#!/bin/sh
# Before the package is removed, but not for an upgrade: gives the counters back to root alone. The group stays, because it may
# have members.
set -e
case "${1-}" in
remove | 0) ;; # what dpkg and rpm say
*) exit 0 ;;
esac
for file in /sys/class/powercap/*/energy_uj; do
	[ ! -e "$file" ] || { chgrp root "$file" && chmod g-r "$file"; } || :
done
