#!/bin/sh
# man/bulkhead.conf.5 from common/settings.def:  sh contrib/settings-doc.sh >man/bulkhead.conf.5
cd "$(dirname "$0")/.." || exit 1

cat <<'END'
.\" Made by contrib/settings-doc.sh: change that, or common/settings.def.
.Dd November 21, 2026
.Dt BULKHEAD.CONF 5
.Os
.Sh NAME
.Nm bulkhead.conf
.Nd configuration of bulkhead
.Sh DESCRIPTION
.Xr bulkhead 8
reads the file named by its flag
.Fl c .
The language is that of nats-server 2.x.
What the command line says wins over the file; an address or port given there
takes the place of all of the file's
.Cm listen .
.Pp
A file is a list of entries
.Ar key value ,
with
.Sq = ,
.Sq \&:
or a blank in between, each ended by a new line, a comma or a semicolon.
The whole may stand in braces, so that JSON is understood.
Comments begin with
.Sq #
or
.Sq //
and end with the line.
Known keys are matched without regard to case.
Of a key that comes twice the last one counts.
.Pp
Values are
.Bl -tag -width Ds
.It booleans
true, yes, on, false, no, off, in any case, without quotes.
.It whole numbers
with or without a suffix directly behind them: k, m, g, t, p, e for powers of 1000, and
kb, mb, ... or ki, mi, ... or kib, mib, ... for powers of 1024.
.It durations
as \(dq10s\(dq, \(dq1m30s\(dq, \(dq250ms\(dq; units are ns, us, ms, s, m and h.
A number alone is taken as seconds, with a warning.
.It text
without quotes up to a blank, a new line or one of
.Li ", ; ] }" ;
in single quotes as it is; in double quotes with the escapes
.Li "\ex41 \et \en \er \e\(dq \e\e" .
.It lists
in brackets, their items ended by a comma or a new line.
.It blocks
entries in braces.
.El
.Pp
A port of \-1 is any free one.
0 is the default, for every setting that cannot be 0.
.Pp
What is wrong is told all at once, one line each:
.Dl file:line:column: what was found, what was expected
and nothing of the file takes effect.
.Pp
Variables, include and text in parentheses are refused by name, as are the
settings of nats-server for what does not exist here yet.
.Sh SETTINGS
.Bl -tag -width Ds
END

awk '
function value(kind, v) {
	gsub(/^"|"$/, "", v)
	if (kind == "boolean")
		return v == "1" ? "true" : "false"
	if (v == "" || v == "NULL")
		return ""
	return kind == "duration" ? v "s" : v
}
/^ALIAS\(/ {
	line = $0
	sub(/^ALIAS\(/, "", line); sub(/\).*/, "", line)
	split(line, part, /, */)
	also[part[2]] = also[part[2]] " ,\n.Cm " part[1]
}
/^SETTING\(/ {
	line = $0
	help = line
	sub(/"\)$/, "", help); sub(/.*"/, "", help)
	sub(/^SETTING\(/, "", line)
	split(line, part, /, */)
	if (line ~ /, OWN,/)
		next
	n++
	name[n] = part[2]; kind[n] = part[1]; text[n] = help
	usual[n] = value(part[1], part[3])
}
END {
	for (i = 1; i <= n; i++) {
		type = kind[i] == "integer" ? "number" : kind[i]
		if (name[i] == "http") {
			type = "address"
			text[i] = "\"host:port\" or a port: serve monitoring there"
			usual[i] = ""
		}
		if (name[i] == "listen")
			text[i] = "\"host:port\", \":port\", \"[address]:port\" or a port, the same as host and port; a list of them makes several listeners"
		printf ".It Cm %s%s Ar %s\n", name[i], also[name[i]] == "" ? "" : "", type
		s = text[i]
		gsub(/-1/, "\\-1", s)
		printf "%s%s.\n", toupper(substr(s, 1, 1)), substr(s, 2)
		if (usual[i] != "")
			printf "The default is %s.\n", usual[i]
		if (also[name[i]] != "") {
			list = substr(also[name[i]], 4)
			printf "Also called\n%s .\n", list
		}
	}
}' common/settings.def

cat <<'END'
.El
.Sh EXAMPLES
.Bd -literal
listen: 0.0.0.0:4222
http: localhost:8222
max_payload: 1MB
ping_interval: "2m"
log_file: "/var/log/bulkhead.log"
.Ed
.Sh SEE ALSO
.Xr bulkhead 8 ,
.Xr bulkhead-config 8
END
