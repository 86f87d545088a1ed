/* SPDX-License-Identifier: ISC */
/*
 * Finding the rules that may apply without looking at all of them.
 *
 * The rules of an operation form a tree. An inner node is about one
 * dimension (role, user, model, host): a rule stands below the atoms of that
 * dimension that it names, or below "any" when it names none. Who asks goes
 * down by the atoms that hold for the ask, which are few. What is found is
 * a superset of what applies; every rule is then matched as a whole.
 *
 * Rules
 * 1. The tree only leaves out rules that cannot apply: each rule stands
 *    below every atom of which one must hold, and "possibly" holds counts.
 * 2. Where the way down has more branches than the stack holds, all rules of
 *    the operation are looked at instead.
 */
#include <stdlib.h>
#include <string.h>

#include "pol.h"

#define LEAF_MAX 8	  /* rules that are quicker looked at than split */
#define NEAR_PER_KEY 6	  /* rules that a remedy chooses from */
#define STACK_MAX 512	  /* nodes still to be visited */
#define SPREAD_MAX 8	  /* times a rule may stand in the tree, on average */
#define SPREAD_MORE 65536 /* for small policies */

/* ---- the tree's hash: (node, atom) to node ---- */

static uint64_t
edge_key(uint32_t node, uint32_t atom)
{
	return (uint64_t)(node + 1) << 32 | atom;
}

static void
edge_fetch(const struct pol_edges *ix, uint32_t node, uint32_t atom)
{
	if (ix->mask != 0)
		__builtin_prefetch(
		    &ix->edge[(uint32_t)pol_mix64(edge_key(node, atom)) &
			      ix->mask]);
}

static uint32_t
edge_find(const struct pol_edges *ix, uint32_t node, uint32_t atom)
{
	uint64_t key = edge_key(node, atom);
	uint32_t at;

	if (ix->mask == 0)
		return POL_NONE;
	for (at = (uint32_t)pol_mix64(key) & ix->mask; ix->edge[at].key != 0;
	     at = (at + 1) & ix->mask)
		if (ix->edge[at].key == key)
			return ix->edge[at].child;
	return POL_NONE;
}

static bool
edges_grow(struct pol_edges *ix)
{
	uint32_t size = ix->mask == 0 ? 64 : (ix->mask + 1) * 2, i, at;
	struct pol_edge *old = ix->edge, *e;
	uint32_t n = ix->mask == 0 ? 0 : ix->mask + 1;

	if ((e = calloc(size, sizeof(*e))) == NULL)
		return false;
	ix->edge = e;
	ix->mask = size - 1;
	for (i = 0; i < n; i++) {
		if (old[i].key == 0)
			continue;
		at = (uint32_t)pol_mix64(old[i].key) & ix->mask;
		while (e[at].key != 0)
			at = (at + 1) & ix->mask;
		e[at] = old[i];
	}
	free(old);
	return true;
}

static bool
edge_add(struct pol_edges *ix, uint32_t node, uint32_t atom, uint32_t child)
{
	uint32_t at;

	if (2 * (ix->nedges + 1) > ix->mask && !edges_grow(ix))
		return false;
	at = (uint32_t)pol_mix64(edge_key(node, atom)) & ix->mask;
	while (ix->edge[at].key != 0)
		at = (at + 1) & ix->mask;
	ix->edge[at].key = edge_key(node, atom);
	ix->edge[at].child = child;
	ix->nedges++;
	return true;
}

/* ---- building ---- */

/* A set of rules that is to become a node. */
struct task {
	uint32_t *rules;
	uint32_t n, node;
	unsigned used; /* dimensions that were split above */
};

struct builder {
	struct mg_policy *p;
	struct pol_index *ix;
	struct task *tasks;
	uint32_t ntasks, cap;
	uint32_t *count; /* by atom; all 0 between uses */
	uint32_t *seen;	 /* atoms with a count */
	uint32_t nseen;
	uint64_t left; /* places that may still be used */
};

static const struct pol_sel *
sel_of(const struct pol_rule *r, enum pol_dim dim)
{
	switch (dim) {
	case POL_DIM_NONE:
		break;
	case POL_DIM_ROLE:
		return r->role;
	case POL_DIM_USER:
		return r->user;
	case POL_DIM_MODEL:
		return r->model;
	case POL_DIM_HOST:
		return r->host;
	}
	return NULL;
}

