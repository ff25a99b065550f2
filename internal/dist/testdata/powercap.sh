# Installs the package ergon-powercap, does what its rule says for a counter, and removes the package. INSTALL and REMOVE are
# the words for dpkg or rpm.
if getent group ergon; then groupdel ergon; fi
mount -t tmpfs tmpfs /sys
zone=/class/powercap/intel-rapl:0
mkdir -p "/sys$zone"
echo 1 >"/sys$zone/energy_uj"
chmod 0400 "/sys$zone/energy_uj"

$INSTALL /dist/ergon-powercap*
getent group ergon | grep -q ':$' # it has no members
rule=/usr/lib/udev/rules.d/70-ergon-powercap.rules
grep -o 'RUN+="[^"]*"' $rule | sed "s|RUN+=||; s|\"||g; s|%p|$zone|" >/dist/run
sh -eux /dist/run
test "$(stat -c '%G %a' "/sys$zone/energy_uj")" = 'ergon 440'

$REMOVE ergon-powercap
test "$(stat -c '%G %a' "/sys$zone/energy_uj")" = 'root 400'
test ! -e $rule
