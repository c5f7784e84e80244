#include <sys/mman.h>
#include <sys/stat.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "shm/segment.h"

#define SIZE	((size_t)1 << 20)

static int
segment_new(size_t size)
{
	int fd = segment_create("test", size);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* An owner's mapping, and a descriptor as its peers get it. */
static int
segment_sealed(struct segment *seg, size_t size)
{
	int fd = segment_new(size), copy = dup(fd);

	ck_assert_int_ge(copy, 0);
	ck_assert_int_eq(segment_map_own(seg, fd, size), 0);
	return copy;
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) != -1;
}

static void
assert_errno(int got, int rc)
{
	ck_assert_int_eq(rc, -1);
	ck_assert_int_eq(errno, got);
}

static void
assert_unmappable(int fd)
{
	ck_assert(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	ck_assert_int_eq(errno, EPERM);
}

START_TEST(peer_sees_what_the_owner_writes)
{
	struct segment own, peer;
	int fd = segment_sealed(&own, SIZE);

	ck_assert_int_eq(segment_check(fd, SIZE), 0);
	ck_assert(is_open(fd));
	ck_assert_int_eq(segment_map_peer(&peer, fd, SIZE), 0);
	ck_assert_uint_eq(own.size, SIZE);
	ck_assert_uint_eq(peer.size, SIZE);
	ck_assert_int_eq(((char *)peer.base)[SIZE - 1], 0);
	((char *)own.base)[SIZE - 1] = 'x';	/* although it is sealed by now */
	ck_assert_int_eq(((char *)peer.base)[SIZE - 1], 'x');
	segment_unmap(&peer);
	segment_unmap(&own);
	ck_assert_ptr_null(own.base);
	segment_unmap(&own);
}
END_TEST

START_TEST(peer_cannot_write)
{
	struct segment own, peer;
	char path[64];
	int fd = segment_sealed(&own, SIZE), again;

	assert_unmappable(fd);
	assert_errno(EPERM, (int)pwrite(fd, "x", 1, 0));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(again, 0);
	assert_unmappable(again);
	close(again);
	ck_assert_int_eq(segment_map_peer(&peer, fd, SIZE), 0);
	assert_errno(EACCES, mprotect(peer.base, SIZE, PROT_READ | PROT_WRITE));
	segment_unmap(&peer);
	segment_unmap(&own);
}
END_TEST

START_TEST(nobody_changes_its_size)
{
	struct segment own;
	int fd = segment_sealed(&own, SIZE);

	assert_errno(EPERM, ftruncate(fd, 0));
	assert_errno(EPERM, ftruncate(fd, (off_t)SIZE / 2));
	assert_errno(EPERM, ftruncate(fd, (off_t)SIZE * 2));
	assert_errno(EPERM, fallocate(fd, 0, 0, (off_t)SIZE * 2));
	assert_errno(EPERM, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
	assert_errno(EPERM, madvise(own.base, 4096, MADV_REMOVE));
	assert_errno(EPERM, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	close(fd);
	segment_unmap(&own);
}
END_TEST

static const int all_seals[] = { F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_FUTURE_WRITE, F_SEAL_SEAL };

START_TEST(each_missing_seal_is_refused)
{
	struct segment peer = { &peer, 1 };
	int fd = segment_new(SIZE);

	for (int i = 0; i < 4; i++)
		if (i != _i)
			ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, all_seals[i]), 0);
	ck_assert_int_eq(segment_check(fd, SIZE), -EPERM);
	ck_assert(is_open(fd));
	ck_assert_int_eq(segment_map_peer(&peer, fd, SIZE), -EPERM);
	ck_assert(!is_open(fd));
	ck_assert_ptr_eq(peer.base, &peer);	/* untouched */
}
END_TEST

static const size_t other_sizes[] = { 0, 1, 4096, SIZE - 4096, SIZE - 1, SIZE + 1, SIZE + 4096,
    SIZE_MAX, SIZE_MAX - 4095 };

START_TEST(another_size_is_refused)
{
	struct segment seg = { &seg, 1 };
	int fd = segment_new(SIZE), copy = dup(fd);

	ck_assert_int_eq(segment_map_own(&seg, fd, other_sizes[_i]), -EBADMSG);
	ck_assert(!is_open(fd));
	ck_assert_int_eq(segment_seal(copy, other_sizes[_i]), -EBADMSG);
	ck_assert_int_eq(fcntl(copy, F_GET_SEALS) & F_SEAL_SEAL, 0);	/* left alone */
	ck_assert_int_eq(segment_seal(copy, SIZE), 0);
	ck_assert_int_eq(segment_check(copy, other_sizes[_i]), -EBADMSG);
	ck_assert_int_eq(segment_map_peer(&seg, copy, other_sizes[_i]), -EBADMSG);
	ck_assert(!is_open(copy));
	ck_assert_ptr_eq(seg.base, &seg);
}
END_TEST

START_TEST(impossible_sizes_are_not_created)
{
	static const size_t sizes[] = { 0, 1, 4095, 4097, SEGMENT_MAX + 4096, SIZE_MAX };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		ck_assert_int_eq(segment_create("test", sizes[i]), -EINVAL);
}
END_TEST

START_TEST(what_is_no_segment_is_refused)
{
	struct segment seg;
	int fds[2], bad;

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_lt(segment_check(fds[0], SIZE), 0);
	ck_assert_int_lt(segment_map_peer(&seg, fds[0], SIZE), 0);
	ck_assert_int_lt(segment_map_own(&seg, fds[1], SIZE), 0);
	ck_assert(!is_open(fds[0]) && !is_open(fds[1]));
	bad = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ck_assert_int_lt(segment_map_peer(&seg, bad, SIZE), 0);
	ck_assert_int_eq(segment_check(-1, SIZE), -EBADF);
	ck_assert_int_eq(segment_map_own(&seg, -1, SIZE), -EBADF);
}
END_TEST

START_TEST(only_one_can_own_it)
{
	struct segment own, second;
	int fd = segment_sealed(&own, SIZE);

	ck_assert_int_eq(segment_map_own(&second, fd, SIZE), -EPERM);
	segment_unmap(&own);
}
END_TEST

START_TEST(large_ones_cost_what_is_touched)
{
	const size_t size = (size_t)4 << 30;
	struct segment own;
	struct stat st;
	int fd = segment_sealed(&own, size);

	((char *)own.base)[size - 1] = 1;
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_le(st.st_blocks, 4 * 1024 * 1024 / 512);	/* a huge page at most */
	close(fd);
	segment_unmap(&own);
}
END_TEST

START_TEST(children_of_exec_do_not_inherit_it)
{
	int fd = segment_new(SIZE), seals = fcntl(fd, F_GET_SEALS);

	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	if (seals & 0x0020)	/* F_SEAL_EXEC: the kernel knows MFD_NOEXEC_SEAL */
		assert_errno(EPERM, fchmod(fd, 0700));
	close(fd);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("segment");
	TCase *c = tcase_create("segment");
	SRunner *r;
	int failed;

	tcase_add_test(c, peer_sees_what_the_owner_writes);
	tcase_add_test(c, peer_cannot_write);
	tcase_add_test(c, nobody_changes_its_size);
	tcase_add_loop_test(c, each_missing_seal_is_refused, 0, 4);
	tcase_add_loop_test(c, another_size_is_refused, 0,
	    sizeof(other_sizes) / sizeof(other_sizes[0]));
	tcase_add_test(c, impossible_sizes_are_not_created);
	tcase_add_test(c, what_is_no_segment_is_refused);
	tcase_add_test(c, only_one_can_own_it);
	tcase_add_test(c, large_ones_cost_what_is_touched);
	tcase_add_test(c, children_of_exec_do_not_inherit_it);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
