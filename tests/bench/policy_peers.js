// SPDX-License-Identifier: ISC
//
// The questions of policy_gen, asked of Cedar and casbin.
//
//	node policy_peers.js DIR COUNT cedar|casbin
//
// Prints the median and the time to load, tab-separated, and compares what
// they say with DIR/ours.txt: a difference ends with status 1.
'use strict';
const fs = require('fs');
const path = require('path');

const [dir, countText, peer] = process.argv.slice(2);
const read = (name) => fs.readFileSync(path.join(dir, name), 'utf8');
const questions = read('questions.tsv').trim().split('\n')
	.slice(0, Number(countText)).map((line) => {
		const [user, op, model, env, groups, project] = line.split('\t');
		return { user, op, model, env, groups: groups.split(','), project };
	});
const ours = read('ours.txt').split('\n');
const uid = (type, id) => ({ type, id });

function cedar() {
	const wasm = require('@cedar-policy/cedar-wasm/nodejs');
	const parsed = wasm.preparsePolicySet('p',
		{ staticPolicies: read('policy.cedar') });
	if (parsed.type !== 'success')
		throw new Error(JSON.stringify(parsed).slice(0, 500));
	return (q) => {
		const roles = q.groups.map((g) => uid('Role', 'r' + g.slice(1)));
		const answer = wasm.statefulIsAuthorized({
			principal: uid('User', q.user),
			action: uid('Action', q.op),
			resource: uid('Model', q.model),
			context: { env: q.env },
			preparsedPolicySetId: 'p',
			entities: [
				{ uid: uid('User', q.user), attrs: {}, parents: roles },
				...roles.map((r) => ({ uid: r, attrs: {}, parents: [] })),
				{ uid: uid('Model', q.model), attrs: {},
					parents: [uid('Project', q.project)] },
				{ uid: uid('Project', q.project), attrs: {}, parents: [] },
			],
		});
		if (answer.type !== 'success')
			throw new Error(JSON.stringify(answer).slice(0, 500));
		return answer.response.decision === 'allow';
	};
}

async function casbin() {
	const { newEnforcer, newModelFromString, StringAdapter } =
		require('casbin');
	const model = newModelFromString(`
[request_definition]
r = sub, obj, act, env
[policy_definition]
p = sub, obj, act, env, eft
[role_definition]
g = _, _
g2 = _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = r.act == p.act && (p.env == "*" || r.env == p.env) && (r.obj == p.obj || g2(r.obj, p.obj)) && g(r.sub, p.sub)
`);
	const e = await newEnforcer(model, new StringAdapter(read('casbin.csv')));
	return (q) => e.enforceSync(q.user, q.model, q.op, q.env);
}

(async () => {
	let start = process.hrtime.bigint();
	const ask = peer === 'cedar' ? cedar() : await casbin();
	const loaded = Number(process.hrtime.bigint() - start) / 1e6;
	const times = [];
	let wrong = 0;
	questions.slice(0, 3).forEach(ask);
	questions.forEach((q, i) => {
		start = process.hrtime.bigint();
		const yes = ask(q);
		times.push(Number(process.hrtime.bigint() - start));
		wrong += yes !== (ours[i] === 'allow');
	});
	times.sort((a, b) => a - b);
	console.log([times[times.length >> 1], loaded.toFixed(0), wrong]
		.join('\t'));
	process.exitCode = wrong > 0 ? 1 : 0;
})();