/*
 * Goes through the atoms below which a rule stands: the first term of each
 * item that does not exclude. *atp begins at 0; false at the end.
 */
static bool
next_atom(const struct pol_sel *sel, uint32_t *atp, uint32_t *atomp)
{
	uint32_t head;

	while (*atp < sel->nwords) {
		head = sel->w[*atp];
		*atomp = sel->w[*atp + 1];
		*atp += 1 + (head & ~POL_SEL_NOT);
		if ((head & POL_SEL_NOT) == 0)
			return true;
	}
	return false;
}

static bool
is_open(const struct pol_sel *sel)
{
	return sel == NULL || sel->npos == 0;
}

/* Counts the atoms of the task's rules; returns how many rules are open. */
static uint32_t
count_atoms(struct builder *b, const struct task *t, enum pol_dim dim)
{
	uint32_t i, at, atom, nopen = 0;
	const struct pol_sel *sel;

	b->nseen = 0;
	for (i = 0; i < t->n; i++) {
		sel = sel_of(pol_rule(b->p, t->rules[i]), dim);
		if (is_open(sel)) {
			nopen++;
			continue;
		}
		for (at = 0; next_atom(sel, &at, &atom);)
			if (b->count[atom]++ == 0)
				b->seen[b->nseen++] = atom;
	}
	return nopen;
}

static void
forget_counts(struct builder *b)
{
	while (b->nseen > 0)
		b->count[b->seen[--b->nseen]] = 0;
}

/* How many rules an ask meets below, if asks are spread as the rules are. */
static double
cost_of(struct builder *b, const struct task *t, enum pol_dim dim,
    uint64_t *spreadp)
{
	uint32_t nopen = count_atoms(b, t, dim), i;
	double squares = 0;
	uint64_t sum = 0;

	for (i = 0; i < b->nseen; i++) {
		double c = b->count[b->seen[i]];

		squares += c * c;
		sum += b->count[b->seen[i]];
	}
	forget_counts(b);
	*spreadp = sum + nopen;
	return sum == 0 ? t->n : nopen + squares / (double)sum;
}

static enum pol_dim
best_dim(struct builder *b, const struct task *t)
{
	enum pol_dim dim, best = POL_DIM_NONE;
	double cost, best_cost = t->n * 0.75;
	uint64_t spread;

	if (t->n <= LEAF_MAX)
		return POL_DIM_NONE;
	for (dim = POL_DIM_ROLE; dim <= POL_DIM_HOST; dim++) {
		if (((t->used >> dim) & 1) != 0)
			continue;
		cost = cost_of(b, t, dim, &spread);
		if (cost < best_cost && spread <= b->left) {
			best = dim;
			best_cost = cost;
		}
	}
	return best;
}

static uint32_t
new_node(struct builder *b)
{
	struct pol_inode *node = pol_vec_add(&b->ix->nodes, sizeof(*node));

	if (node == NULL)
		return POL_NONE;
	node->any = POL_NONE;
	return b->ix->nodes.n - 1;
}

/* Adds a task with room for n rules; NULL: out of memory. */
static struct task *
new_task(struct builder *b, uint32_t n, unsigned used)
{
	uint32_t cap = b->cap == 0 ? 64 : b->cap * 2;
	struct task *t;

	if (b->ntasks == b->cap) {
		if ((t = reallocarray(b->tasks, cap, sizeof(*t))) == NULL)
			return NULL;
		b->tasks = t;
		b->cap = cap;
	}
	t = &b->tasks[b->ntasks];
	t->rules = malloc(((size_t)n + 1) * sizeof(*t->rules));
	t->node = new_node(b);
	if (t->rules == NULL || t->node == POL_NONE) {
		free(t->rules);
		return NULL;
	}
	t->n = 0;
	t->used = used;
	b->ntasks++;
	return t;
}

static bool
make_leaf(struct builder *b, const struct task *t)
{
	struct pol_inode *node = pol_inode(b->ix, t->node);
	uint32_t i, *slot;

	node->first = b->ix->pool.n;
	node->n = t->n;
	for (i = 0; i < t->n; i++) {
		if ((slot = pol_vec_add(&b->ix->pool, sizeof(*slot))) == NULL)
			return false;
		*slot = t->rules[i];
	}
	return true;
}

