#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>
#include "common/memfd.h"

#define ALL_SEALS	(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL	0x0008u		/* since Linux 6.3 */
#endif

static int
memfd_new(const char *name)
{
	int	fd;

	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	if (fd == -1 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd == -1 ? -errno : fd;
}

static int
write_all(int fd, struct bytes b)
{
	ssize_t	n;

	while (b.len > 0) {
		n = write(fd, b.data, b.len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -errno;
		b.data += n;
		b.len -= (size_t)n;
	}
	return 0;
}

/* What was written is final. fd, or -errno, which rc may be already: then it is closed. */
static int
memfd_seal(int fd, int rc)
{
	if (rc == 0 && fcntl(fd, F_ADD_SEALS, ALL_SEALS) == -1)
		rc = -errno;
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

int
memfd_sealed(const char *name, struct bytes content)
{
	int	fd = memfd_new(name);

	return fd < 0 ? fd : memfd_seal(fd, write_all(fd, content));
}

/* From where `from` stands to its end, by the kernel. */
static int
copy_all(int fd, int from, size_t most)
{
	size_t	total = 0;
	ssize_t	n;

	while (total <= most) {
		n = sendfile(fd, from, NULL, most + 1 - total);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -errno;
		if (n == 0)
			return total == 0 ? -ENODATA : 0;
		total += (size_t)n;
	}
	return -EFBIG;
}

int
memfd_copy_sealed(const char *name, int from, size_t most)
{
	int	fd = memfd_new(name);

	return fd < 0 ? fd : memfd_seal(fd, copy_all(fd, from, most));
}

int
memfd_map_sealed(int fd, size_t most, struct bytes *content)
{
	struct stat	 st;
	void		*base;
	int		 seals;

	seals = fcntl(fd, F_GET_SEALS);
	if (seals == -1)
		return errno == EINVAL ? -EPERM : -errno;
	if ((seals & ALL_SEALS) != ALL_SEALS)
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
