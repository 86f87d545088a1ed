/* SPDX-License-Identifier: ISC */
/*
 * Reads signature files (Sigstore bundles) of the OpenSSF Model Signing.
 *
 * Rules
 * 1. Unknown members are refused: a part that we skip could be the part
 *    that another reader goes by.
 * 2. Exactly one method and one signature: with two, one reader verifies
 *    the first and reports the second.
 * 3. A key inside the bundle is never used: whoever forged the signature
 *    wrote it.
 */
#include <string.h>

#include "mg_id.h"
#include "verify/mg_oms_int.h"

#define SIG_MAX 1024
#define CERTS_BYTES_MAX 131072

static enum mg_err
read_key(struct mg_oms_bundle *b, const json_t *key, struct mg_oms_fail *fail)
{
	static const char *const names[] = {
	    "hint", "rawBytes", "keyDetails", NULL};
	uint8_t raw[32];
	const char *s;
	json_t *hint;
	enum mg_err r;

	if ((r = mg_oms_only(key, names, "'publicKey'", fail)) != MG_ERR_OK)
		return r;
	b->method = MG_OMS_KEYED;
	if ((hint = json_object_get(key, "hint")) == NULL) {
		/* Before version 1.1 of the reference implementation. */
		return mg_oms_get(key, "rawBytes", JSON_STRING, fail) == NULL
			   ? MG_ERR_FORMAT
			   : MG_ERR_OK; /* Rule 3 */
	}
	s = json_string_value(hint);
	if (s == NULL || !mg_unhex(s, raw, sizeof(raw)))
		return mg_oms_say(fail, MG_ERR_FORMAT, MG_OMS_FIELD,
		    "'hint' is not 64 lower-case hex digits");
	memcpy(b->hint, s, sizeof(b->hint));
	return MG_ERR_OK;
}

static enum mg_err
add_cert(struct mg_oms_bundle *b, const json_t *cert, struct mg_oms_fail *fail)
{
	static const char *const names[] = {"rawBytes", NULL};
	struct mg_buf der;
	json_t *raw;
	enum mg_err r;

	if (!json_is_object(cert))
		return mg_oms_say(fail, MG_ERR_FORMAT, MG_OMS_FIELD,
		    "'certificates' holds something that is not an object");
	if ((r = mg_oms_only(cert, names, "a certificate", fail)) != MG_ERR_OK)
		return r;
	if ((raw = mg_oms_get(cert, "rawBytes", JSON_STRING, fail)) == NULL)
		return MG_ERR_FORMAT;
	mg_buf_init(&der, CERTS_BYTES_MAX);
	r = mg_oms_base64(
	    &der, json_string_value(raw), "a certificate's 'rawBytes'", fail);
	if (r == MG_ERR_OK) {
		b->cert_len[b->ncerts++] = mg_buf_len(&der);
		r = mg_buf_put(&b->certs, mg_buf_ptr(&der), mg_buf_len(&der));
		if (r != MG_ERR_OK)
			(void)mg_oms_say(fail, r,
			    r == MG_ERR_NOMEM ? MG_OMS_NOMEM : MG_OMS_TOO_LARGE,
			    "'certificates': %s", mg_err_str(r));
	}
	mg_buf_fini(&der);
	return r;
}

static enum mg_err
read_chain(
    struct mg_oms_bundle *b, const json_t *chain, struct mg_oms_fail *fail)
{
	static const char *const names[] = {"certificates", NULL};
	json_t *certs;
	enum mg_err r;
	size_t i, n;

	r = mg_oms_only(chain, names, "'x509CertificateChain'", fail);
	if (r != MG_ERR_OK)
		return r;
	certs = mg_oms_get(chain, "certificates", JSON_ARRAY, fail);
	if (certs == NULL)
		return MG_ERR_FORMAT;
	n = json_array_size(certs);
	if (n == 0 || n > MG_OMS_CERTS_MAX)
		return mg_oms_say(fail, MG_ERR_FORMAT, MG_OMS_FIELD,
		    "'certificates' holds %zu certificates, not 1 to %d", n,
		    MG_OMS_CERTS_MAX);
	b->method = MG_OMS_CERTIFIED;
	for (i = 0; i < n && r == MG_ERR_OK; i++)
		r = add_cert(b, json_array_get(certs, i), fail);
	return r;
}

static enum mg_err
read_material(
    struct mg_oms_bundle *b, const json_t *m, struct mg_oms_fail *fail)
{
	static const char *const names[] = {"publicKey", "x509CertificateChain",
	    "certificate", "tlogEntries", "timestampVerificationData", NULL};
	json_t *key = json_object_get(m, "publicKey");
	json_t *chain = json_object_get(m, "x509CertificateChain");
	json_t *cert = json_object_get(m, "certificate");
	json_t *log = json_object_get(m, "tlogEntries");
	enum mg_err r;

	r = mg_oms_only(m, names, "'verificationMaterial'", fail);
	if (r != MG_ERR_OK)
		return r;
	if (log != NULL && !json_is_array(log))
		return mg_oms_say(fail, MG_ERR_FORMAT, MG_OMS_FIELD,
		    "'tlogEntries' is not an array");
	if ((key != NULL) + (chain != NULL) + (cert != NULL) != 1)
		return mg_oms_say(fail, MG_ERR_FORMAT, MG_OMS_FIELD,
		    "'verificationMaterial' names not exactly one method");
	if (cert != NULL) /* Rule 2 */
		return mg_oms_say(fail, MG_ERR_FORMAT, MG_OMS_SIGSTORE,
		    "signed with sigstore, which is not supported: "
		    "a key or a chain of certificates is");
	if (key != NULL && json_is_object(key))
		return read_key(b, key, fail);
	if (chain != NULL && json_is_object(chain))
		return read_chain(b, chain, fail);
	return mg_oms_say(fail, MG_ERR_FORMAT, MG_OMS_FIELD,
	    "'%s' is not an object",
	    key != NULL ? "publicKey" : "x509CertificateChain");
}

