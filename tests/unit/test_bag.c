/* SPDX-License-Identifier: ISC */
/* Descriptors in one descriptor. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "mg_bag.h"
#include "open_fds.h"

static unsigned fds_before;

static int
setup(void **state)
{
	(void)state;
	fds_before = open_fds();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	assert_int_equal(open_fds(), fds_before);
	return 0;
}

static void
assert_same_file(int a, int b)
{
	struct stat sa, sb;

	assert_int_equal(fstat(a, &sa), 0);
	assert_int_equal(fstat(b, &sb), 0);
	assert_int_equal(sa.st_dev, sb.st_dev);
	assert_int_equal(sa.st_ino, sb.st_ino);
}

static void
what_is_packed_comes_out_in_its_order(void **state)
{
	int in[3], out[3], bag, i;

	(void)state;
	assert_int_equal(pipe(in), 0);
	assert_int_not_equal(in[2] = open("/dev/null", O_RDWR), -1);
	assert_int_equal(mg_bag_pack(in, 3, &bag), MG_ERR_OK);
	assert_int_not_equal(fcntl(bag, F_GETFD) & FD_CLOEXEC, 0);
	assert_int_equal(mg_bag_unpack(bag, out, 3), MG_ERR_OK);
	for (i = 0; i < 3; i++) {
		assert_same_file(in[i], out[i]);
		assert_int_not_equal(fcntl(out[i], F_GETFD) & FD_CLOEXEC, 0);
		close(in[i]);
		close(out[i]);
	}
	/* It is empty now. */
	assert_int_equal(mg_bag_unpack(bag, out, 3), MG_ERR_FORMAT);
	close(bag);
}

static void
another_number_than_is_due_is_refused_and_closed(void **state)
{
	int in[MG_BAG_MAX + 1], out[3], bag;
	size_t n;

	(void)state;
	for (n = 0; n < MG_BAG_MAX + 1; n++)
		assert_int_not_equal(in[n] = open("/dev/null", O_RDWR), -1);
	for (n = 1; n <= MG_BAG_MAX; n++) {
		if (n == 3)
			continue;
		assert_int_equal(mg_bag_pack(in, n, &bag), MG_ERR_OK);
		assert_int_equal(mg_bag_unpack(bag, out, 3), MG_ERR_FORMAT);
		assert_int_equal(out[0], -1);
		assert_int_equal(out[2], -1);
		close(bag);
	}
	assert_int_not_equal(mg_bag_pack(in, 0, &bag), MG_ERR_OK);
	assert_int_not_equal(mg_bag_pack(in, n, &bag), MG_ERR_OK);
	assert_int_equal(bag, -1);
	for (n = 0; n < MG_BAG_MAX + 1; n++)
		close(in[n]);
}

/* More than there is room for: none of them stays open. */
static void
a_bag_that_others_packed_too_full_is_refused(void **state)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(100 * sizeof(int))];
	} ctl = {.room = {0}};
	struct iovec iov = {.iov_base = (char[]){0}, .iov_len = 1};
	struct msghdr msg = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = ctl.room,
	    .msg_controllen = sizeof(ctl.room)};
	struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);
	int sp[2], out[3], i;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sp), 0);
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(100 * sizeof(int));
	for (i = 0; i < 100; i++)
		((int *)(void *)CMSG_DATA(cm))[i] = sp[0];
	assert_int_equal(sendmsg(sp[0], &msg, 0), 1);
	assert_int_equal(mg_bag_unpack(sp[1], out, 3), MG_ERR_FORMAT);
	close(sp[0]);
	close(sp[1]);
}

static void
what_is_no_bag_is_refused_at_once(void **state)
{
	int fds[2], sp[2], out[3];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(mg_bag_unpack(fds[0], out, 3), MG_ERR_FORMAT);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sp), 0);
	assert_int_equal(mg_bag_unpack(sp[0], out, 3), MG_ERR_FORMAT);
	assert_int_equal(write(sp[1], "x", 1), 1);
	assert_int_equal(mg_bag_unpack(sp[0], out, 3), MG_ERR_FORMAT);
	close(sp[1]);
	assert_int_equal(mg_bag_unpack(sp[0], out, 3), MG_ERR_FORMAT);
	assert_int_equal(mg_bag_unpack(-1, out, 3), MG_ERR_FORMAT);
	close(sp[0]);
	close(fds[0]);
	close(fds[1]);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(what_is_packed_comes_out_in_its_order),
	    T(another_number_than_is_due_is_refused_and_closed),
	    T(a_bag_that_others_packed_too_full_is_refused),
	    T(what_is_no_bag_is_refused_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
