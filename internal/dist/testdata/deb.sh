# Installs the package ergon with dpkg, uses it, and removes it.
dpkg --no-triggers --path-include='/usr/share/*' -i /dist/ergon_*.deb
dpkg -L ergon >/dist/files
. /dist/use.sh
zsh -c 'autoload -Uz compinit; compinit -D -u; test "$_comps[ergon]" = _ergon'
test -s /usr/share/doc/ergon/copyright
dpkg --no-triggers -r ergon
while read -r file; do
	test ! -f "$file"
done </dist/files
