# Tell ergon which part of a script's work runs, so that each part has its own cost: `. ergon_marks.sh`, then
#
#     ergon_mark begin build
#     make
#     ergon_mark end build
#
# Without ergon around the script it does nothing. `ergon mark --help` lists what it can tell.
ergon_mark() {
	if [ -n "${ERGON_SOCKET-}" ] && command -v ergon >/dev/null 2>&1; then
		ergon mark "$@"
	fi
}