/* One new task for each atom, and one for the rules that are open. */
static bool
split(struct builder *b, const struct task *t, enum pol_dim dim)
{
	uint32_t nopen, first = b->ntasks, i, at, atom;
	unsigned used = t->used | 1U << dim;
	const struct pol_sel *sel;
	struct task *to;

	nopen = count_atoms(b, t, dim);
	/* seen[i] has task first + i; count[] then finds it by atom. */
	for (i = 0; i < b->nseen; i++) {
		atom = b->seen[i];
		if ((to = new_task(b, b->count[atom], used)) == NULL ||
		    !edge_add(&b->ix->edges, t->node, atom, to->node)) {
			forget_counts(b);
			return false;
		}
		b->count[atom] = first + i + 1;
	}
	to = nopen == 0 ? NULL : new_task(b, nopen, used);
	for (i = 0; i < t->n && (nopen == 0 || to != NULL); i++) {
		sel = sel_of(pol_rule(b->p, t->rules[i]), dim);
		if (to != NULL && is_open(sel)) {
			to->rules[to->n++] = t->rules[i];
			continue;
		}
		for (at = 0; next_atom(sel, &at, &atom);) {
			struct task *child = &b->tasks[b->count[atom] - 1];

			/* An atom twice in one rule: once is enough. */
			if (child->n == 0 ||
			    child->rules[child->n - 1] != t->rules[i]) {
				child->rules[child->n++] = t->rules[i];
				b->left -= b->left > 0;
			}
		}
	}
	forget_counts(b);
	if (nopen > 0 && to == NULL)
		return false;
	pol_inode(b->ix, t->node)->dim = dim;
	if (to != NULL)
		pol_inode(b->ix, t->node)->any = to->node;
	return true;
}

static bool
build_op(struct builder *b, struct pol_op *op)
{
	struct task *t, task;
	enum pol_dim dim;
	bool ok = true;

	if ((t = new_task(b, op->rules.n, 0)) == NULL)
		return false;
	if (op->rules.n > 0)
		memcpy(t->rules, op->rules.v, op->rules.n * sizeof(*t->rules));
	t->n = op->rules.n;
	op->index = t->node;
	while (ok && b->ntasks > 0) {
		task = b->tasks[--b->ntasks];
		dim = best_dim(b, &task);
		ok = dim == POL_DIM_NONE ? make_leaf(b, &task)
					 : split(b, &task, dim);
		free(task.rules);
	}
	return ok;
}

/* Memory that will be asked for in a moment, in one go. */
static void
fetch_rules(const struct mg_policy *p, const uint32_t *ids, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		__builtin_prefetch(pol_rule(p, ids[i]));
}

/* ---- rules to choose a remedy from ---- */

/* An allowing rule under an operation and an atom of models, or none. */
struct near {
	uint64_t key;
	uint32_t rule, conds;
};

#define NO_ATOM (POL_NONE - 1)

static int
by_key(const void *a, const void *b)
{
	const struct near *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	if (x->conds != y->conds)
		return x->conds < y->conds ? -1 : 1;
	return x->rule < y->rule ? -1 : 1; /* they are sorted by name */
}

/* Rules with few conditions are the best advice. */
static uint32_t
conditions(const struct pol_rule *r)
{
	return (r->user != NULL) * 4U + (r->role != NULL) + (r->model != NULL) +
	       (r->version != NULL) * 2U + (r->host != NULL) +
	       (r->from != NULL) + (r->time != NULL) + (r->when != NULL) +
	       r->creator;
}

static bool
add_near(struct pol_vec *all, const struct pol_rule *r, uint32_t rule,
    uint32_t op, uint32_t atom)
{
	struct near *n = pol_vec_add(all, sizeof(*n));

	if (n == NULL)
		return false;
	n->key = edge_key(op, atom);
	n->rule = rule;
	n->conds = conditions(r);
	return true;
}

static bool
add_near_rule(
    struct pol_vec *all, const struct mg_policy *p, uint32_t op, uint32_t rule)
{
	const struct pol_rule *r = pol_rule(p, rule);
	uint32_t at = 0, atom;

	if (r->effect != POL_ALLOW)
		return true;
	if (is_open(r->model))
		return add_near(all, r, rule, op, NO_ATOM);
	while (next_atom(r->model, &at, &atom))
		if (!add_near(all, r, rule, op, atom))
			return false;
	return true;
}

