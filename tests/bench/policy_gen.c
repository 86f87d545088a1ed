/* SPDX-License-Identifier: ISC */
/*
 * Writes one large policy in five languages: ours, Cedar, casbin, sudoers
 * and doas.conf, and the questions to ask of it.
 *
 *	policy_gen RULES DIR [SEED]
 *
 * 10,000 users in three groups each, 5,000 models in 200 projects; a rule
 * is about one role, one operation, a model or a project, and every other
 * one about an environment. A twentieth denies. The same numbers always
 * give the same files.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define USERS 10000
#define MODELS 5000
#define PROJECTS 200
#define OPS 6
#define ENVS 4
#define QUESTIONS 20000

static const char *const ops[OPS] = {
    "deploy", "promote", "rollback", "retire", "download", "scale"};
static const char *const envs[ENVS] = {
    "production", "staging", "test", "research"};

static uint64_t state;

static uint32_t
below(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)((state >> 16) % n);
}

struct rule {
	uint32_t role, op, model, project, env;
	int by_project, has_env, denies, asks;
};

static uint32_t nrules, nroles;
static struct rule *rules;
static uint32_t role_of[USERS][3];

static uint32_t
project_of(uint32_t model)
{
	return model % PROJECTS;
}

static void
make_rules(void)
{
	uint32_t i, k;

	for (i = 0; i < USERS; i++)
		for (k = 0; k < 3; k++)
			role_of[i][k] = below(nroles);
	for (i = 0; i < nrules; i++) {
		struct rule *r = &rules[i];

		r->role = below(nroles);
		r->op = below(OPS);
		r->model = below(MODELS);
		r->project = below(PROJECTS);
		r->env = below(ENVS);
		r->by_project = below(4) == 0;
		r->has_env = below(2) == 0;
		r->denies = below(20) == 0;
		r->asks = below(3) == 0;
	}
}

static FILE *
create(const char *dir, const char *name)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if ((f = fopen(path, "w")) == NULL) {
		perror(path);
		exit(1);
	}
	return f;
}

static void
finish(FILE *f)
{
	if (ferror(f) || fclose(f) != 0) {
		perror("policy_gen");
		exit(1);
	}
}

static void
put_ours(const char *dir)
{
	FILE *f = create(dir, "policy.d/people.ini");
	uint32_t i;

	for (i = 0; i < nroles; i++)
		fprintf(f, "[role r%u]\nmembers = @g%u\n\n", i, i);
	for (i = 0; i < USERS; i++)
		fprintf(f, "[user u%u]\nteam = t%u\n\n", i, i % 50);
	fprintf(f, "[role owner]\nmembers = u1, u2\n\n"
		   "[role steward]\nmembers = u3, u4\n");
	finish(f);
	f = create(dir, "policy.d/models.ini");
	for (i = 0; i < MODELS; i++)
		fprintf(f, "[model m%u]\nproject = p%u\ntier = %s\n\n", i,
		    project_of(i), i % 10 == 0 ? "high" : "low");
	finish(f);
	f = create(dir, "policy.d/rules.ini");
	for (i = 0; i < nrules; i++) {
		const struct rule *r = &rules[i];

		fprintf(f, "[rule rule-%u]\n%soperation = %s\nrole = r%u\n", i,
		    r->denies ? "effect = deny\n" : "", ops[r->op], r->role);
		if (r->by_project)
			fprintf(f, "model = project:p%u\n", r->project);
		else
			fprintf(f, "model = m%u\n", r->model);
		if (r->has_env)
			fprintf(f, "host = env:%s\n", envs[r->env]);
		if (r->asks && !r->denies)
			fprintf(f, "mfa = required\n"
				   "approve = 1 owner, 1 steward\n");
		fputc('\n', f);
	}
	finish(f);
	f = create(dir, "operations.d/ops.ini");
	for (i = 0; i < OPS; i++)
		fprintf(f,
		    "[operation %s]\ncommand = /bin/true %s {model} "
		    "{version}\nrun-as = mlserve\n\n",
		    ops[i], ops[i]);
	finish(f);
}

static void
put_cedar(const char *dir)
{
	FILE *f = create(dir, "policy.cedar");
	uint32_t i;

	for (i = 0; i < nrules; i++) {
		const struct rule *r = &rules[i];

		fprintf(f,
		    "%s(principal in Role::\"r%u\", action == "
		    "Action::\"%s\", ",
		    r->denies ? "forbid" : "permit", r->role, ops[r->op]);
		if (r->by_project)
			fprintf(f, "resource in Project::\"p%u\")", r->project);
		else
			fprintf(f, "resource == Model::\"m%u\")", r->model);
		if (r->has_env)
			fprintf(
			    f, " when { context.env == \"%s\" }", envs[r->env]);
		fprintf(f, ";\n");
	}
	finish(f);
}

static void
put_casbin(const char *dir)
{
	FILE *f = create(dir, "casbin.csv");
	uint32_t i, k;

	for (i = 0; i < nrules; i++) {
		const struct rule *r = &rules[i];

		fprintf(f, "p, r%u, %c%u, %s, %s, %s\n", r->role,
		    r->by_project ? 'p' : 'm',
		    r->by_project ? r->project : r->model, ops[r->op],
		    r->has_env ? envs[r->env] : "*",
		    r->denies ? "deny" : "allow");
	}
	for (i = 0; i < USERS; i++)
		for (k = 0; k < 3; k++)
			fprintf(f, "g, u%u, r%u\n", i, role_of[i][k]);
	for (i = 0; i < MODELS; i++)
		fprintf(f, "g2, m%u, p%u\n", i, project_of(i));
	finish(f);
}

/* These know neither denial, nor projects, nor environments. */
static void
put_host_tools(const char *dir)
{
	FILE *sudoers = create(dir, "sudoers"),
	     *doas = create(dir, "doas.conf");
	uint32_t i;

	for (i = 0; i < nrules; i++) {
		const struct rule *r = &rules[i];

		fprintf(sudoers,
		    "%%g%u ALL = (daemon) NOPASSWD: /bin/true %s m%u *\n",
		    r->role, ops[r->op], r->model);
		fprintf(doas,
		    "permit nopass :g%u as daemon cmd /bin/true args %s m%u "
		    "7\n",
		    r->role, ops[r->op], r->model);
	}
	finish(sudoers);
	finish(doas);
}

