/* SPDX-License-Identifier: ISC */
/* Several descriptors in one. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mg_bag.h"

union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(MG_BAG_MAX * sizeof(int))];
};

enum mg_err
mg_bag_pack(const int *fds, size_t n, int *bagp)
{
	char byte = 0;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	union control ctl;
	struct msghdr msg = {
	    .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl.room};
	struct cmsghdr *cm;
	int sp[2];
	ssize_t sent;

	*bagp = -1;
	if (n == 0 || n > MG_BAG_MAX ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sp) != 0)
		return MG_ERR_SYS;
	memset(&ctl, 0, sizeof(ctl));
	msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
	cm = CMSG_FIRSTHDR(&msg);
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(cm), fds, n * sizeof(int));
	sent = sendmsg(sp[0], &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(sp[0]);
	if (sent != 1) {
		close(sp[1]);
		return MG_ERR_SYS;
	}
	*bagp = sp[1];
	return MG_ERR_OK;
}

enum mg_err
mg_bag_unpack(int bag, int *fds, size_t n)
{
	char byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	union control ctl;
	struct msghdr msg = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = ctl.room,
	    .msg_controllen = sizeof(ctl.room)};
	struct cmsghdr *cm;
	size_t i, got = 0;
	int all[MG_BAG_MAX];

	for (i = 0; i < n; i++)
		fds[i] = -1;
	if (recvmsg(bag, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) == -1)
		return MG_ERR_FORMAT;
	for (cm = CMSG_FIRSTHDR(&msg); cm != NULL; cm = CMSG_NXTHDR(&msg, cm)) {
		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
			continue;
		got = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(all, CMSG_DATA(cm), got * sizeof(int));
	}
	if (got == n && (msg.msg_flags & MSG_CTRUNC) == 0) {
		memcpy(fds, all, n * sizeof(int));
		return MG_ERR_OK;
	}
	for (i = 0; i < got; i++)
		close(all[i]);
	return MG_ERR_FORMAT;
}
