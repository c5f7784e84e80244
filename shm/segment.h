#ifndef SHM_SEGMENT_H
#define SHM_SEGMENT_H
/*
 * Segments: sparse memfds of a fixed size. One process maps each writable
 * (its owner) and seals it; everybody else maps it read-only, and the kernel
 * enforces it. docs/shm.md; memfd_create(2), fcntl(2) F_SEAL_FUTURE_WRITE.
 */
#include <stddef.h>

#define SEGMENT_MAX	((size_t)1 << 36)

struct segment { void *base; size_t size; };

/* A new memfd of `size` bytes (a multiple of the page), unsealed, close-on-exec. Descriptor or -errno. */
int segment_create(const char *name, size_t size);

/*
 * The owner: map fd writable, then seal it (SHRINK GROW FUTURE_WRITE SEAL).
 * fd is consumed, also on error. 0: *seg is valid until segment_unmap().
 *   -EBADMSG  not exactly `size` bytes     -errno of fstat, mmap, fcntl
 */
int segment_map_own(struct segment *seg, int fd, size_t size);

/*
 * Seal what the owner has mapped writable in its own way (rings map their data
 * twice). fd stays open. 0; -EBADMSG not exactly `size` bytes; -errno.
 */
int segment_seal(int fd, size_t size);

/*
 * The supervisor, before it hands a segment on: 0 if the seals are all there
 * and the size is `size`; -EPERM, -EBADMSG, -errno. fd stays open.
 */
int segment_check(int fd, size_t size);

/*
 * Map a peer's segment read-only. fd is consumed, also on error.
 * 0, or -EPERM seals missing: its owner could shrink it under us;
 * -EBADMSG not exactly `size` bytes; -errno.
 * What lies behind seg->base is written by the peer: check, copy, use.
 */
int segment_map_peer(struct segment *seg, int fd, size_t size);

/* Also of one that is not mapped: base NULL. */
void segment_unmap(struct segment *seg);
#endif