/* Half of them are about a rule, by somebody who has its role. */
static void
put_questions(const char *dir)
{
	FILE *f = create(dir, "questions.tsv");
	uint32_t i, user, k, op, model, env;

	for (i = 0; i < QUESTIONS; i++) {
		user = below(USERS);
		op = below(OPS);
		model = below(MODELS);
		env = below(ENVS);
		if (i % 2 == 0) {
			const struct rule *r = &rules[below(nrules)];

			for (k = 0; k < 3 * USERS; k++)
				if (role_of[(user + k / 3) % USERS][k % 3] ==
				    r->role)
					break;
			user = (user + k / 3) % USERS;
			op = r->op;
			model = r->by_project
				    ? r->project + PROJECTS * below(25)
				    : r->model;
			env = r->has_env ? r->env : env;
		}
		fprintf(f, "u%u\t%s\tm%u\t%s\tg%u,g%u,g%u\tp%u\n", user,
		    ops[op], model, envs[env], role_of[user][0],
		    role_of[user][1], role_of[user][2], project_of(model));
	}
	finish(f);
}

int
main(int argc, char **argv)
{
	char path[512];

	if (argc < 3 || argc > 4) {
		fprintf(stderr, "usage: policy_gen RULES DIR [SEED]\n");
		return 2;
	}
	nrules = (uint32_t)strtoul(argv[1], NULL, 10);
	state = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
	state = state * UINT64_C(0x9e3779b97f4a7c15) + 88172645463325252U;
	nroles = nrules / 50 < 10 ? 10 : nrules / 50;
	nroles = nroles > 2000 ? 2000 : nroles;
	if (nrules == 0 || (rules = calloc(nrules, sizeof(*rules))) == NULL)
		return 1;
	make_rules();
	(void)mkdir(argv[2], 0755);
	snprintf(path, sizeof(path), "%s/policy.d", argv[2]);
	(void)mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/operations.d", argv[2]);
	(void)mkdir(path, 0755);
	put_ours(argv[2]);
	put_cedar(argv[2]);
	put_casbin(argv[2]);
	put_host_tools(argv[2]);
	put_questions(argv[2]);
	free(rules);
	return 0;
}
