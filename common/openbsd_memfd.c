/*
 * Documents for other processes. There are no seals: a peer gets a descriptor that is open for
 * reading only, of an object that has no name any more, so that nobody can open it for
 * writing. Compiled against stub declarations only (tests/stubs/openbsd): nobody has run this yet.
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include "common/memfd.h"

/* Writes `b`, or copies what is in `from` if b.data is NULL. */
static int
content_write(int fd, struct bytes b, int from, size_t most)
{
	char	buffer[4096];
	size_t	total = 0;
	ssize_t	n;
	int	rc = 0;

	for (; b.data != NULL && b.len > 0; b.data += n, b.len -= (size_t)n)
		if ((n = write(fd, b.data, b.len)) == -1)
			return -errno;
	if (b.data != NULL)
		return 0;
	while (rc == 0 && (n = read(from, buffer, sizeof(buffer))) != 0) {
		if (n == -1)
			rc = -errno;
		else if ((total += (size_t)n) > most)
			rc = -EFBIG;
		else if (write(fd, buffer, (size_t)n) != n)
			rc = -EIO;
	}
	explicit_bzero(buffer, sizeof(buffer));
	return rc == 0 && total == 0 ? -ENODATA : rc;
}

static int
object_made(struct bytes b, int from, size_t most)
{
	char	name[] = "/tmp/bulkhead.XXXXXXXXXX";
	int	fd = shm_mkstemp(name), reading, rc;

	if (fd == -1)
		return -errno;
	reading = shm_open(name, O_RDONLY, 0);
	rc = reading == -1 ? -errno : 0;
	shm_unlink(name);
	if (rc == 0)
		rc = content_write(fd, b, from, most);
	close(fd);
	if (rc == 0 && fcntl(reading, F_SETFD, FD_CLOEXEC) != -1)
		return reading;
	if (reading != -1)
		close(reading);
	return rc == 0 ? -errno : rc;
}

int
memfd_sealed(const char *name, struct bytes content)
{
	return object_made(content.data == NULL ? BYTES("") : content, -1, 0);
}

int
memfd_copy_sealed(const char *name, int from, size_t most)
{
	return object_made((struct bytes){ NULL, 0 }, from, most);
}

int
memfd_map_sealed(int fd, size_t most, struct bytes *content)
{
	struct stat	 st;
	void		*base;
	int		 flags = fcntl(fd, F_GETFL);

	if (flags == -1)
		return -errno;
	if ((flags & O_ACCMODE) != O_RDONLY)
		return -EPERM;
	if (fstat(fd, &st) == -1)
		return -errno;
	if (st.st_size <= 0 || (uintmax_t)st.st_size > most)
		return -EBADMSG;
	base = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	*content = (struct bytes){ base, (size_t)st.st_size };
	return 0;
}
