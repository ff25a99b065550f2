# What an installed ergon must do, whatever package it is from. The caller has VERSION, and a list of the package's files.
mkdir /tmp/use
cd /tmp/use
test "$(command -v ergon)" = /usr/bin/ergon
test "$(ergon version | head -n 1)" = "ergon v$VERSION"
ergon true
ergon report last | grep -q '^true '
bash -c '. /usr/share/bash-completion/completions/ergon; complete -p ergon'
fish -c 'complete -C "ergon repor"' | grep -q '^report'
zcat /usr/share/man/man1/ergon.1.gz | grep -q '^.TH'

# Nothing raises privileges: no setuid bit, no capability, no rule of udev, and nobody else may write the program.
test "$(stat -c '%u:%g %a' /usr/bin/ergon)" = '0:0 755'
test -z "$(getfattr -n security.capability /usr/bin/ergon 2>/dev/null)"
test -z "$(grep udev /dist/files)"
