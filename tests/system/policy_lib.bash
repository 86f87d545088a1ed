# SPDX-License-Identifier: ISC
# shellcheck shell=bash
#
# What the tests of the policy in a running agent share; for `load policy_lib`
# after `load lib`. Everything here asks for operations that do nothing, by
# people without a second factor, so that a test is about one thing.

# Operations for every test, and a rule-free start.
policy_up()
{
	host_up
	local who
	for who in dave ci-deploy; do
		printf '%s namespaces="modelgate-approval" %s\n' "$who" \
		    "$(cut -d' ' -f1,2 "$MG_DIR/keys/$who.pub")"
	done | root sh -c 'cat >>/etc/modelgate/allowed_signers'
	sb service modelgate-hub restart
	root sh -c 'cat >/etc/modelgate/operations.d/noop.ini' <<-'END'
	[operation one]
	command = /bin/echo one {model} {version}
	run-as = mlserve
	[operation two]
	command = /bin/echo two {model} {version}
	run-as = mlserve
	[operation three]
	command = /bin/echo three {model} {version}
	run-as = mlserve
	[operation wait]
	command = /bin/sleep 1000
	run-as = mlserve
	END
}

# policy [LINES...]: the test's own file of policy, from standard input.
policy() { extra_policy; }

# ask USER OPERATION [MODEL@VERSION]: files it and does not wait; its code.
ask()
{
	as "$1" "modelgate run $2 $3 --no-wait --reason test" 2>&1 </dev/null |
	    sed -n 's/.*is filed as \([0-9A-Z]*\)$/\1/p'
}

# answer USER OPERATION MODEL@VERSION...: runs it, once more if need be.
answer() { as "$1" "modelgate run ${*:2}" </dev/null; }

# why ID: the word for which it ended.
why() { root modelgate status "$1" --json </dev/null | jq -r '.[0].why'; }
