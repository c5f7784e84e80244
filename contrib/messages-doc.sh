#!/bin/sh
# Write docs/messages.md from common/messages.def: sh contrib/messages-doc.sh
# With -c: only say whether it is up to date (exit status 1 if not).
set -eu
cd "$(dirname "$0")/.."

page() {
	awk '
	# The text of a comment in this line, or "".
	function comment(line) {
		if (!match(line, /\/\*.*\*\//))
			return ""
		line = substr(line, RSTART + 2, RLENGTH - 4)
		gsub(/^[ \t]+|[ \t]+$/, "", line)
		gsub(/\|/, "\\|", line)
		return line
	}
	# The arguments in parentheses, into a[]; how many.
	function arguments(line, a,    n, i) {
		sub(/^[^(]*\(/, "", line)
		sub(/\)[^)]*$/, "", line)
		n = split(line, a, ",")
		for (i = 1; i <= n; i++)
			gsub(/^[ \t]+|[ \t]+$/, "", a[i])
		return n
	}
	BEGIN {
		print "# Messages between our processes"
		print ""
		print "Made from common/messages.def by contrib/messages-doc.sh; do not edit."
		print ""
		print "A message is one datagram of a SOCK_SEQPACKET channel: one msgpack array `[number, fields...]` of at"
		print "most 64 KiB. Sender, receiver, state, number of descriptors, fields and ranges are checked on receipt;"
		print "a message that fails costs its sender the channel, and with it its life. `u64` is a number in the range,"
		print "`str` text without NUL and `bin` bytes of a length in the range, `u64s` so many numbers. State: whether"
		print "the receiver takes it before (START) or after (READY) the child has said `ready`, or always; RECORD: it is"
		print "never sent alone, but one of the records of a document. ANY: each role but the one at the other end."
		print "FABRIC: workers and system. CTL: bulkheadctl, at the control socket; what it does wrong costs it its connection."
	}
	/^\/\* -- / {
		line = $0
		sub(/^\/\* -- /, "", line)
		sub(/ *\*\/$/, "", line)
		print ""
		print "## " toupper(substr(line, 1, 1)) substr(line, 2)
		print ""
		print "| number | message | from | to | descriptors | state | fields | |"
		print "|---|---|---|---|---|---|---|---|"
	}
	/^MESSAGE\(/ {
		note = comment($0)
		line = $0
		sub(/\/\*.*/, "", line)
		arguments(line, m)
		fields = ""
	}
	/^[ \t]+FIELD\(/ {
		what = comment($0)
		line = $0
		sub(/\/\*.*/, "", line)
		arguments(line, f)
		fields = fields (fields == "" ? "" : "<br>") "`" f[2] "` " f[1] " " f[3] ".." f[4] (what == "" ? "" : ": " what)
	}
	/^END\(/ {
		printf "| %d | %s | %s | %s | %s | %s | %s | %s |\n", number++, m[1], tolower(m[2]), tolower(m[3]), m[4], m[5], fields, note
	}
	' common/messages.def
}

if [ "${1:-}" = -c ]; then
	page | cmp -s - docs/messages.md || { echo "docs/messages.md is not that of common/messages.def: run contrib/messages-doc.sh" >&2; exit 1; }
else
	page > docs/messages.md
fi
