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
A number alone is taken as seconds, with a warning, which
.Fl t
makes an error, as it does in nats-server; for
.Cm lame_duck_duration
and
.Cm lame_duck_grace_period
it is one in any case.
.It dates
as 2026-11-21T08:44:13Z.
.It text
without quotes up to a blank, a new line or one of
.Li ", ; ] }" ;
in single quotes as it is; in double quotes with the escapes
.Li "\ex41 \et \en \er \e\(dq \e\e" ;
in parentheses, the last of which is a line of its own, as it is, with its line ends.
Text that begins with a digit, a minus or a point may need quotes.
.It lists
in brackets, their items ended by a comma or a new line.
.It maps
entries in braces.
.It variables
.Sm off
.Li $ Ar name
.Sm on
without quotes: the value of an entry
.Ar name
that comes before, in the same map or one around it, the innermost first;
else of the variable of the environment of this name, read as a value of a file would be;
else of such an entry whose name differs in case.
A word that begins with
.Li $2a$
is no variable but the hash of a password.
A key that a variable stood for need not be one of the settings below.
.El
.Pp
.Ic include Ar path
on its own, with or without quotes around the path, stands for the entries of another file.
The path begins at the folder of the file that it is in, even with a slash before it.
The last part may be a pattern of
.Xr glob 7 :
the files that match come in the order of their names, and there may be none.
An included file has its own variables; once it is read, its entries are like any other.
Files that include themselves, more than 100 levels of files and more than 4096 files are refused,
as are files above 16 MiB, above 64 MiB in all, and an included path that is not a regular file.
.Bd -literal -offset indent
LIMIT: 8MB
max_payload: $LIMIT
server_name: $HOSTNAME
include conf.d/*.conf
.Ed
.Pp
A port of \-1 is any free one.
0 is the default, for every setting that cannot be 0.
.Pp
What is wrong is told all at once, one line each:
.Dl file:line:column: what was found, what was expected
and nothing of the file takes effect.
.Fl t
also finds what nats-server finds only when it starts:
ports that there cannot be, a
.Cm max_payload
above
.Cm max_pending ,
a
.Cm lame_duck_grace_period
above
.Cm lame_duck_duration .
A setting of nats-server for what does not exist here yet is refused by its name,
unless it is false, 0, empty or \(dqdisabled\(dq and so asks for nothing.
.Sh SETTINGS
Numbers above what
.Cm max_connections ,
.Cm max_subscriptions ,
.Cm max_traced_msg_len ,
.Cm logfile_max_num
and
.Cm ping_max
can be are the most that they can be;
of the first four and of
.Cm logfile_size_limit ,
numbers below 0 are 0.
.Bl -tag -width Ds
END

awk '
function unquoted(v) {
	gsub(/^"|"$/, "", v)
	return v
}
function value(kind, v) {
	v = unquoted(v)
	if (kind == "boolean")
		return v == "1" ? "true" : "false"
	if (v == "" || v == "NULL")
		return ""
	return kind == "duration" ? v "s" : v
}
# The numbers that settings.def writes as C does.
function number(v) {
	if (v == "UINT32_MAX")
		return "4294967295"
	if (v == "UINT32_MAX - 1000")
		return "4294966295"
	if (v == "INT32_MAX")
		return "2147483647"
	if (v == "1 << 30")
		return "1073741824"
	return v
}
function range(kind, least, most, unit) {
	if (kind == "boolean")
		return ""
	if (kind == "text" || kind == "list") {
		if (least == most)
			return ""
		return (kind == "list" ? "Each up to " : "Up to ") most " bytes."
	}
	unit = unit == "" || kind == "duration" ? "" : " " unit
	if (kind == "duration") {
		least = least "s"
		most = most "s"
	}
	if (most == "INT64_MAX")
		return "From " least unit " on."
	return "From " least " to " most unit "."
}
/^ALIAS\(/ {
	line = $0
	sub(/^ALIAS\(/, "", line); sub(/\).*/, "", line)
	split(line, part, /, */)
	also[part[2]] = also[part[2]] " ,\n.Cm " part[1]
}
/^BLOCK\(/ {
	line = $0
	help = line
	sub(/"\)$/, "", help); sub(/.*"/, "", help)
	sub(/^BLOCK\(/, "", line)
	split(line, part, /, */)
	n++
	name[n] = part[1]; kind[n] = part[1] ~ /^no_auth/ ? "text" : part[1] ~ /^no_/ ? "boolean" : "block"
	text[n] = help
	live[n] = part[2] ~ /LIVE/
}
/^SETTING\(/ {
	line = $0
	help = line
	sub(/"\)$/, "", help); sub(/.*"/, "", help)
	sub(/^SETTING\(/, "", line)
	split(line, part, /, */)
	if (part[7] ~ /OWN/)
		next
	n++
	name[n] = part[2]; kind[n] = part[1]; text[n] = help
	usual[n] = value(part[1], part[3])
	bounds[n] = range(part[1], number(part[4]), number(part[5]), unquoted(part[6]))
	live[n] = part[7] ~ /LIVE/
}
# What a file may say is more than what is kept of it.
function differs(i) {
	if (name[i] == "http") {
		type = "address"
		text[i] = "\"host:port\" or a port: serve monitoring there; 0: do not"
		usual[i] = ""
	}
	if (name[i] == "listen") {
		type = "address"
		text[i] = "\"host:port\", \":port\", \"[address]:port\" or a port, the same as host and port; \"unix:/path\"; a list of them makes several listeners"
		bounds[i] = ""
	}
	if (name[i] == "port" || name[i] == "http_port")
		bounds[i] = "From -1, any free one, to 65535; 0 is " (name[i] == "port" ? "the default." : "none.")
	if (name[i] == "max_payload")
		bounds[i] = bounds[i] " -1 is the most."
	if (name[i] == "sandbox" || name[i] == "process_users")
		bounds[i] = ""
	if (name[i] == "write_timeout" || name[i] == "log_format")
		bounds[i] = ""
	if (name[i] == "write_timeout")
		usual[i] = ""
	if (name[i] == "user" || name[i] == "group")
		type = "text or number"
}
END {
	for (i = 1; i <= n; i++) {
		type = kind[i] == "integer" ? "number" : kind[i] == "list" ? "text or list" : kind[i]
		differs(i)
		printf ".It Cm %s Ar %s\n", name[i], type
		s = text[i]
		printf "%s%s.\n", toupper(substr(s, 1, 1)), substr(escaped(s), 2)
		if (bounds[i] != "")
			printf "%s\n", escaped(bounds[i])
		if (usual[i] != "")
			printf "The default is %s.\n", usual[i]
		printf "%s\n", live[i] ? "A reload changes it." : "Only a restart changes it."
		if (also[name[i]] != "") {
			list = substr(also[name[i]], 4)
			printf "Also called\n%s .\n", list
		}
	}
}
function escaped(s) {
	gsub(/-1/, "\\-1", s)
	return s
}' common/settings.def

cat <<'END'
.El
.Sh USERS
.Cm authorization
says who may connect to the global account, $G:
one user with
.Cm user
and
.Cm password ,
or who has the
.Cm token ,
or the list
.Cm users .
.Cm timeout ,
in seconds or as a duration, is
.Cm auth_timeout .
Without it, and without users in
.Cm accounts ,
everybody may connect.
.Pp
An entry of
.Cm users
is a block of
.Bl -tag -width Ds
.It Cm user , username No and Cm password , pass
Passwords and tokens may be bcrypt hashes, which
.Ql nats server passwd
and
.Xr mkpasswd 1
make; one that begins with $2a$, $2b$, $2x$ or $2y$ has to be one.
.It Cm nkey
the public key of a user in the place of both.
.It Cm permissions
what it may do; see below.
.Cm default_permissions
of
.Cm authorization
or the account are for those without.
.It Cm allowed_connection_types , connection_types , clients
STANDARD, WEBSOCKET, LEAFNODE, LEAFNODE_WS, MQTT, MQTT_WS, IN_PROCESS, one or a list; without it all.
.It Cm limits
as of an account, for all clients that are this user.
.It Cm expires
date and time after which it is no user any more, as 2027-01-02T15:04:05Z.
.It Cm unix_user , unix_group
name or number of a user or group of the host: whoever connects to a Unix socket as that one is this user.
Without
.Cm password
nobody else is, but for those whom
.Cm verify_and_map
takes for it.
.El
.Pp
.Cm no_auth_user
names the user that a client is who says nothing of itself.
Where only the system account has users, and there is no block
.Cm authorization ,
clients that say nothing of themselves are in the global account, with all permissions.
.Sh TLS
.Cm tls
says how clients are met: with which certificate, and what they are asked for.
Paths are as the server finds them, from the folder it was started in.
Its keys are
.Bl -tag -width Ds
.It Cm cert_file , key_file
the certificate, with those between it and its authority behind it, and its private key; both PEM, perhaps in one file.
RSA, ECDSA (P-256, P-384, P-521) and Ed25519.
.It Cm key_password_file
a file whose first line opens an encrypted key.
.It Cm certs , certificates
instead of these a list of blocks of them: the first that has the name that the client asks for and a key that it can verify, else the first.
.It Cm ca_file
the authorities whose certificates are let in.
.It Cm verify
true: clients must show such a certificate.
It needs
.Cm ca_file ;
the authorities that the host knows are not taken.
.It Cm verify_and_map
the same, and it names the user: one whose name is an e-mail address, a DNS name or a URI of the certificate, or its subject as RFC 2253 has it.
It holds for users in lists; a single user or a token is asked for all the same.
.It Cm crl_file
certificates of these authorities that are revoked; with it, each authority needs its list.
.It Cm pinned_certs
a list of SHA-256 of the SubjectPublicKeyInfo of client certificates, in hexadecimal: no others are let in.
.It Cm min_version
\(dq1.2\(dq, the default, or \(dq1.3\(dq, in quotes.
.It Cm cipher_suites
a list of names as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256.
Their order does not count.
Where none of TLS 1.3 is named, all of TLS 1.3 are meant; where only such are named, TLS 1.2 is off.
.It Cm allow_insecure_cipher_suites
true: TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256 and its sister for ECDSA may be named.
Suites without ECDHE, with RC4 or 3DES are always refused.
.It Cm curve_preferences
a list of X25519, CurveP256, CurveP384, CurveP521, X25519MLKEM768, SecP256r1MLKEM768, SecP384r1MLKEM1024;
those that this OpenSSL does not have (before 3.5 the last three) are ignored with a warning.
.It Cm timeout
seconds, or a duration, for the handshake; the default is 2.
Where
.Cm auth_timeout
is not said, it is one second more.
.It Cm handshake_first , first , immediate
true: the client begins the handshake at once, and INFO comes behind it.
auto, or a duration: unless it is silent for 50ms, or so long; then INFO is sent.
.It Cm connection_rate_limit
new connections a second; what is above is closed.
0, or below: any number.
.It Cm insecure , cert_match_by , cert_match , cert_match_skip_invalid , ca_certs_match
have no effect on clients here.
.Cm cert_store ,
.Cm ocsp_peer
and
.Cm verify_cert_and_check_known_urls
are refused.
.El
.Pp
The flags
.Fl -tlscert ,
.Fl -tlskey ,
.Fl -tlscacert
and
.Fl -tlsverify ,
any of them, take the place of the files of certificates, keys and authorities, and of
.Cm verify ;
the other keys stay.
.Fl -tls=false
turns TLS off.
.Sh PERMISSIONS
.Cm publish
and
.Cm subscribe
(also
.Cm pub ,
.Cm sub )
are subjects that are allowed, one or a list, or blocks of
.Cm allow
and
.Cm deny .
Where nothing is allowed by name, all is; what is denied is denied.
A subscription is allowed if all that it matches is;
of what is denied it gets nothing.
In
.Cm subscribe
the name of a queue group may follow the subject, as \(dqfoo workers.*\(dq: then only members of such a group are meant.
.Pp
.Cm allow_responses
allows to publish to the reply subjects of messages that came, and nothing else that is not in
.Cm publish
by name: true for one answer in 2 minutes, or a block of
.Cm max
(messages; below 0 any number) and
.Cm expires
(a duration; below 0 for ever).
.Sh ACCOUNTS
.Cm accounts
is a list of names, or a block with a block for each account.
Subjects of one account are not seen in another.
In an account's block there are
.Bl -tag -width Ds
.It Cm users , default_permissions
as above.
.It Cm exports
a list of blocks with
.Cm stream
(a subject whose messages others may have) or
.Cm service
(one that others may send requests to), and
.Cm accounts ,
who may, without it everybody;
.Cm account_token_position :
the number of a token
.Sq *
in the subject, in whose place the importing account has its own name.
Of services also
.Cm response
(singleton, stream or chunked),
.Cm threshold
(the time in which an answer has to come, or the next one) and
.Cm latency :
a subject to which samples go, or a block of
.Cm subject
and
.Cm sampling
(a percentage, or headers).
.It Cm imports
a list of blocks with
.Cm stream
or
.Cm service ,
which are blocks of
.Cm account
and
.Cm subject ,
and where it appears here:
.Cm to ,
with $1, $2 or {{wildcard(1)}} for wildcards in another order, or of a stream
.Cm prefix .
.Cm share :
a service is told who asks.
Imports that lead back to where they begin are refused.
.It Cm mappings , maps
subjects that become others as they are published: a destination, a list of blocks of
.Cm destination ,
.Cm weight
(a percentage) and
.Cm cluster ,
or one such block.
At the top of the file they are those of the global account.
.It Cm limits
for all clients of the account together:
END
awk '/over_rate/ { next }
/^LIMIT\(/ {
	line = $0
	help = line
	sub(/"\)$/, "", help); sub(/.*"/, "", help)
	sub(/^LIMIT\(/, "", line)
	split(line, part, /,[ \t]*/)
	printf "%s\n.Cm %s\n(%s)", n++ ? "," : "", part[2], help
}
END { print "." }' common/limits.def | sed 1d
cat <<'END'
\-1 is no limit.
.Cm over_rate
is pace, the default, or close.
.It Cm nkey
the public key of the account; it has no effect yet.
.El
.Sh EXAMPLES
.Bd -literal
listen: [0.0.0.0:4222, "unix:/run/bulkhead/nats.sock"]
http: localhost:8222
max_payload: 1MB
ping_interval: "2m"
log_file: "/var/log/bulkhead.log"

tls {
  cert_file: "/etc/bulkhead/server.pem"
  key_file: "/etc/bulkhead/server-key.pem"
  ca_file: "/etc/bulkhead/ca.pem"
  verify: true
}

accounts {
  ORDERS {
    users: [
      {user: shop, password: $2a$11$W2zko751KUvVy59mUTWmpOdWjpEm5qhcCZRd05GjI/sSOT.xtiHyG,
       permissions: {publish: "order.>", subscribe: "_INBOX.>"}}
      {user: backup, unix_user: backup, permissions: {publish: {deny: ">"}, subscribe: ">"}}
    ]
    exports: [{stream: "order.*"}, {service: "price.get", accounts: [WEB]}]
    limits: {max_connections: 100, max_messages_per_second: 10k}
  }
  WEB {
    users: [{nkey: UCR2VMNYX7DM3VG34LU7B576AUGBGGRBFAXTMPKEJNJFSYDHNZ2XZE4Z}]
    imports: [
      {stream: {account: ORDERS, subject: "order.*"}, prefix: shop}
      {service: {account: ORDERS, subject: "price.get"}, to: "price"}
    ]
    mappings: {"click.*": "events.{{partition(8,1)}}.click.$1"}
  }
  $SYS { users: [{user: admin, password: $ADMIN_PASSWORD}] }
}
.Ed
.Sh SEE ALSO
.Xr bulkhead 8 ,
.Xr bulkhead-auth 8 ,
.Xr bulkhead-config 8
END
