#include <sys/mman.h>
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

int
memfd_sealed(const char *name, struct bytes content)
{
	int	fd, rc;

	fd = memfd_new(name);
	if (fd < 0)
		return fd;
	rc = write_all(fd, content);
	if (rc == 0 && fcntl(fd, F_ADD_SEALS, ALL_SEALS) == -1)
		rc = -errno;
	if (rc != 0) {
		close(fd);
		return rc;
	}
	return fd;
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