static bool
keep(struct pol_index *ix, uint32_t v)
{
	uint32_t *slot = pol_vec_add(&ix->near_pool, sizeof(*slot));

	if (slot != NULL)
		*slot = v;
	return slot != NULL;
}

/* The first few rules of each key, behind their number. */
static bool
keep_near(struct pol_index *ix, const struct near *v, uint32_t n)
{
	uint32_t i, end, k, count;

	for (i = 0; i < n; i = end) {
		for (end = i + 1; end < n && v[end].key == v[i].key;)
			end++;
		count = end - i < NEAR_PER_KEY ? end - i : NEAR_PER_KEY;
		if (!edge_add(&ix->near, (uint32_t)(v[i].key >> 32) - 1,
			(uint32_t)v[i].key, ix->near_pool.n) ||
		    !keep(ix, count))
			return false;
		for (k = 0; k < count; k++)
			if (!keep(ix, v[i + k].rule))
				return false;
	}
	return true;
}

static bool
build_near(struct mg_policy *p)
{
	struct pol_vec all = {0};
	uint32_t i, k;
	bool ok = true;

	for (i = 0; i < p->ops.n; i++)
		for (k = 0; ok && k < pol_op(p, i)->rules.n; k++)
			ok = add_near_rule(
			    &all, p, i, ((uint32_t *)pol_op(p, i)->rules.v)[k]);
	if (ok && all.n > 0) {
		qsort(all.v, all.n, sizeof(struct near), by_key);
		ok = keep_near(&p->index, all.v, all.n);
	}
	pol_vec_fini(&all);
	return ok;
}

static void
visit_near(const struct pol_facts *f, uint32_t op, uint32_t atom,
    pol_visit_fn fn, void *arg)
{
	const uint32_t *pool = f->p->index.near_pool.v;
	uint32_t at = edge_find(&f->p->index.near, op, atom), i;

	if (at == POL_NONE)
		return;
	fetch_rules(f->p, pool + at + 1, pool[at]);
	for (i = 1; i <= pool[at]; i++)
		fn(arg, pol_rule(f->p, pool[at + i]));
}

void
pol_index_near(
    const struct pol_facts *f, uint32_t op, pol_visit_fn fn, void *arg)
{
	uint32_t i;

	for (i = 0; i < f->nmodel; i++)
		edge_fetch(&f->p->index.near, op, f->model[i]);
	visit_near(f, op, NO_ATOM, fn, arg);
	for (i = 0; i < f->nmodel; i++)
		visit_near(f, op, f->model[i], fn, arg);
}

/* ---- all of it ---- */

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct pol_rule *)a)->name,
	    ((const struct pol_rule *)b)->name);
}

/* By name, so that the order of files means nothing; each under its ops. */
static bool
sort_rules(struct mg_policy *p)
{
	uint32_t i, k, *slot;

	if (p->rules.n > 1)
		qsort(p->rules.v, p->rules.n, sizeof(struct pol_rule), by_name);
	for (i = 0; i < p->rules.n; i++) {
		const struct pol_ids *ops = pol_rule(p, i)->ops;

		for (k = 0; k < ops->n; k++) {
			slot = pol_vec_add(
			    &pol_op(p, ops->v[k])->rules, sizeof(*slot));
			if (slot == NULL)
				return false;
			*slot = i;
		}
	}
	return true;
}

static uint32_t
largest_space(const struct mg_policy *p)
{
	uint32_t n = p->roles.n;

	n = p->user_atoms.n > n ? p->user_atoms.n : n;
	n = p->models.atoms.n > n ? p->models.atoms.n : n;
	return p->host_atoms.n > n ? p->host_atoms.n : n;
}

void
pol_index_build(struct pol_load *ld)
{
	struct mg_policy *p = ld->p;
	uint32_t n = largest_space(p) + 1, i;
	struct builder b = {.p = p, .ix = &p->index};
	bool ok;

	b.left = (uint64_t)p->rules.n * SPREAD_MAX + SPREAD_MORE;
	b.count = calloc(n, sizeof(*b.count));
	b.seen = calloc(n, sizeof(*b.seen));
	ok = b.count != NULL && b.seen != NULL && sort_rules(p);
	for (i = 0; ok && i < p->ops.n; i++)
		ok = build_op(&b, pol_op(p, i));
	ok = ok && build_near(p);
	while (b.ntasks > 0)
		free(b.tasks[--b.ntasks].rules);
	free(b.tasks);
	free(b.count);
	free(b.seen);
	if (!ok)
		ld->no_memory = true;
}

