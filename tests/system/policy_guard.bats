#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# The guard on the guard: a policy, and the approvers' keys, that only
# stewards can replace, whoever is root on the host.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031

bats_require_minimum_version 1.5.0
load lib
load policy_lib

etc=/etc/modelgate

setup_file()
{
	policy_up
	# Stewards: bob and carol, with one key for both uses; mallory has a
	# key for approvals only.
	root sh -c "sed -i '/^bob\|^carol/s/modelgate-approval/modelgate-approval,modelgate-policy/;
	    1i # version 1' $etc/allowed_signers"
	root mkdir -p $etc/signatures
	new_policy 1
	sign policy bob carol
	sb service modelgated restart
}
teardown_file() { host_down; }

# new_policy VERSION [LINES]: into /etc, signed by nobody.
new_policy()
{
	root sh -c "rm -f $etc/signatures/policy.*; cat >$etc/policy.d/zz-guard.ini" <<-END
	[policy]
	version = $1
	signed-by = 2 security-steward
	[role security-steward]
	members = bob, carol
	[rule one]
	operation = one
	role = ml-engineer
	${2-}
	END
}

# sign policy|allowed_signers WHO...: with the people's own keys and tool.
sign()
{
	local what=$1 who
	shift
	for who in "$@"; do
		if [ "$what" = policy ]; then
			as "$who" "modelgate policy sign -f ~/.ssh/id_ed25519" 2>/dev/null
		else
			as "$who" "modelgate policy sign --signers $etc/allowed_signers" 2>/dev/null
		fi | root sh -c "cat >$etc/signatures/$what.$who.sig"
	done
}
in_force() { root modelgate doctor --json </dev/null | jq -r '.[] | select(.check == "agent") .text'; }
guard_says() { root modelgate doctor --json </dev/null | jq -r '.[] | select(.check == "policy in force") | "\(.result) \(.text)"'; }
digest() { root modelgate policy digest </dev/null; }
is_in_force() { [[ $(in_force) == *"$(digest | cut -c 1-19)"* ]]; }
hup() { kill -HUP "$(pid_of modelgated)"; }
more() { [ "$(refusals)" -gt "$n" ]; }
refusals() { ledger policy | jq -c 'select(.ok == false)' | wc -l; }

@test "a policy that two stewards signed is in force, and doctor says so" {
	is_in_force
	run guard_says
	has 'as the files, signed'
	run as alice 'modelgate run one m@1'
	ok
	run ledger policy
	[ "$(jq -c 'select(.version == 1 and .what == "policy") .by | sort' <<<"$output" | head -n 1)" = '["bob","carol"]' ] || fail 'not signed by both'
	has '"what":"allowed_signers"'
}

@test "a hand edit is detected, on record, and what was in force stays, restarts too" {
	before=$(in_force)
	n=$(refusals)
	root sh -c "printf '[rule all-for-mallory]\noperation = one\nuser = mallory\n' >$etc/policy.d/zz-edit.ini"
	# seen without a reload
	run guard_says
	has fail
	has 'was changed and is not in force'
	[ "$(refusals)" -gt "$n" ]
	run audit -m USYS_CONFIG -sv no
	ok
	has 'op=modelgate:policy'
	run root modelgate status
	has 'not in force'
	# a reload does not take it, a restart neither
	n=$(refusals)
	hup
	soon more
	run sb log modelgated
	has 'its version is 1, and version 1 was in force'
	root sed -i 's/^version = 1/version = 5/' $etc/policy.d/zz-guard.ini </dev/null
	n=$(refusals)
	hup
	soon more
	run sb log modelgated
	has 'it must be signed by 2 security-steward; 0 good signatures were found'
	[ "$(in_force)" = "$before" ]
	run as mallory 'modelgate run one m@1'
	[ "$status" -eq 125 ]
	sb service modelgated restart
	[ "$(in_force)" = "$before" ]
	run as mallory 'modelgate run one m@1'
	[ "$status" -eq 125 ]
	run as alice 'modelgate run one m@1'
	ok
	# put back: all is well again
	root rm $etc/policy.d/zz-edit.ini
	root sed -i 's/^version = 5/version = 1/' $etc/policy.d/zz-guard.ini </dev/null
	hup
	soon sh -c "'$top/scripts/sandbox' root modelgate doctor --json </dev/null | grep -q 'as the files, signed'"
}

@test "one steward twice, one steward and a stranger, another's key: not enough" {
	before=$(in_force)
	new_policy 2 'lasts = 5m'
	sign policy bob
	root cp $etc/signatures/policy.bob.sig $etc/signatures/policy.carol.sig
	as mallory "modelgate policy sign" 2>/dev/null </dev/null |
	    root sh -c "cat >$etc/signatures/policy.mallory.sig"
	as dave "modelgate policy sign" 2>/dev/null </dev/null |
	    root sh -c "cat >$etc/signatures/policy.dave.sig"
	n=$(refusals)
	hup
	soon more
	[ "$(in_force)" = "$before" ]
	run sb log modelgated
	has '1 good signature was found'
	has "the signing key is of 'bob', not of 'carol'"
	has 'the signing key is not for modelgate-policy'
}

