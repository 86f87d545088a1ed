#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# modelgate doctor: a host that enforces, and each way in which it does not.

load lib

setup_file() { host_up; }
teardown_file() { host_down; }

doctor() { run root modelgate doctor --json </dev/null; }
# found CHECK RESULT: the check says so, and names a fix unless all is well.
found()
{
	jq -e --arg c "$1" --arg r "$2" \
	    'any(.[]; .check == $c and .result == $r and
		($r == "ok" or .fix != ""))' <<<"$output" >/dev/null ||
	    fail "no $2 of $1"
}
# drift: what audit has of the check "files", a result a line.
drift()
{
	audit -m USYS_CONFIG |
	    sed -n "s/.*modelgate:doctor check=files .*res=\([a-z]*\).*/\1/p"
}
# broken CHECK: it fails now, and the exit status says so.
broken()
{
	doctor
	[ "$status" -eq 1 ]
	found "$1" fail
}
# edit FILE SED: changes it until mended.
edit()
{
	root sh -c "cp -p $1 $1.kept" </dev/null
	root sed -i "$2" "$1" </dev/null
	edited="${edited-} $1"
}
mend()
{
	root sh -c "for f in $edited; do mv \$f.kept \$f; done" </dev/null
	edited=
}

@test "a host that enforces passes every check" {
	doctor
	ok
	[ "$(jq '[.[] | select(.result == "fail")] | length' <<<"$output")" = 0 ]
	for c in 'pam sshd' 'pam sudo' 'pam sudo-i' 'pam su' 'pam login' 'pam doas' agent \
	    audit ledger policy models login setuid sudoers; do
		found "$c" ok
	done
	run root modelgate doctor </dev/null
	ok
	has '0 failed'
}

@test "a stack that does not call the module" {
	edit /etc/pam.d/su-l '/pam_modelgate/d'
	edit /etc/pam.d/su '/pam_modelgate/d'
	broken 'pam su'
	mend
}

@test "doas, nopass or not, is behind the gate, and is looked at where it is configured" {
	run as mallory doas id
	[ "$status" -ne 0 ]
	hasnt 'uid=0'
	has 'no rule allows this'
	edit /etc/pam.d/doas '/pam_modelgate/d'
	broken 'pam doas'
	mend
	root mv /etc/doas.conf /etc/doas.kept
	doctor
	root mv /etc/doas.kept /etc/doas.conf
	jq -e 'all(.[]; .check != "pam doas")' <<<"$output"
}

@test "pkexec, which asks polkit and not us, is named" {
	[ -e /usr/bin/pkexec ] || skip 'no pkexec here'
	doctor
	found pkexec warning
	root chmod u-s /usr/bin/pkexec
	doctor
	root chmod u+s /usr/bin/pkexec
	jq -e 'all(.[]; .check != "pkexec")' <<<"$output"
}

@test "a control word that does not bind, and a dash in front" {
	for to in 's/^\(account *\)required\( *pam_modelgate\)/\1optional\2/' \
	    's/^account\( *required *pam_modelgate\)/-account\1/'; do
		edit /etc/pam.d/sudo "$to"
		broken 'pam sudo'
		mend
	done
}

@test "a line in front that lets people in" {
	for line in 'account sufficient pam_permit.so' \
	    'account [success=1 default=ignore] pam_permit.so' \
	    'account [success=done default=ignore] pam_permit.so'; do
		edit /etc/pam.d/sshd "0,/^account.*pam_modelgate/s//$line\n&/"
		broken 'pam sshd'
		mend
	done
}

@test "a shell that is asked about as a login" {
	edit /etc/pam.d/sudo-i 's/ operation=root-shell//'
	edit /etc/pam.d/sudo 's/ operation=root-shell//'
	broken 'pam sudo'
	mend
}

@test "an sshd that does not ask PAM" {
	edit /etc/ssh/sshd_config 's/^UsePAM.*/UsePAM no/'
	broken sshd
	mend
}

@test "a sudo that does not ask PAM" {
	edit /etc/sudoers '$ a Defaults:alice !pam_acct_mgmt'
	broken sudoers
	mend
}

@test "keys and passwords of the serving user" {
	root sh -c 'mkdir -p /srv/serve/.ssh; echo x >/srv/serve/.ssh/authorized_keys' \
	    </dev/null
	broken login
	root rm -r /srv/serve/.ssh </dev/null
	edit /etc/shadow 's/^mlserve:[^:]*:/mlserve:plain:/'
	broken login
	mend
}

@test "a program that becomes the serving user" {
	root sh -c 'cp /bin/true /opt/t; chown mlserve /opt/t; chmod u+s /opt/t' \
	    </dev/null
	broken setuid
	root rm /opt/t </dev/null
}

@test "models that others can write: mode, group, access list, folder above" {
	f=$(root find /srv/models -type f </dev/null | head -n 1)
	d=$(dirname "$f")
	for how in "chmod o+w $f" "chgrp users $f; chmod g+w $f" \
	    "setfacl -m u:mallory:w $f" "chown mallory $d" "chmod o+w /srv"; do
		root sh -c "getfacl -p /srv $d $f >/tmp/acl; $how" </dev/null
		broken models
		root sh -c 'cd / && setfacl --restore=/tmp/acl' </dev/null
	done
	doctor
	ok
}

@test "files that decide and that others can write" {
	for f in /etc/modelgate/policy.d/rules.ini /etc/pam.d/login; do
		root chmod o+w "$f" </dev/null
		broken files
		root chmod o-w "$f" </dev/null
	done
}

@test "an agent.ini that would keep the agent from starting again" {
	edit /etc/modelgate/agent.ini '1i [limits]\nclients = many'
	broken 'next start'
	has '/etc/modelgate/agent.ini:2:'
	mend
	doctor
	found 'next start' ok
}

@test "a key of the hub that others can read" {
	root chmod o+r /etc/modelgate/hub_host_key </dev/null
	broken 'hub key'
	root chmod o-r /etc/modelgate/hub_host_key </dev/null
	doctor
	found 'hub key' warning
}

@test "an agent that is not there" {
	sb service modelgated stop
	broken agent
	has 'it is not running'
	sb service modelgated start
	doctor
	ok
}

@test "drift is on record once, and its end too" {
	run root modelgate doctor --record </dev/null
	before=$(drift)
	root chmod o+w /etc/pam.d/login </dev/null
	run root modelgate doctor --record </dev/null
	[ "$status" -eq 1 ]
	run root modelgate doctor --record </dev/null
	[ "$status" -eq 1 ]
	root chmod o-w /etc/pam.d/login </dev/null
	run root modelgate doctor --record </dev/null
	ok
	# auditd takes its time to write
	drifted() { [ "$(drift)" = "${before:+$before$'\n'}failed
success" ]; }
	soon drifted || fail "$(drift)"
}

@test "who is not root is told that not all was looked at" {
	run as alice modelgate doctor
	has 'not root'
	run as alice modelgate doctor --record
	[ "$status" -eq 1 ]
	has 'audit'
}
