/*
 * What a client sends, through the real connection: reading, parsing, session,
 * broker, outputs. The first byte chooses how the rest is cut into writes, the
 * second whether the sender reads what it gets.
 * Holds for all bytes: a second client, subscribed to all, gets well-formed
 * messages and its PONG; when the sender has gone, nothing of it is left.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tests/unit/worker/rig.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct rig	 rig;
static int		 witness;
static char		 got[4 << 20];

static void
demand(bool so)
{
	if (!so)
		abort();
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static char	 hello[] = "CONNECT {\"verbose\":false,\"headers\":true,\"echo\":false}\r\nSUB > 1\r\n";
	int		 null = open("/dev/null", O_WRONLY);

	rig_prepare(&rig);
	log_init("fuzz", null);
	rig.child.settings.max_control_line = 512;
	rig.child.settings.max_payload = 100000;
	rig.child.settings.max_pending = 1 << 20;
	rig.child.settings.max_sub_tokens = 16;
	rig.child.settings.max_subscriptions = 40;
	rig.child.settings.ping_interval = 86400;
	rig_start(&rig);
	witness = rig_connect(&rig, REFUSE_NOTHING);
	rig_say(&rig, witness, hello);
	return 0;
}

#define AT_ONCE		8	/* turns without waiting: a turn may write what is read in the next */
#define PATIENCE	5000	/* turns without a byte until what is missing counts as lost */

/* The n-th turn in vain. Most of what is to come needs no timer, and a wait of the loop lasts
 * as long as hundreds of inputs. */
static void
turn(unsigned n)
{
	demand(n < PATIENCE);
	if (n < AT_ONCE)
		rig_turn(&rig);
	else
		rig_wait(&rig);
}

/* One message in at[0..end): behind it; NULL: it is not whole, or not one. */
static char *
message_end(char *at, char *end)
{
	char	*line = memchr(at, '\n', (size_t)(end - at)), *size;

	if (line == NULL)
		return NULL;
	demand(line > at && line[-1] == '\r');
	for (size = line - 1; size > at && size[-1] != ' '; size--)
		;
	demand(size < line - 1 && strspn(size, "0123456789") == (size_t)(line - 1 - size));
	at = line + 1 + strtoul(size, NULL, 10);
	if (at + 2 > end)
		return NULL;
	demand(at[0] == '\r' && at[1] == '\n');
	return at + 2;
}

/* Behind all that is whole in at[0..end); *pong: one is among it. */
static char *
frames_end(char *at, char *end, bool *pong)
{
	char	*next;

	for (; end - at >= 6; at = next) {
		if (memcmp(at, "MSG ", 4) == 0 || memcmp(at, "HMSG ", 5) == 0)
			next = message_end(at, end);
		else {
			demand(memcmp(at, "INFO ", 5) == 0 || memcmp(at, "PING\r\n", 6) == 0 ||
			    memcmp(at, "PONG\r\n", 6) == 0);
			*pong |= memcmp(at, "PONG", 4) == 0;
			next = memchr(at, '\n', (size_t)(end - at));
			next = next == NULL ? NULL : next + 1;
		}
		if (next == NULL)
			break;
	}
	return at;
}

/* All the witness gets until its PONG is messages. */
static void
witness_check(void)
{
	size_t	 len = 0;
	ssize_t	 n;
	unsigned vain = 0;
	bool	 pong = false;
	char	*at = got;

	rig_say(&rig, witness, "PING\r\n");
	while (!pong || at < got + len) {
		demand(len < sizeof(got) - 1);
		n = read(witness, got + len, sizeof(got) - 1 - len);
		demand(n != 0);
		if (n < 0) {
			turn(vain++);
			continue;
		}
		len += (size_t)n;
		got[len] = '\0';
		at = frames_end(at, got + len, &pong);
		vain = 0;
	}
}

/* Random piece lengths from a small seed; 0: all at once. */
static size_t
piece(unsigned *seed, size_t left)
{
	size_t	 n;

	if (*seed == 0)
		return left;
	*seed = *seed * 1103515245u + 12345u;
	n = 1 + (*seed >> 16) % ((*seed >> 8) % 4 == 0 ? 4000 : 7);
	return n < left ? n : left;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char	 sink[65536];
	unsigned	 seed, closed = rig.closed, vain = 0;
	bool		 reads;
	int		 fd;
	size_t		 n;

	if (size < 2)
		return 0;
	seed = data[0];
	reads = data[1] % 2 == 0;
	data += 2;
	size -= 2;
	fd = rig_connect(&rig, REFUSE_NOTHING);
	for (; size > 0; data += n, size -= n) {
		n = piece(&seed, size);
		rig_write(&rig, fd, (const char *)data, n);
		while (reads && read(fd, sink, sizeof(sink)) > 0)
			;
	}
	witness_check();
	close(fd);
	while (rig.closed == closed)
		turn(vain++);
	demand(rig.w.open == 1 && atomic_load(&rig.w.head->subscriptions) == 1);
	return 0;
}
