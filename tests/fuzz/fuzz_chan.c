/* SPDX-License-Identifier: ISC */
/* What a peer may send through a socket, in pieces, with descriptors. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mg_chan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FDS 3

static void
post(int fd, const uint8_t *p, size_t n, unsigned nfds)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * FDS)];
		struct cmsghdr align;
	} ctl;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)p, .iov_len = n};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[FDS] = {2, 2, 2};

	memset(&ctl, 0, sizeof(ctl));
	if (nfds > 0) {
		m.msg_control = ctl.buf;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		ctl.align.cmsg_level = SOL_SOCKET;
		ctl.align.cmsg_type = SCM_RIGHTS;
		ctl.align.cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(&ctl.align), fds, sizeof(int) * nfds);
	}
	(void)!sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static enum mg_err
take_all(struct mg_chan *ch)
{
	struct mg_frame f;
	const char *why;
	enum mg_err r;
	size_t i;

	memset(&f, 0, sizeof(f));
	while ((r = mg_chan_recv(ch, &f, &why)) == MG_ERR_OK) {
		const struct mg_msg_type *t = mg_msg_type(f.op);

		if (t == NULL || f.len > t->max_bytes || f.nfds > t->max_fds)
			abort();
		for (i = 0; i < f.nfds; i++)
			if (fcntl(f.fds[i], F_GETFD) != FD_CLOEXEC)
				abort();
	}
	return r;
}

/* Pieces: a byte of length, its upper two bits how many descriptors. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum mg_err r = MG_ERR_AGAIN;
	struct mg_chan *ch;
	size_t n;
	int sp[2], probe;

	if (size > 32768 || socketpair(AF_UNIX, SOCK_STREAM, 0, sp) != 0)
		return 0;
	ch = mg_chan_new(sp[0], MG_ROLE_AGENT | MG_ROLE_FRONT,
	    MG_ROLE_CLIENT | MG_ROLE_MONITOR, 65536);
	if (ch == NULL)
		abort();
	while (size > 1 && r == MG_ERR_AGAIN) {
		n = (size_t)(data[0] & 63) + 1;
		if (n > size - 1)
			n = size - 1;
		post(sp[1], data + 1, n, data[0] >> 6);
		data += n + 1;
		size -= n + 1;
		r = take_all(ch);
	}
	close(sp[1]);
	if (r == MG_ERR_AGAIN && take_all(ch) == MG_ERR_AGAIN)
		abort();
	mg_chan_free(ch);
	/* No descriptor was kept: the next one is the first again. */
	probe = dup(2);
	if (probe != sp[0] && probe != sp[1])
		abort();
	close(probe);
	return 0;
}
