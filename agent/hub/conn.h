/* SPDX-License-Identifier: ISC */
#ifndef CONN_H
#define CONN_H

/* What modelgate-hub and mg-hub-conn agree on besides the messages. */

/* Descriptors that mg-hub-conn is started with. */
#define CONN_FD_LOG 2
#define CONN_FD_SOCKET 3 /* the accepted connection */
#define CONN_FD_CHAN 4	 /* the channel to the hub */

/* Its exit status. */
enum conn_exit {
	CONN_EXIT_OK = 0,
	CONN_EXIT_FAILED = 1,	 /* our own fault: no memory, no hub */
	CONN_EXIT_NO_LOGIN = 10, /* went away without trying to log in */
	CONN_EXIT_BAD_LOGIN,	 /* tried, and is nobody here */
	CONN_EXIT_GRACE,	 /* took too long to log in */
	CONN_EXIT_PROTO,	 /* broke the protocol before logging in */
	CONN_EXIT_KEY,		 /* the hub's own host key cannot be used */
};

#endif
