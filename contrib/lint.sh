#!/bin/sh
# The rules that a compiler does not know: which folder may include which,
# each header compiles alone, every setting and message is documented.
cd "$(dirname "$0")/.." || exit 1
bad=0
complain() { echo "$*"; bad=1; }

# Folder -> folders it may include from.
may() {
	case $1 in
	common) echo common ;;
	nats) echo nats common ;;
	shm) echo shm common ;;
	broker) echo broker nats shm common ;;
	supervisor/config) echo supervisor/config broker nats shm common ;;
	supervisor/auth) echo supervisor/auth nats shm common ;;
	supervisor/log) echo supervisor/log common ;;
	supervisor) echo supervisor nats shm common ;;
	worker) echo worker tls broker nats shm common ;;
	admin/system) echo "$1" tls broker nats shm common ;;
	admin/*) echo "$1" broker nats shm common ;;
	*) echo any ;;
	esac
}

for file in $(git ls-files 'common/*.[ch]' 'nats/*.[ch]' 'shm/*.[ch]' 'broker/*.[ch]' 'supervisor/*.[ch]' \
    'worker/*.[ch]' 'admin/*.[ch]'); do
	from=$(dirname "$file")
	allowed=" $(may "$from") "
	for header in $(sed -n 's/^#[[:space:]]*include "\(.*\)"/\1/p' "$file"); do
		case $header in */*) to=$(dirname "$header") ;; *) complain "$file: include \"$header\" without its folder"; continue ;; esac
		case $allowed in *" any "* | *" $to "*) ;; *) complain "$file: may not include $header" ;; esac
	done
done

flags="-I. -D_GNU_SOURCE -std=gnu11 -Wall -Wextra -Wno-unused-parameter -Wno-unused-function $(pkg-config --cflags libbsd-overlay msgpack)"
for header in $(git ls-files '*.h'); do
	cc $flags -fsyntax-only -include "$header" -x c /dev/null || complain "$header: does not compile alone"
done

# What is for another system is compiled against declarations of its calls, at least.
for file in common/openbsd_*.c; do
	cc $flags -Wmissing-prototypes -Werror -include tests/stubs/openbsd/openbsd.h -fsyntax-only "$file" ||
	    complain "$file: does not compile with tests/stubs/openbsd"
done

for name in $(sed -n '/, OWN[, ]/d; s/^SETTING([a-z]*, *\([a-z_]*\),.*/\1/p' common/settings.def); do
	grep -q "$name" man/bulkhead.conf.5 2>/dev/null || complain "man/bulkhead.conf.5: does not mention $name"
done
for name in $(sed -n 's/^MESSAGE(\([a-z_]*\),.*/\1/p' common/messages.def); do
	grep -q "$name" docs/messages.md 2>/dev/null || complain "docs/messages.md: does not mention $name (contrib/messages-doc.sh)"
done
if command -v mandoc >/dev/null; then
	for page in man/*; do
		mandoc -T lint -W warning "$page" >/dev/null || complain "$page: mandoc -T lint -W warning"
	done
fi
exit $bad
