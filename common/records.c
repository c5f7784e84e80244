#include <sys/mman.h>
#include <errno.h>
#include "common/memfd.h"
#include "common/records.h"
#include "common/unpack.h"

#define RECORD_OBJECTS	4096	/* in one record, with its numbers */
#define SEAL		"\xc0"	/* nil: ends a document, so that an empty one has a byte */

int
records_add(msgpack_sbuffer *out, const struct msg *record)
{
	return msg_encode(out, record);
}

int
records_seal(const msgpack_sbuffer *out)
{
	msgpack_sbuffer	 all;
	int		 fd = -ENOMEM;

	msgpack_sbuffer_init(&all);
	if ((out->size == 0 || msgpack_sbuffer_write(&all, out->data, out->size) == 0) &&
	    msgpack_sbuffer_write(&all, SEAL, 1) == 0)
		fd = memfd_sealed("records", (struct bytes){ all.data, all.size });
	msgpack_sbuffer_destroy(&all);
	return fd;
}

/* One record from the front of b. Its bytes in *used. 0 or -EBADMSG. */
static int
record_next(struct bytes b, size_t *used, enum role from, enum role to, record_call *f, void *arg,
    const char **why)
{
	msgpack_unpacked u;
	struct msg	 m;
	int		 rc;

	*why = "length";
	if (unpack_length(b, RECORD_OBJECTS, used) != 0 || *used > MESSAGE_MAX)
		return -EBADMSG;
	msgpack_unpacked_init(&u);
	rc = unpack_bounded(&u, (struct bytes){ b.data, *used }, RECORD_OBJECTS);
	if (rc == 0 && (rc = msg_decode(&m, from, to, 0, MSG_RECORD, &u.data, why)) == 0)
		rc = f(arg, &m);
	else
		rc = -EBADMSG;
	msgpack_unpacked_destroy(&u);
	return rc;
}

int
records_each(struct bytes b, enum role from, enum role to, record_call *f, void *arg, const char **why)
{
	size_t	used;
	int	rc;

	while (b.len > 0) {
		if ((rc = record_next(b, &used, from, to, f, arg, why)) != 0)
			return rc;
		b.data += used;
		b.len -= used;
	}
	return 0;
}

int
records_read(int fd, enum role from, enum role to, record_call *f, void *arg, const char **why)
{
	struct bytes	content, records;
	int		rc = memfd_map_sealed(fd, RECORDS_MAX, &content);

	*why = "the document";
	if (rc != 0)
		return rc;
	records = (struct bytes){ content.data, content.len - 1 };
	rc = content.data[records.len] == *SEAL ?
	    records_each(records, from, to, f, arg, why) : -EBADMSG;
	munmap((void *)(uintptr_t)content.data, content.len);
	return rc;
}
