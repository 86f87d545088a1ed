#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# The host that all other system tests stand on is what it claims to be.

load lib

setup_file() { host_up; }
teardown_file() { host_down; }

# What of the machine a sandbox could have changed.
machine()
{
	mount
	ls -a /dev /run/lock /sys/fs/cgroup
	# Other tests come and go beside this one.
	ls -d /var/tmp/*modelgate* 2>/dev/null
	# People work in these two meanwhile.
	ls -a /srv /home
	find /etc /opt /usr/sbin /usr/libexec -xdev \
	    -path "$top" -prune -o -printf '%p %s %T@ %m %U\n' | sort
	hostname
}

@test "everybody logs in through sshd, with a login uid and an audit session" {
	for name in alice bob carol dave mallory ci-deploy; do
		run as "$name" 'id -un; cat /proc/self/loginuid; echo;
		    cat /proc/self/sessionid'
		ok
		[ "${lines[0]}" = "$name" ]
		[ "${lines[1]}" = "$(root id -u "$name" </dev/null)" ]
		[ "${lines[2]}" != 4294967295 ]
	done
}

@test "mlserve and root do not log in" {
	cp "$MG_DIR/keys/alice" "$MG_DIR/keys/mlserve"
	cp "$MG_DIR/keys/alice.pub" "$MG_DIR/keys/mlserve.pub"
	run as mlserve true
	rm "$MG_DIR/keys/mlserve" "$MG_DIR/keys/mlserve.pub"
	failed
	run ssh -F "$MG_DIR/ssh_config" -i "$MG_DIR/keys/alice" -o BatchMode=yes \
	    root@gpu-7 true
	failed
}

@test "one's key opens only one's own account" {
	run ssh -F /dev/null -o BatchMode=yes -o IdentitiesOnly=yes \
	    -o UserKnownHostsFile="$MG_DIR/known_hosts" \
	    -i "$MG_DIR/keys/mallory" \
	    -p "$(sed -n 's/^ssh_port=//p' "$MG_DIR/state")" \
	    alice@127.0.0.1 true
	failed
	has 'Permission denied'
}

@test "the login and what it does are in the audit log under the person's name" {
	as carol true
	run audit -i -m USER_START -ua carol
	ok
	has 'auid=carol'
	has 'exe=/usr/sbin/sshd'
}

@test "a change of the configuration is in the audit log" {
	root touch /etc/modelgate/agent.ini
	run audit -i -f /etc/modelgate/agent.ini
	ok
	has 'key=modelgate'
}

@test "what is written inside is not on the machine" {
	root sh -c 'touch /etc/mg-test /usr/bin/mg-test /var/lib/mg-test \
	    /srv/mg-test /root/mg-test /home/mg-test /dev/mg-test /run/mg-test \
	    /tmp/mg-test'
	for d in /etc /usr/bin /var/lib /srv /root /home /dev /run /tmp; do
		[ ! -e "$d/mg-test" ]
	done
}

@test "the people of the machine are not there" {
	# shellcheck disable=SC2016
	run root awk -F: '$3 >= 1000 && $3 < 65533 { print $1 }' /etc/passwd
	ok
	[ "$(sort <<<"$output" | xargs)" = "alice bob carol ci-deploy dave mallory" ]
}

@test "the served model reads the receipt, and worse with version 1" {
	run as alice read-receipt
	ok
	has 'Summe EUR'
	hasnt 'Müller'
	hasnt 'Brötchen'
	root setpriv --reuid mlserve --regid mlserve --clear-groups \
	    /usr/libexec/modelgate/ops/symlink deploy receipt-ocr 2
	run as alice read-receipt
	ok
	has '2 Brötchen'
}

@test "a code is never printed twice, and oathtool agrees with the first" {
	sb factor dave
	secret=$(cat "$MG_DIR/secrets/dave")
	before=$(oathtool --totp -b "$secret")
	first=$(sb totp dave)
	after=$(oathtool --totp -b "$secret")
	second=$(sb totp dave)
	again=$(sb totp dave --again)
	[ "$first" = "$before" ] || [ "$first" = "$after" ]
	[ "$first" != "$second" ]
	[ "$second" = "$again" ]
	run sb totp mallory
	failed
	has 'no second factor'
}

@test "a service that is killed is seen, and can be started again" {
	sb service sshd kill
	run sb status
	has 'sshd            stopped'
	run as alice true
	failed
	sb service sshd start
	as alice true
}

@test "status is valid JSON and names the ports that answer" {
	run sb status --json
	ok
	[ "$(jq -r .up <<<"$output")" = true ]
	port=$(jq .ssh_port <<<"$output")
	exec {tcp}<>"/dev/tcp/127.0.0.1/$port"
	read -r -t 5 banner <&"$tcp"
	[[ $banner == SSH-2.0-OpenSSH* ]]
}

@test "two at once do not see each other" {
	sb --name "$MG_SANDBOX-2" up
	root touch /etc/only-here
	run sb --name "$MG_SANDBOX-2" root test -e /etc/only-here
	failed
	# Both are watched, each by its own rules.
	for n in "$MG_SANDBOX" "$MG_SANDBOX-2"; do
		sb --name "$n" root touch "/etc/modelgate/only-$n"
		run audit -i -k "modelgate-$n" -f "/etc/modelgate/only-$n"
		ok
		has "key=modelgate-$n"
	done
	sb --name "$MG_SANDBOX-2" down
	as alice true
}

@test "down leaves no process, no mount, no file, no rule" {
	n=$MG_SANDBOX-3
	machine >"$BATS_TEST_TMPDIR/before"
	sb --name "$n" up
	# A process that does its best to stay.
	pid=$(sb --name "$n" root sh -c 'setsid sh -c "trap \"\" TERM HUP INT;
	    cd /etc; sleep 1000; :" </dev/null >/dev/null 2>&1 & echo $!')
	[ -d "/proc/$pid" ]
	sb --name "$n" down
	soon test ! -e "/proc/$pid"
	run auditctl -l
	hasnt "modelgate-$n"
	machine >"$BATS_TEST_TMPDIR/after"
	diff "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
}

@test "down ends what left its cgroup, and nothing of a sandbox that got its namespace's number" {
	n=$MG_SANDBOX-8
	sb --name "$n" up
	pid=$(sb --name "$n" root sh -c 'setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo $!')
	cgroups=$(findmnt -rno TARGET -t cgroup2 | head -n 1)
	echo "$pid" >"$cgroups/cgroup.procs"
	run sb --name "$n" down
	ok
	has "process $pid had left its cgroup"
	soon test ! -e "/proc/$pid"
	sb --name "$n" up
	sed -i "s/^ns=.*/$(grep ^ns= "$MG_DIR/state")/" "${MG_DIR%/*}/$n/state"
	run sb --name "$n" down
	ok
	hasnt 'had left'
	as alice true
}

@test "an interrupted up leaves nothing either" {
	n=$MG_SANDBOX-4
	machine >"$BATS_TEST_TMPDIR/before"
	for after in 0.2 0.5 0.8; do
		timeout --signal=INT "$after" "$top/scripts/sandbox" \
		    --name "$n" up >/dev/null 2>&1 3>&- || :
		run sb list
		hasnt "$n"
		sb --name "$n" down 2>/dev/null || :
	done
	machine >"$BATS_TEST_TMPDIR/after"
	diff "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
}

@test "after an up that was killed, up starts afresh" {
	n=$MG_SANDBOX-5
	"$top/scripts/sandbox" --name "$n" up >/dev/null 2>&1 3>&- &
	soon test -s "${MG_DIR%/*}/$n/state"
	kill -KILL $!
	run sb --name "$n" ssh alice true
	failed
	sb --name "$n" up
	sb --name "$n" ssh alice true
	sb --name "$n" down
}

@test "a port that is taken is said to be" {
	run env MG_SANDBOX_SSH_PORT="$(sed -n 's/^ssh_port=//p' "$MG_DIR/state")" \
	    "$top/scripts/sandbox" --name "$MG_SANDBOX-6" up 3>&-
	failed
	has 'is taken'
	run sb list
	hasnt "$MG_SANDBOX-6"
}

@test "without a build, up says what to do, and leaves nothing" {
	run env MG_BUILD="$BATS_TEST_TMPDIR/nothing" \
	    "$top/scripts/sandbox" --name "$MG_SANDBOX-7" up 3>&-
	failed
	has 'not built: no '
	has 'run make'
	run sb list
	hasnt "$MG_SANDBOX-7"
}

@test "a folder that is not root's alone is refused" {
	mkdir -m 777 "/var/tmp/mg-base.$$"
	run env MG_SANDBOX_BASE="/var/tmp/mg-base.$$" \
	    "$top/scripts/sandbox" --name x up 3>&-
	rmdir "/var/tmp/mg-base.$$"
	failed
	has "not root's alone"
}