void
pol_index_fini(struct pol_index *ix)
{
	pol_vec_fini(&ix->nodes);
	pol_vec_fini(&ix->pool);
	pol_vec_fini(&ix->near_pool);
	free(ix->edges.edge);
	free(ix->near.edge);
	memset(ix, 0, sizeof(*ix));
}

/* ---- finding ---- */

/* The way down: nodes still to be visited. */
struct walk {
	const struct pol_facts *f;
	uint32_t stack[STACK_MAX], n;
	bool overflow;
};

static void
push(struct walk *w, uint32_t node)
{
	if (node == POL_NONE)
		return;
	if (w->n == STACK_MAX)
		w->overflow = true; /* Rule 2 */
	else
		w->stack[w->n++] = node;
}

static void
push_atoms(struct walk *w, uint32_t node, const uint32_t *atoms, uint32_t n)
{
	const struct pol_edges *edges = &w->f->p->index.edges;
	uint32_t i;

	for (i = 0; i < n; i++)
		edge_fetch(edges, node, atoms[i]);
	for (i = 0; i < n; i++)
		push(w, edge_find(edges, node, atoms[i]));
}

/* Rule 1: what is possibly held is followed, too. */
static void
push_roles(struct walk *w, uint32_t node)
{
	const struct pol_facts *f = w->f;
	uint32_t words = (f->p->roles.n + 63) / 64, held[64], n = 0, i;
	uint64_t set;

	for (i = 0; i < words; i++) {
		for (set = f->roles.maybe[i]; set != 0; set &= set - 1) {
			held[n++] = i * 64 + (uint32_t)__builtin_ctzll(set);
			if (n < sizeof(held) / sizeof(held[0]))
				continue;
			push_atoms(w, node, held, n);
			n = 0;
		}
	}
	push_atoms(w, node, held, n);
}

static void
push_children(struct walk *w, uint32_t id, const struct pol_inode *node)
{
	const struct pol_facts *f = w->f;

	push(w, node->any);
	switch (node->dim) {
	case POL_DIM_NONE:
		return;
	case POL_DIM_ROLE:
		push_roles(w, id);
		return;
	case POL_DIM_USER:
		push_atoms(w, id, f->user, f->nuser);
		return;
	case POL_DIM_MODEL:
		push_atoms(w, id, f->model, f->nmodel);
		return;
	case POL_DIM_HOST:
		push_atoms(w, id, f->host, f->nhost);
		return;
	}
}

static void
visit_all(const struct pol_facts *f, const struct pol_op *op, pol_visit_fn fn,
    void *arg)
{
	uint32_t i;

	for (i = 0; i < op->rules.n; i++)
		fn(arg, pol_rule(f->p, ((uint32_t *)op->rules.v)[i]));
}

static void
visit_leaf(const struct pol_facts *f, const struct pol_inode *leaf,
    pol_visit_fn fn, void *arg)
{
	const uint32_t *ids =
	    (const uint32_t *)f->p->index.pool.v + leaf->first;
	uint32_t i;

	fetch_rules(f->p, ids, leaf->n);
	for (i = 0; i < leaf->n; i++)
		fn(arg, pol_rule(f->p, ids[i]));
}

void
pol_index_visit(const struct pol_facts *f, const struct pol_op *op,
    pol_visit_fn fn, void *arg)
{
	const struct pol_index *ix = &f->p->index;
	const struct pol_inode *node;
	struct walk w;
	uint32_t id;

	w.f = f;
	w.n = 0;
	w.overflow = false;
	push(&w, op->index);
	while (w.n > 0 && !w.overflow) {
		id = w.stack[--w.n];
		node = pol_inode(ix, id);
		if (node->n > 0)
			visit_leaf(f, node, fn, arg);
		if (node->dim != POL_DIM_NONE)
			push_children(&w, id, node);
	}
	if (w.overflow)
		visit_all(f, op, fn, arg);
}
