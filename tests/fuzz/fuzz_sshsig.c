/* SPDX-License-Identifier: ISC */
/*
 * What an approver may send as a signature. The first byte chooses: 'B',
 * the rest is the blob, put into an armour here; else it is the armour.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mg_b64.h"
#include "mg_text.h"
#include "verify/mg_sshsig.h"

#define TEXT "modelgate approval v1\n"
#define WIDTH 70

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(enum mg_err r)
{
	if (r != MG_ERR_OK)
		abort();
}

static void
put_text(struct mg_buf *b, const char *s)
{
	must(mg_buf_put_bytes(b, s, strlen(s)));
}

static void
put_number(struct mg_buf *b, const uint8_t *p, size_t n)
{
	bool pad = (p[0] & 0x80) != 0;

	must(mg_buf_put_u32(b, (uint32_t)(n + (pad ? 1 : 0))));
	if (pad)
		must(mg_buf_put_u8(b, 0));
	must(mg_buf_put(b, p, n));
}

static void
put_signature(struct mg_buf *b, const struct mg_sshsig *sig)
{
	struct mg_buf in;

	mg_buf_init(&in, MG_SSHSIG_ARMOUR_MAX);
	if (sig->type == MG_SSHKEY_RSA)
		put_text(b, sig->rsa_hash == MG_SSHSIG_SHA256 ? "rsa-sha2-256"
							      : "rsa-sha2-512");
	else
		put_text(b, mg_sshkey_name(sig->type));
	if (sig->r != NULL) {
		put_number(&in, sig->r, sig->r_len);
		put_number(&in, sig->s, sig->s_len);
		must(mg_buf_put_bytes(b, mg_buf_ptr(&in), mg_buf_len(&in)));
	} else {
		must(mg_buf_put_bytes(b, sig->sig, sig->sig_len));
	}
	if (mg_sshkey_is_hardware(sig->type)) {
		must(mg_buf_put_u8(b, sig->flags));
		must(mg_buf_put_u32(b, sig->counter));
	}
	mg_buf_fini(&in);
}

/* There is one blob for what was read out of it. */
static void
check_one_form(const struct mg_sshsig *sig)
{
	struct mg_buf b, in;

	mg_buf_init(&b, 2 * MG_SSHSIG_ARMOUR_MAX);
	mg_buf_init(&in, MG_SSHSIG_ARMOUR_MAX);
	must(mg_buf_put(&b, "SSHSIG", 6));
	must(mg_buf_put_u32(&b, 1));
	must(mg_buf_put_bytes(&b, sig->key, sig->key_len));
	put_text(&b, sig->ns);
	put_text(&b, "");
	put_text(&b, sig->hash == MG_SSHSIG_SHA256 ? "sha256" : "sha512");
	put_signature(&in, sig);
	must(mg_buf_put_bytes(&b, mg_buf_ptr(&in), mg_buf_len(&in)));
	if (mg_buf_len(&b) != mg_buf_len(&sig->blob) ||
	    memcmp(mg_buf_ptr(&b), mg_buf_ptr(&sig->blob), mg_buf_len(&b)) != 0)
		abort();
	mg_buf_fini(&in);
	mg_buf_fini(&b);
}

static void
judge(const void *p, size_t n)
{
	char fp[MG_SSHSIG_FP_STR];
	struct mg_sshsig sig;
	const char *why = NULL;
	enum mg_err r;

	r = mg_sshsig_parse(&sig, p, n, &why);
	if (why == NULL || (r == MG_ERR_OK) != (why[0] == '\0'))
		abort();
	if (r == MG_ERR_OK) {
		check_one_form(&sig);
		if (mg_sshkey_is_hardware(sig.type) && (sig.flags & 1) == 0)
			abort();
		must(mg_sshsig_fingerprint(&sig, fp));
		r = mg_sshsig_verify(&sig, TEXT, strlen(TEXT), &why);
		if ((r == MG_ERR_OK) != (why[0] == '\0'))
			abort();
	}
	mg_sshsig_fini(&sig);
}

static void
judge_blob(const uint8_t *p, size_t n)
{
	struct mg_buf b64, b;
	const char *s;
	size_t left, step;

	mg_buf_init(&b64, 2 * MG_SSHSIG_ARMOUR_MAX);
	mg_buf_init(&b, 2 * MG_SSHSIG_ARMOUR_MAX);
	must(mg_b64_put(&b64, p, n));
	must(mg_buf_put_text(&b, "-----BEGIN SSH SIGNATURE-----\n"));
	s = (const char *)mg_buf_ptr(&b64);
	for (left = mg_buf_len(&b64); left > 0; left -= step, s += step) {
		step = left < WIDTH ? left : WIDTH;
		must(mg_buf_put(&b, s, step));
		must(mg_buf_put_u8(&b, '\n'));
	}
	must(mg_buf_put_text(&b, "-----END SSH SIGNATURE-----\n"));
	judge(mg_buf_ptr(&b), mg_buf_len(&b));
	mg_buf_fini(&b64);
	mg_buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0 || size > MG_SSHSIG_ARMOUR_MAX)
		return 0;
	if (data[0] == 'B')
		judge_blob(data + 1, size - 1);
	else
		judge(data + 1, size - 1);
	return 0;
}
