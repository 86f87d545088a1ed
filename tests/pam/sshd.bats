#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# The module in the real sshd, with the shipped stack and a played agent:
# what people see, and what the agent gets to know.

# The scripts for ns() are meant to be expanded inside.
# shellcheck disable=SC2016

load helpers.bash

setup()
{
	[ "$EUID" -eq 0 ] || skip "needs root"
	grep -q 'VERSION_ID="12"' /etc/os-release ||
	    skip "the examples are for Debian 12"
	case $B in *-san*) skip "sshd is not built with the sanitizer" ;; esac
}

# What every script here may use.
PRELUDE='
	stack sshd
	mkdir -m 755 /run/sshd
	ssh-keygen -q -t ed25519 -N "" -f $T/host; ssh-keygen -q -t ed25519 -N "" -f $T/key
	cp $T/key.pub /run/keys; chmod 644 /run/keys
	cat >$T/sshd_config <<-CONF
		HostKey $T/host
		UsePAM yes
		AuthorizedKeysFile /run/keys
		PermitRootLogin yes
		PasswordAuthentication no
		KbdInteractiveAuthentication yes
		LogLevel ERROR
	CONF
	conf() { sed -i "1i $*" $T/sshd_config; }
	printf "#!/bin/sh\necho \"\$1\" >>$T/asked; cat $T/answer\n" >$T/askpass
	chmod 755 $T/askpass; : >$T/asked; echo 123456 >$T/answer
	go() {
		/usr/sbin/sshd -D -f $T/sshd_config \
		    -o ListenAddress=127.0.0.1 -p 22 >$T/sshd.log 2>&1 &
		until : </dev/tcp/127.0.0.1/22; do sleep 0.02; done 2>/dev/null
		SSH_ASKPASS=$T/askpass SSH_ASKPASS_REQUIRE=force timeout 30 ssh \
		    -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
		    -o LogLevel=INFO -i $T/key -o IdentitiesOnly=yes root@127.0.0.1 "$@" 2>&1 || echo "ssh=$?"
	}
'

sshd()
{
	run ns "$PRELUDE $1"
}

@test "a key that the policy lets in: session registered with the key, closed, one line shown" {
	sshd 'agent accept get done accept get "done modelgate: 1 grant held" accept get done
		go -tt <<<"echo in-\$((40+2)); exit" | tr -d "\r"; agent_log; cat $T/key.pub'
	[[ $output == *"in-42"* ]]
	has "modelgate: 1 grant held"
	key=$(grep -o 'AAAA[^ ]*' <<<"${lines[-1]}")
	# sshd tells of the key only when the account stage is over.
	[[ $output == *"PAM_ACCT_REQ service='sshd' user='root' operation='login' tty='ssh'"* ]]
	[[ $output == *"PAM_OPEN_REQ service='sshd' user='root' operation='login' tty='ssh'"*"auth_info='publickey ssh-ed25519 $key"* ]]
	[[ $output == *"PAM_CLOSE_REQ service='sshd' user='root'"* ]]
}

@test "a refusal is shown before the connection is closed" {
	sshd 'agent accept get "refused no-rule|R7KQ2FHD4M|p.ini:3|root may not log in|ask sre-oncall"; go echo in-42'
	has "modelgate: login: root may not log in [p.ini:3]"
	has "modelgate: ask sre-oncall; 'modelgate why R7KQ2FHD4M' tells more"
	has "ssh=255"
	hasnt "in-42"
}

@test "after a key alone a second factor cannot be asked for, and what to do is shown" {
	sshd 'agent accept get "info login on gpu-7" "prompt Code: "; go echo in'
	[[ $output == *"a second factor is needed"* ]]
	[[ $output == *"publickey,keyboard-interactive"* ]]
	has "ssh=255"
}

@test "key and code: the question is put, and the agent knows of the key" {
	sshd 'sed -i "/include common-auth/d" /etc/pam.d/sshd
		conf AuthenticationMethods publickey,keyboard-interactive
		agent accept get "info login on gpu-7" "prompt Code: " get done accept get done accept get done accept get done
		go echo in-42; cat $T/asked; agent_log'
	has "in-42"
	[[ $output == *"Code: "* ]]
	[[ $output == *"PAM_AUTH_REQ service='sshd' user='root'"*"auth_info='publickey ssh-ed25519 "* ]]
	has "AUTH_ANS text='123456'"
}

@test "key and wrong code: nobody is let in" {
	sshd 'sed -i "/include common-auth/d" /etc/pam.d/sshd
		conf AuthenticationMethods publickey,keyboard-interactive
		conf MaxAuthTries 2
		agent accept get "prompt Code: " get "refused mfa-failed||||" loop
		go echo in-42'
	hasnt "in-42"
	has "ssh=255"
}

@test "a question alone, and a policy that asks nothing, let nobody in" {
	sshd 'sed -i "/include common-auth/d" /etc/pam.d/sshd
		conf AuthenticationMethods keyboard-interactive
		agent accept get "done" loop; go echo in-42'
	hasnt "in-42"
	has "ssh=255"
	# The same with the agent down, for somebody to be rescued.
	sshd 'sed -i "/include common-auth/d; s/pam_modelgate.so/& rescue=root/" /etc/pam.d/sshd
		conf AuthenticationMethods keyboard-interactive
		go echo in-42'
	hasnt "in-42"
	has "ssh=255"
}

@test "an agent that is down keeps out at once, says so, and rescue= gets in" {
	sshd 'go echo in-42'
	has "modelgate: login: refused, because the agent does not answer; root on the console gets in"
	has "ssh=255"
	hasnt "in-42"
	sshd 'sed -i "s/pam_modelgate.so/& rescue=root/" /etc/pam.d/sshd; go echo in-42'
	has "in-42"
}

@test "an agent that refuses the session keeps the command from running" {
	sshd 'agent accept get done accept get "refused internal|||no|"; go echo in-42'
	hasnt "in-42"
	has "ssh=254"
}

@test "what pam_env reads from a user's file lends no key to the record" {
	sshd 'sed -i "s|pam_env.so|$B/pam/pam_odd.so env=SSH_AUTH_INFO_0=publickey,sk-forged|" /etc/pam.d/sshd
		agent accept get done accept get done accept get done
		go echo in-42; agent_log; cat $T/key.pub'
	has "in-42"
	key=$(grep -o 'AAAA[^ ]*' <<<"${lines[-1]}")
	[[ $output == *"PAM_OPEN_REQ"*"auth_info='publickey ssh-ed25519 $key"* ]]
	[[ $output == *"PAM_CLOSE_REQ"*"auth_info=''"* ]]
	hasnt sk-forged
}
