/* SPDX-License-Identifier: ISC */
/*
 * Addresses and networks.
 *
 * Rules
 * 1. A v4 address that comes written as v6 (::ffff:10.1.2.3) is the v4
 *    address, so that no rule is passed by the other spelling.
 * 2. A network is written in its one canonical form: bits beyond the prefix
 *    are a mistake whose meaning two readers would guess differently.
 * 3. A v6 network holds no v4 address, though these stand inside ::/0 here:
 *    who writes ::/0 speaks of v6.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "pol.h"

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

static bool
parse_plain(const char *s, struct pol_addr *a, bool *is_v4p)
{
	struct in_addr v4;

	*is_v4p = inet_pton(AF_INET, s, &v4) == 1;
	if (*is_v4p) {
		memcpy(a->b, mapped, sizeof(mapped)); /* Rule 1 */
		memcpy(a->b + 12, &v4, 4);
		return true;
	}
	return inet_pton(AF_INET6, s, a->b) == 1;
}

bool
pol_addr_parse(const char *s, struct pol_addr *a)
{
	char text[INET6_ADDRSTRLEN];
	size_t n = strcspn(s, "%"); /* a link-local's interface */
	bool is_v4;

	if (n >= sizeof(text))
		return false;
	memcpy(text, s, n);
	text[n] = '\0';
	return parse_plain(text, a, &is_v4);
}

/* Clears the bits from number bits on. */
static struct pol_addr
mask(struct pol_addr a, unsigned bits)
{
	unsigned i;

	for (i = 0; i < 16; i++) {
		if (bits >= 8 * (i + 1))
			continue;
		a.b[i] &=
		    bits <= 8 * i ? 0 : (uint8_t)(0xff00U >> (bits - 8 * i));
	}
	return a;
}

static void
say_canonical(struct pol_load *ld, size_t off, const struct pol_addr *a,
    unsigned bits, bool is_v4)
{
	char text[INET6_ADDRSTRLEN] = "";

	if (is_v4)
		inet_ntop(AF_INET, a->b + 12, text, sizeof(text));
	else
		inet_ntop(AF_INET6, a->b, text, sizeof(text));
	pol_err(ld, off, "there are bits behind the prefix; write %s/%u", text,
	    is_v4 ? bits - 96 : bits);
}

static bool
parse_net(struct pol_load *ld, const char *s, size_t n, size_t off,
    struct pol_net *net)
{
	const char *slash = memchr(s, '/', n);
	size_t len = slash == NULL ? n : (size_t)(slash - s);
	char text[INET6_ADDRSTRLEN];
	struct pol_addr a;
	unsigned bits = 0, max;
	bool is_v4;

	if (len < sizeof(text)) {
		memcpy(text, s, len);
		text[len] = '\0';
	}
	if (len >= sizeof(text) || !parse_plain(text, &net->a, &is_v4)) {
		pol_err(ld, off,
		    "'%.*s' is not an address or a network such as "
		    "10.0.0.0/8 or 2001:db8::/32",
		    (int)n, s);
		return false;
	}
	max = is_v4 ? 32 : 128;
	if (slash == NULL)
		bits = max;
	else if (n - len - 1 == 1 && slash[1] == '0')
		bits = 0;
	else if (!pol_count(
		     ld, slash + 1, n - len - 1, off + len + 1, max, &bits))
		return false;
	if (!is_v4 && memcmp(net->a.b, mapped, sizeof(mapped)) == 0) {
		pol_err(ld, off, "write a v4 address in its own form");
		return false;
	}
	bits += is_v4 ? 96 : 0;
	a = mask(net->a, bits);
	if (memcmp(&a, &net->a, sizeof(a)) != 0) { /* Rule 2 */
		say_canonical(ld, off, &a, bits, is_v4);
		return false;
	}
	net->bits = (uint8_t)bits;
	return true;
}

static bool
may_be_local(struct pol_load *ld)
{
	if ((ld->can & MG_POLICY_CAN_LOCAL) != 0)
		return true;
	pol_err(ld, 0, "this version of the agent cannot honour 'local'");
	return false;
}

const struct pol_nets *
pol_nets_parse(struct pol_load *ld)
{
	const struct pol_nets *shared;
	struct pol_nets *nets;
	struct pol_net v[POL_ITEMS_MAX];
	uint32_t n = 0, npos = 0;
	uint64_t hash = 1;
	struct pol_iter it;
	bool ok = true, local = false, not_local = false;

	if ((shared = pol_shared_get(ld, 'n', ld->ln->value)) != NULL)
		return shared;
	pol_iter_init(&it, ld->ln->value);
	while (pol_iter_next(ld, &it)) {
		bool neg = it.s[0] == '!';

		hash += pol_hash64(it.s, it.len);
		if (it.len - neg == 5 && memcmp(it.s + neg, "local", 5) == 0) {
			ok = may_be_local(ld) && ok;
			local = local || !neg;
			not_local = not_local || neg;
			npos += !neg;
			continue;
		}
		ok = parse_net(
			 ld, it.s + neg, it.len - neg, it.off + neg, &v[n]) &&
		     ok;
		v[n++].neg = neg;
		npos += !neg;
	}
	if (!ok || it.failed)
		return NULL;
	nets = pol_alloc(&ld->p->mem, sizeof(*nets) + n * sizeof(v[0]));
	if (nets == NULL || (nets->text = pol_strndup(&ld->p->mem,
				 ld->ln->value, strlen(ld->ln->value))) == NULL)
		return pol_oom(ld);
	nets->hash = hash;
	nets->local = local;
	nets->not_local = not_local;
	nets->n = n;
	nets->npos = npos;
	memcpy(nets->v, v, n * sizeof(v[0]));
	pol_shared_put(ld, 'n', ld->ln->value, nets);
	return nets;
}

static bool
is_v4(const struct pol_addr *a)
{
	return memcmp(a->b, mapped, sizeof(mapped)) == 0;
}

bool
pol_net_is_v4(const struct pol_net *net)
{
	return net->bits >= 96 && is_v4(&net->a);
}

static bool
is_in(const struct pol_net *net, const struct pol_addr *a)
{
	unsigned whole = net->bits / 8, rest = net->bits % 8;

	if (pol_net_is_v4(net) != is_v4(a) || /* Rule 3 */
	    memcmp(net->a.b, a->b, whole) != 0)
		return false;
	return rest == 0 ||
	       ((net->a.b[whole] ^ a->b[whole]) >> (8 - rest)) == 0;
}

bool
pol_nets_match(const struct pol_nets *nets, const struct pol_addr *a)
{
	bool yes = nets->npos == 0;
	uint32_t i;

	if (a == NULL)
		return !nets->not_local && (yes || nets->local);
	for (i = 0; i < nets->n; i++) {
		if (!is_in(&nets->v[i], a))
			continue;
		if (nets->v[i].neg)
			return false;
		yes = true;
	}
	return yes;
}
