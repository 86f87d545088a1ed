/* SPDX-License-Identifier: ISC */
/*
 * Many approvers at the hub at once, in one process.
 *
 *	hub_clients PORT N COMMAND KEY...	N logins, with each KEY in turn,
 *		each with that command; prints how many have begun, and keeps
 *		them without reading until it is killed
 */
#include <libssh/libssh.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLIENTS_MAX 4096

static ssh_session
log_in(unsigned port, const char *key_file, const char *command)
{
	ssh_session s = ssh_new();
	ssh_channel c = NULL;
	ssh_key key = NULL;
	long seconds = 60;
	int no = 0;

	if (s == NULL ||
	    ssh_options_set(s, SSH_OPTIONS_PROCESS_CONFIG, &no) != SSH_OK ||
	    ssh_options_set(s, SSH_OPTIONS_HOST, "127.0.0.1") != SSH_OK ||
	    ssh_options_set(s, SSH_OPTIONS_PORT, &port) != SSH_OK ||
	    ssh_options_set(s, SSH_OPTIONS_TIMEOUT, &seconds) != SSH_OK ||
	    ssh_connect(s) != SSH_OK ||
	    ssh_pki_import_privkey_file(key_file, NULL, NULL, NULL, &key) !=
		SSH_OK ||
	    ssh_userauth_publickey(s, "x", key) != SSH_AUTH_SUCCESS ||
	    (c = ssh_channel_new(s)) == NULL ||
	    ssh_channel_open_session(c) != SSH_OK ||
	    ssh_channel_request_exec(c, command) != SSH_OK) {
		ssh_key_free(key);
		ssh_free(s);
		return NULL;
	}
	ssh_key_free(key);
	return s;
}

int
main(int argc, char **argv)
{
	static ssh_session held[CLIENTS_MAX];
	unsigned long n, i, ok = 0, port;

	if (argc < 5) {
		fprintf(stderr, "usage: hub_clients PORT N COMMAND KEY...\n");
		return 2;
	}
	port = strtoul(argv[1], NULL, 10);
	n = strtoul(argv[2], NULL, 10);
	for (i = 0; i < n && i < CLIENTS_MAX; i++) {
		held[i] = log_in((unsigned)port,
		    argv[4 + i % (unsigned long)(argc - 4)], argv[3]);
		ok += held[i] != NULL;
	}
	printf("%lu\n", ok);
	fflush(stdout);
	for (;;)
		pause();
}
