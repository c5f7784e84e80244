#ifndef COMMON_MEMFD_H
#define COMMON_MEMFD_H
/* Documents that travel as sealed memfds: nobody can change them any more. memfd_create(2). */
#include "common/bytes.h"

/* A new memfd with these bytes and all four seals, close-on-exec. Descriptor or -errno. */
int memfd_sealed(const char *name, struct bytes content);

/*
 * The same with what is in a regular file, from where it stands: the bytes do not come
 * into our memory. -EFBIG more than `most` bytes; -ENODATA: none.
 */
int memfd_copy_sealed(const char *name, int from, size_t most);

/*
 * Map one that somebody else made, for munmap() by the caller. fd is kept.
 * 0; -EPERM a seal is missing; -EBADMSG empty or over `most` bytes; -errno.
 */
int memfd_map_sealed(int fd, size_t most, struct bytes *content);
#endif