@test "who signs an approval text signs no policy: the namespaces differ" {
	before=$(in_force)
	as carol "modelgate policy sign --print | ssh-keygen -q -Y sign -n modelgate-approval -f ~/.ssh/id_ed25519" </dev/null |
	    root sh -c "cat >$etc/signatures/policy.carol.sig"
	n=$(refusals)
	hup
	soon more
	[ "$(in_force)" = "$before" ]
}

@test "the next version comes into force once the second steward signs, with stock ssh-keygen" {
	as carol "modelgate policy sign --print | ssh-keygen -q -Y sign -n modelgate-policy -f ~/.ssh/id_ed25519" </dev/null |
	    root sh -c "cat >$etc/signatures/policy.carol.sig"
	hup
	soon is_in_force
	run guard_says
	has 'as the files, signed'
}

@test "an older version, signed as it was, does not come back, restart or not" {
	before=$(in_force)
	new_policy 1
	sign policy bob carol
	n=$(refusals)
	hup
	soon more
	run sb log modelgated
	has 'its version is 1, and version 2 was in force'
	sb service modelgated restart
	[ "$(in_force)" = "$before" ]
	# nor by putting the agent's own copies out of the way
	sb service modelgated stop
	root sh -c 'mv /var/lib/modelgate/policy /var/lib/modelgate/policy.away'
	run sb service modelgated start
	failed
	run sb log modelgated
	has 'the policy in force'
	has 'put it back'
	root sh -c 'mv /var/lib/modelgate/policy.away /var/lib/modelgate/policy'
	sb service modelgated start
	[ "$(in_force)" = "$before" ]
}

@test "whoever writes the folder cannot write himself in as a steward" {
	before=$(in_force)
	new_policy 9
	root sed -i 's/^members = bob, carol$/members = mallory/; s/2 security-steward/1 security-steward/' $etc/policy.d/zz-guard.ini </dev/null
	sign policy mallory
	n=$(refusals)
	hup
	soon more
	# nor drop the demand
	root sed -i '/signed-by/d' $etc/policy.d/zz-guard.ini </dev/null
	n=$(refusals)
	hup
	soon more
	[ "$(in_force)" = "$before" ]
}

@test "a changed copy in the agent's own folder is not believed" {
	before=$(in_force)
	new_policy 2 'lasts = 5m'
	sb service modelgated stop
	root sh -c "printf '[rule x]\noperation = one\nuser = mallory\n' >>\$(ls -d /var/lib/modelgate/policy/*/policy.d)/rules.ini"
	# what lies in /etc is the very policy that was in force
	sb service modelgated start
	[ "$(in_force)" = "$before" ]
	run as mallory 'modelgate run one m@1'
	[ "$status" -eq 125 ]
}

@test "a key added to allowed_signers by hand approves nothing, until stewards sign" {
	root sh -c "cp -p $etc/allowed_signers /tmp/signers; ssh-keygen -q -t ed25519 -N '' -f /tmp/newkey"
	root sh -c "printf 'bob namespaces=\"modelgate-approval,modelgate-policy\" %s\n' \"\$(cut -d' ' -f1,2 /tmp/newkey.pub)\" >>$etc/allowed_signers"
	run guard_says
	has 'allowed_signers was changed and is not in force'
	# with that key alone nobody can make a policy either
	new_policy 3 'lasts = 6m'
	root sh -c "for n in bob carol; do modelgate policy sign --print | ssh-keygen -q -Y sign -n modelgate-policy -f /tmp/newkey >$etc/signatures/policy.\$n.sig; done" </dev/null
	n=$(refusals)
	hup
	soon more
	run sb log modelgated
	has 'the signing key is not in it'
	new_policy 2 'lasts = 5m'
	# signed by both, with a higher version: it counts
	root sh -c "sed -i '1s/.*/# version 2/' $etc/allowed_signers"
	sign allowed_signers bob carol
	hup
	soon sh -c "'$top/scripts/sandbox' root modelgate doctor --json </dev/null | grep -q 'as the files, signed'"
	# and the one before does not come back
	root sh -c "cp -p /tmp/signers $etc/allowed_signers; sed -i '1s/.*/# version 2/' $etc/allowed_signers"
	sign allowed_signers bob carol
	n=$(refusals)
	hup
	soon more
	run sb log modelgated
	has 'its version is 2, and version 2 was in force'
}

@test "a policy that does not load: the old one stays, every problem is shown and on record" {
	before=$(in_force)
	root sh -c "printf '[rule bad]\noperation = nosuch\nfoo = bar\n[nonsense]\n' >$etc/policy.d/zz-bad.ini"
	n=$(refusals)
	hup
	soon more
	[ "$(in_force)" = "$before" ]
	run root modelgate doctor
	has 'zz-bad.ini:2:13'
	has 'zz-bad.ini:3:1'
	has 'zz-bad.ini:4:2'
	run ledger policy
	has '"errors":["/etc/modelgate/policy.d/zz-bad.ini:'
	run as alice 'modelgate doctor'
	hasnt 'zz-bad.ini:3:1'
	root rm $etc/policy.d/zz-bad.ini
}