/* Rule 2 */
static enum mg_err
read_signatures(
    struct mg_oms_bundle *b, const json_t *env, struct mg_oms_fail *fail)
{
	static const char *const names[] = {"sig", "keyid", NULL};
	json_t *sigs, *sig, *keyid;
	enum mg_err r;

	sigs = mg_oms_get(env, "signatures", JSON_ARRAY, fail);
	if (sigs == NULL)
		return MG_ERR_FORMAT;
	sig = json_array_get(sigs, 0);
	if (json_array_size(sigs) != 1 || !json_is_object(sig))
		return mg_oms_say(fail, MG_ERR_FORMAT, MG_OMS_FIELD,
		    "'signatures' does not hold exactly one signature");
	if ((r = mg_oms_only(sig, names, "a signature", fail)) != MG_ERR_OK)
		return r;
	keyid = json_object_get(sig, "keyid"); /* says nothing */
	if (keyid != NULL && !json_is_string(keyid) && !json_is_null(keyid))
		return mg_oms_say(fail, MG_ERR_FORMAT, MG_OMS_FIELD,
		    "'keyid' is not a string");
	if ((sig = mg_oms_get(sig, "sig", JSON_STRING, fail)) == NULL)
		return MG_ERR_FORMAT;
	return mg_oms_base64(&b->sig, json_string_value(sig), "'sig'", fail);
}

static enum mg_err
read_envelope(
    struct mg_oms_bundle *b, const json_t *env, struct mg_oms_fail *fail)
{
	static const char *const names[] = {
	    "payload", "payloadType", "signatures", NULL};
	json_t *payload, *type;
	enum mg_err r;

	r = mg_oms_only(env, names, "'dsseEnvelope'", fail);
	if (r != MG_ERR_OK)
		return r;
	type = mg_oms_get(env, "payloadType", JSON_STRING, fail);
	if (type == NULL)
		return MG_ERR_FORMAT;
	if (strcmp(json_string_value(type), OMS_PAYLOAD_TYPE) != 0)
		return mg_oms_say(fail, MG_ERR_FORMAT, MG_OMS_PAYLOAD_TYPE,
		    "'payloadType' is not " OMS_PAYLOAD_TYPE);
	if ((r = read_signatures(b, env, fail)) != MG_ERR_OK)
		return r;
	payload = mg_oms_get(env, "payload", JSON_STRING, fail);
	if (payload == NULL)
		return MG_ERR_FORMAT;
	return mg_oms_base64(
	    &b->payload, json_string_value(payload), "'payload'", fail);
}

static enum mg_err
read_bundle(struct mg_oms_bundle *b, const json_t *j, struct mg_oms_fail *fail)
{
	static const char *const names[] = {
	    "mediaType", "verificationMaterial", "dsseEnvelope", NULL};
	json_t *type, *m, *env;
	enum mg_err r;

	if ((r = mg_oms_only(j, names, "signature file", fail)) != MG_ERR_OK)
		return r; /* Rule 1 */
	if ((type = mg_oms_get(j, "mediaType", JSON_STRING, fail)) == NULL)
		return MG_ERR_FORMAT;
	if (strcmp(json_string_value(type), OMS_MEDIA_TYPE) != 0)
		return mg_oms_say(fail, MG_ERR_FORMAT, MG_OMS_MEDIA_TYPE,
		    "'mediaType' is not " OMS_MEDIA_TYPE);
	m = mg_oms_get(j, "verificationMaterial", JSON_OBJECT, fail);
	if (m == NULL)
		return MG_ERR_FORMAT;
	if ((r = read_material(b, m, fail)) != MG_ERR_OK)
		return r;
	if ((env = mg_oms_get(j, "dsseEnvelope", JSON_OBJECT, fail)) == NULL)
		return MG_ERR_FORMAT;
	return read_envelope(b, env, fail);
}

enum mg_err
mg_oms_bundle_parse(struct mg_oms_bundle *b, const void *text, size_t len,
    struct mg_oms_fail *fail)
{
	json_t *j = NULL;
	enum mg_err r;

	memset(b, 0, sizeof(*b));
	memset(fail, 0, sizeof(*fail));
	mg_buf_init(&b->payload, MG_OMS_BUNDLE_MAX);
	mg_buf_init(&b->sig, SIG_MAX);
	mg_buf_init(&b->certs, CERTS_BYTES_MAX);
	r = mg_oms_json(text, len, "signature file", &j, fail);
	if (r == MG_ERR_OK)
		r = read_bundle(b, j, fail);
	json_decref(j);
	if (r != MG_ERR_OK)
		mg_oms_bundle_fini(b);
	return r;
}

void
mg_oms_bundle_fini(struct mg_oms_bundle *b)
{
	mg_buf_fini(&b->payload);
	mg_buf_fini(&b->sig);
	mg_buf_fini(&b->certs);
	memset(b, 0, sizeof(*b));
}
