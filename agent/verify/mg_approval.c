/* SPDX-License-Identifier: ISC */
/*
 * Our own judgement of a signed approval.
 *
 * Rules
 * 1. The key decides who signed, and the file decides whose key it is: a
 *    signature by anybody else's key is no, whatever name came with it.
 * 2. Cheap and certain checks come first: nobody who stands in no file gets
 *    to spend our time on arithmetic.
 */
#include <stdio.h>
#include <string.h>

#include "mg_signers.h"
#include "mg_text.h"
#include "verify/mg_approval.h"

#define FILE_NAME "allowed_signers"

/* What a key has to be for; 0: no such namespace, and no key is. */
static unsigned
use_of(const char *ns)
{
	if (strcmp(ns, MG_TEXT_NAMESPACE) == 0)
		return MG_SIGNER_APPROVALS;
	return strcmp(ns, MG_TEXT_POLICY_NAMESPACE) == 0 ? MG_SIGNER_POLICY : 0;
}

/* Rule 1 */
static enum mg_err
check_signer(const struct mg_approval *a, const struct mg_sshsig *sig,
    char *why, size_t size)
{
	const struct mg_signer *signer;
	struct mg_signers *signers;
	struct mg_diags ds;
	enum mg_err r;

	mg_diags_init(&ds);
	r = mg_signers_parse(MG_SIGNERS_APPROVERS, FILE_NAME,
	    (const char *)a->signers, a->signers_len, &signers, &ds);
	if (r != MG_ERR_OK) {
		if (r == MG_ERR_NOMEM)
			snprintf(why, size, "%s: %s", FILE_NAME, mg_err_str(r));
		else
			mg_diags_first(&ds, why, size);
		return r;
	}
	r = MG_ERR_PERM;
	signer = mg_signers_find(signers, sig->key, sig->key_len);
	if (!mg_signers_has_name(signers, a->principal))
		snprintf(why, size, "%s: has no key of '%s'", FILE_NAME,
		    a->principal);
	else if (signer == NULL)
		snprintf(
		    why, size, "%s: the signing key is not in it", FILE_NAME);
	else if (strcmp(signer->name, a->principal) != 0)
		snprintf(why, size,
		    "%s:%u: the signing key is of '%s', not of '%s'", FILE_NAME,
		    signer->line, signer->name, a->principal);
	else if ((signer->uses & use_of(a->ns)) == 0)
		snprintf(why, size, "%s:%u: the signing key is not for %s",
		    FILE_NAME, signer->line, a->ns);
	else if (!mg_signer_is_valid(signer, a->now_ms))
		snprintf(why, size, "%s:%u: the signing key is not valid now",
		    FILE_NAME, signer->line);
	else
		r = MG_ERR_OK;
	mg_signers_free(signers);
	return r;
}

enum mg_err
mg_approval_check(const struct mg_approval *a, struct mg_approval_key *keyp,
    char *why, size_t why_size)
{
	const char *text = "";
	struct mg_sshsig sig;
	enum mg_err r;

	memset(keyp, 0, sizeof(*keyp));
	keyp->type = "";
	why[0] = '\0';
	r = mg_sshsig_parse(&sig, a->sig, a->sig_len, &text);
	if (r != MG_ERR_OK)
		goto out;
	if ((r = mg_sshsig_fingerprint(&sig, keyp->fp)) != MG_ERR_OK)
		goto out;
	keyp->type = mg_sshkey_name(sig.type);
	keyp->is_hardware = mg_sshkey_is_hardware(sig.type);
	if (strcmp(sig.ns, a->ns) != 0) {
		text = "signature: namespace is another one";
		r = MG_ERR_PERM;
		goto out;
	}
	r = check_signer(a, &sig, why, why_size); /* Rule 2 */
	if (r == MG_ERR_OK)
		r = mg_sshsig_verify(&sig, a->text, a->text_len, &text);
out:
	if (r != MG_ERR_OK && why[0] == '\0')
		snprintf(why, why_size, "%s",
		    text[0] == '\0' ? mg_err_str(r) : text);
	mg_sshsig_fini(&sig);
	return r;
}
