#include <sys/mman.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>
#include "shm/segment.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL	0x0008U		/* Linux 6.3; linux/memfd.h */
#endif

#define SEALS	(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

static bool
size_valid(size_t size)
{
	return size > 0 && size <= SEGMENT_MAX && size % (size_t)getpagesize() == 0;
}

static int
size_check(int fd, size_t size)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return -errno;
	if (!size_valid(size) || st.st_size < 0 || (uintmax_t)st.st_size != size)
		return -EBADMSG;
	return 0;
}

int
segment_create(const char *name, size_t size)
{
	const unsigned	flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int		fd, rc;

	if (!size_valid(size))
		return -EINVAL;
	fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);
	if (fd == -1 && errno == EINVAL)	/* a kernel before 6.3 */
		fd = memfd_create(name, flags);
	if (fd == -1)
		return -errno;
	if (ftruncate(fd, (off_t)size) == -1) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

int
segment_seal(int fd, size_t size)
{
	int rc;

	rc = size_check(fd, size);
	if (rc == 0 && fcntl(fd, F_ADD_SEALS, SEALS) == -1)
		rc = -errno;
	return rc;
}

int
segment_check(int fd, size_t size)
{
	int seals;

	seals = fcntl(fd, F_GET_SEALS);
	if (seals == -1)
		return -errno;
	if ((seals & SEALS) != SEALS)
		return -EPERM;
	return size_check(fd, size);	/* last: nothing can change it any more */
}

int
segment_map_own(struct segment *seg, int fd, size_t size)
{
	void	*base;
	int	 rc;

	rc = size_check(fd, size);
	if (rc != 0)
		goto out;
	/* Map first: once it is sealed nobody can, not even its owner. */
	base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (base == MAP_FAILED) {
		rc = -errno;
		goto out;
	}
	rc = segment_seal(fd, size);
	if (rc != 0) {
		munmap(base, size);
		goto out;
	}
	*seg = (struct segment){ base, size };
 out:
	close(fd);
	return rc;
}

int
segment_map_peer(struct segment *seg, int fd, size_t size)
{
	void	*base;
	int	 rc;

	rc = segment_check(fd, size);
	if (rc != 0)
		goto out;
	base = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (base == MAP_FAILED) {
		rc = -errno;
		goto out;
	}
	*seg = (struct segment){ base, size };
 out:
	close(fd);
	return rc;
}

void
segment_unmap(struct segment *seg)
{
	if (seg->base != NULL)
		munmap(seg->base, seg->size);
	*seg = (struct segment){ NULL, 0 };
}
