# Installs the package ergon with rpm, uses it, and removes it. rpm knows nothing of this system's libraries, hence --nodeps.
rpm -qp --requires /dist/ergon-*.rpm | grep -q '^libc.so.6(GLIBC_2\.[0-9]*)(64bit)'
rpm -i --nodeps /dist/ergon-*.rpm
rpm -ql ergon >/dist/files
test -z "$(rpm -V --nodeps ergon)"
. /dist/use.sh
grep -q '^/usr/share/zsh/site-functions/_ergon$' /dist/files
test "$(rpm -q --licensefiles ergon | wc -l)" = 2
rpm -e ergon
while read -r file; do
	test ! -f "$file"
done </dist/files
