/* SPDX-License-Identifier: ISC */
/*
 * What an approver's ssh-agent may answer through the hub. The first byte
 * chooses the key that logged in: ed25519, or RSA.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hub/conn_sign.h"
#include "mg_sshkey.h"
#include "verify/mg_sshsig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(enum mg_err r)
{
	if (r != MG_ERR_OK)
		abort();
}

static void
put(struct mg_buf *b, const char *s)
{
	must(mg_buf_put_bytes(b, s, strlen(s)));
}

static void
put_key(struct mg_buf *b, bool is_rsa)
{
	uint8_t n[257];
	enum mg_sshkey_type type;

	memset(n, 0xa5, sizeof(n));
	n[0] = 0;
	if (is_rsa) {
		put(b, "ssh-rsa");
		put(b, "\x01\x01\x01");
		must(mg_buf_put_bytes(b, n, sizeof(n)));
	} else {
		put(b, "ssh-ed25519");
		must(mg_buf_put_bytes(b, n, 32));
	}
	must(mg_sshkey_check(mg_buf_ptr(b), mg_buf_len(b), &type, NULL));
}

/* A signature that was taken is passed on in an armour, byte for byte. */
static void
check_signature(const struct mg_buf *key, const uint8_t *sig, size_t n)
{
	struct mg_sshsig read;
	const char *why;
	struct mg_buf b;

	mg_buf_init(&b, 65536);
	must(conn_sshsig_put_armour(
	    &b, mg_buf_ptr(key), mg_buf_len(key), sig, n));
	if (mg_sshsig_parse(&read, mg_buf_ptr(&b), mg_buf_len(&b), &why) ==
		MG_ERR_OK &&
	    (read.key_len != mg_buf_len(key) ||
		memcmp(read.key, mg_buf_ptr(key), read.key_len) != 0))
		abort();
	mg_sshsig_fini(&read);
	mg_buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *sig;
	struct mg_buf key;
	enum mg_err r;
	size_t n;

	if (size == 0)
		return 0;
	mg_buf_init(&key, MG_SSHKEY_BLOB_MAX);
	put_key(&key, data[0] == 'r');
	data++;
	size--;
	r = conn_agent_find(data, size, mg_buf_ptr(&key), mg_buf_len(&key));
	/* A key that was found is in the answer as it stands. */
	if (r == MG_ERR_OK &&
	    memmem(data, size, mg_buf_ptr(&key), mg_buf_len(&key)) == NULL)
		abort();
	r = conn_agent_signature(
	    data, size, mg_buf_ptr(&key), mg_buf_len(&key), &sig, &n);
	if ((r == MG_ERR_OK) != (sig != NULL))
		abort();
	if (r == MG_ERR_OK && (sig < data || sig + n > data + size))
		abort();
	if (r == MG_ERR_OK)
		check_signature(&key, sig, n);
	mg_buf_fini(&key);
	return 0;
}
