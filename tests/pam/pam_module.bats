#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# pam_modelgate.so, loaded by the real libpam, against every way in which an
# agent can behave.

# The scripts for ns() are meant to be expanded inside.
# shellcheck disable=SC2016

load helpers.bash

# ms STAGE: how long it took.
ms()
{
	sed -n "s/^$1_ms=//p" <<<"$output"
}

# ---- the binary ----

@test "the module exports the five entry points and nothing else" {
	run bash -c "nm -D --defined-only '$B/pam_modelgate.so' |
	    awk '{ print \$3 }' | LC_ALL=C sort | tr '\n' ' '"
	[ "$output" = "pam_sm_acct_mgmt pam_sm_authenticate \
pam_sm_close_session pam_sm_open_session pam_sm_setcred " ]
}

@test "the second factor exports its two entry points and nothing else" {
	run bash -c "nm -D --defined-only '$B/pam_modelgate_totp.so' |
	    awk '{ print \$3 }' | LC_ALL=C sort | tr '\n' ' '"
	[ "$output" = "pam_sm_authenticate pam_sm_setcred " ]
}

@test "the module imports nothing that a guest must not call" {
	case $B in *-san*) skip "sanitizers import what they need" ;; esac
	run bash -c "nm -D --undefined-only '$B/pam_modelgate.so' |
	    sed 's/.* //; s/@.*//; s/^__\(.*\)_chk\$/\1/' | grep -xE \
	    'exit|_exit|_Exit|quick_exit|abort|v?fork|clone|posix_spawn.*|exec.*|system|popen|signal|sigaction|sigprocmask|raise|kill|alarm|setitimer|setenv|putenv|unsetenv|clearenv|chdir|fchdir|umask|setlocale|setuid|seteuid|setresuid|setgid|setegid|setresgid|setgroups|dlopen|dlsym|pthread_.*|atexit|__cxa_atexit|openlog|closelog|syslog|printf|puts|perror|fwrite|write|strtok|localtime|getenv|secure_getenv'"
	[ "$status" -eq 1 ]
	[ -z "$output" ]
}

@test "the module links libpam and libc alone" {
	case $B in *-san*) skip "sanitizers link what they need" ;; esac
	run bash -c "objdump -p '$B/pam_modelgate.so' |
	    awk '/NEEDED/ { print \$2 }' | LC_ALL=C sort | tr '\n' ' '"
	[ "$output" = "libc.so.6 libpam.so.0 " ]
}

@test "nothing of the second factor's store is in the module" {
	run grep -cE 'oath|modelgate/otp|totp' "$B/pam_modelgate.so"
	[ "$output" = 0 ]
}

@test "the module has no data that changes" {
	case $B in *-san*) skip "sanitizers add some" ;; esac
	# What is left in .data and .bss is the compiler's own.
	run bash -c "nm '$B/pam_modelgate.so' | grep -E ' [bBdD] ' |
	    grep -vE ' (__dso_handle|completed\.[0-9]+|_DYNAMIC|_GLOBAL_OFFSET_TABLE_|__TMC_END__|[a-z_]+)\$'"
	[ -z "$output" ]
	run bash -c "size -A '$B/pam_modelgate.so' |
	    awk '\$1 == \".data\" || \$1 == \".bss\" { n += \$2 } END { print n }'"
	[ "$output" -le 16 ]
}

@test "the modules load under immediate binding" {
	run ns 'service s; agent accept get "done yes"
		LD_BIND_NOW=1 drive s alice account'
	has "account=0"
	run ns 'LD_BIND_NOW=1 drive modelgate alice auth'
	has "auth=10"
}

# ---- allowed, refused ----

@test "DONE lets in at every stage and its text is shown" {
	for stage in auth:AUTH account:ACCT open:OPEN close:CLOSE; do
		run ns "service s operation=root-shell
			agent accept get 'done you hold deploy, 4m left'
			drive -t /dev/pts/3 s alice ${stage%:*}; agent_log"
		has "info: you hold deploy, 4m left"
		has "${stage%:*}=0"
		has "PAM_${stage#*:}_REQ service='s' user='alice' \
operation='root-shell' tty='pts/3' rhost='' auth_info=''"
	done
}

@test "REFUSED keeps out at every stage, with reason, rule, remedy and code" {
	for stage in auth=7 account=6 open=6 close=14; do
		run ns "service s
			agent accept get 'refused no-rule|R7KQ2FHD4M|10-gpu.ini:14|alice may not log in now|ask sre-oncall for a grant'
			drive s alice ${stage%=*}"
		has "error: modelgate: login: alice may not log in now [10-gpu.ini:14]"
		has "error: modelgate: ask sre-oncall for a grant; 'modelgate why R7KQ2FHD4M' tells more"
		has "$stage"
	done
}

@test "a refusal without details is explained all the same" {
	run ns "service s; agent accept get 'refused no-rule||||'
		drive s alice account"
	has "error: modelgate: login: no rule allows this"
	has "account=6"
	[ "$(grep -c ^error: <<<"$output")" -eq 1 ]
}

@test "too many wrong codes give PAM_MAXTRIES at auth and PERM_DENIED at account" {
	run ns "service s; agent accept get 'refused mfa-locked|||'
		drive s alice auth"
	has "auth=11"
	run ns "service s; agent accept get 'refused mfa-locked|||'
		drive s alice account"
	has "account=6"
}

@test "an account that the agent does not know gives PAM_USER_UNKNOWN, but not at auth" {
	run ns "service s; agent accept get 'refused unknown-user|||'
		drive s alice account"
	has "account=10"
	run ns "service s; agent accept get 'refused unknown-user|||'
		drive s alice auth"
	has "auth=7"
}

@test "a reason that the module does not know is a refusal" {
	# REFUSED with why=0xffffffff and four empty texts.
	local empty=0000000100
	run ns "service s rescue=alice
		agent accept get 'raw 00000020001400010000000100000000ffffffff' close
		drive s alice account"
	hasnt "account=0 "
	run ns "service s rescue=alice; agent accept get \
		'raw 000000200014000100000001ffffffff$empty$empty$empty$empty'
		drive s alice account"
	has "account=6"
	has "error: modelgate: login: internal error"
}

@test "setcred is always PAM_SUCCESS and asks nobody" {
	run ns 'service s nonsense; drive s alice setcred'
	has "setcred=0"
}

@test "PAM_SILENT silences what one holds, never why one is refused" {
	run ns "service s; agent accept get 'done you hold nothing'
		drive -s s alice open"
	has "open=0"
	hasnt "info:"
	run ns "service s; agent accept get 'refused no-rule|||no|'
		drive -s s alice account"
	has "error: modelgate: login: no"
	has "account=6"
}

@test "quiet silences everything but questions" {
	run ns "service s quiet; agent accept get 'done you hold nothing'
		drive s alice open"
	hasnt "info:"
	run ns "service s quiet; agent accept get 'refused no-rule|||no|ask'
		drive s alice account"
	has "account=6"
	hasnt "error:"
	run ns "service s quiet; drive s alice account"
	has "account=9"
	hasnt "error:"
	run ns "service s quiet
		agent accept get 'info about' 'prompt Code: ' get 'done in'
		drive -a 123456 s alice auth"
	has "ask-off: Code: "
	has "auth=0"
	hasnt "info:"
}

# ---- what is asked ----

@test "hostile items are made clean and the question is asked" {
	run ns $'service s; agent accept get "done"
		drive -t $\'/dev/pts/1\\e[2J\\n\' -r $\'h\\xff\\u202e\'"$(printf %0400d 0)" s alice account
		agent_log'
	has "account=0"
	[[ $output == *"tty='pts/1\\u{1b}[2J\\n'"* ]]
	[[ $output == *"rhost='h\\x{ff}\\u{202e}0000"* ]]
	[[ $output == *"000...'"* ]]
}

@test "a service name that the agent has no word for becomes 'unknown'" {
	run ns $'service "odd service"; agent accept get "done"
		drive "odd service" alice account; agent_log'
	has "account=0"
	[[ $output == *"service='unknown'"* ]]
}

@test "a user name that the agent has no word for is refused before it is asked" {
	for name in -x ../root 'a b' $'a\nb' "$(printf %0200d 0)" '' 'DOM\al' 'pc$'; do
		run ns "service s rescue=alice; agent accept
			drive -- s '$name' account; drive -- s '$name' open"
		has "account=10"
		has "open=6"
	done
	run ns "service s; agent accept; drive -- s -x auth"
	has "auth=7"
	hasnt "error:"
}

@test "PAM_USER is read anew at each stage" {
	run ns "service s; agent accept get done accept get done
		drive s alice account user bob open; agent_log"
	[[ $output == *"ACCT_REQ service='s' user='alice'"* ]]
	[[ $output == *"OPEN_REQ service='s' user='bob'"* ]]
}

@test "SSH_AUTH_INFO_0 is told from sshd only" {
	run ns "service s; agent accept get done
		drive -t ssh -e 'SSH_AUTH_INFO_0=publickey ssh-ed25519 AAAA' s alice account
		agent_log"
	[[ $output == *"auth_info='publickey ssh-ed25519 AAAA'"* ]]
	run ns "service s; agent accept get done
		drive -t pts/0 -e 'SSH_AUTH_INFO_0=publickey ssh-ed25519 AAAA' s alice account
		agent_log"
	[[ $output == *"auth_info=''"* ]]
}

@test "the end of a session tells of no key" {
	run ns "service s; agent accept get done
		drive -t ssh -e 'SSH_AUTH_INFO_0=publickey ssh-ed25519 AAAA' s alice close
		agent_log"
	[[ $output == *"CLOSE_REQ"*"auth_info=''"* ]]
}

@test "a list of methods that is too long is cut at a line and still asked" {
	run ns 'service s; agent accept get done
		i=$(for n in $(seq 300); do printf "publickey %090d\n" $n; done)
		drive -t ssh -e "SSH_AUTH_INFO_0=$i" s alice account
		agent_log'
	has "account=0"
	[ "$(grep -c 'publickey 0' <<<"$output")" -eq 162 ]
	grep -qx "publickey 0*162" <<<"$output"
}

# ---- questions ----

@test "a question is put, its answer goes to the agent, and the person is in" {
	run ns "service s
		agent accept get 'info deploy fraud-scorer@12 on gpu-7' 'prompt Code: ' get \
		    'error that was used' 'prompt-on Again: ' get 'done welcome'
		drive -a 123456 -a 654321 s alice auth; agent_log"
	[ "${lines[0]}" = "info: deploy fraud-scorer@12 on gpu-7" ]
	[ "${lines[1]}" = "ask-off: Code: " ]
	[ "${lines[2]}" = "error: that was used" ]
	[ "${lines[3]}" = "ask-on: Again: " ]
	[ "${lines[4]}" = "info: welcome" ]
	has "auth=0"
	has "AUTH_ANS text='123456'"
	has "AUTH_ANS text='654321'"
}

@test "the account stage may put questions too" {
	run ns "service s operation=root-shell
		agent accept get 'prompt Code: ' get done
		drive -a 123456 s alice account"
	has "account=0"
}

@test "where nothing can be asked, PAM_CONV_ERR and what to do" {
	run ns "service s; agent accept get 'prompt Code: '
		drive -t ssh s alice account; agent_log"
	has "account=19"
	[[ $output == *"error: modelgate: login: a second factor is needed"* ]]
	[[ $output == *"publickey,keyboard-interactive"* ]]
	[[ $output == *"modelgate request login"* ]]
	hasnt AUTH_ANS
	run ns "service s operation=root-shell; agent accept get 'prompt Code: '
		drive -t pts/1 s alice account"
	has "account=19"
	[[ $output == *"modelgate request root-shell"* ]]
	hasnt keyboard-interactive
}

@test "a conversation without text in its answer is PAM_CONV_ERR" {
	run ns "service s; agent accept get 'prompt Code: '
		drive -a - s alice auth"
	has "auth=19"
}

@test "a question in the session stages is no question" {
	run ns "service s; agent accept get 'prompt Code: ' get done
		drive -a 123456 s alice open"
	has "open=6"
	hasnt ask-
}

@test "the ninth question is not put" {
	run ns "service s
		agent accept get $(for i in 1 2 3 4 5 6 7 8 9; do
			printf "'prompt Q%s: ' get " "$i"
		done) done
		drive -a 1 -a 2 -a 3 -a 4 -a 5 -a 6 -a 7 -a 8 -a 9 s alice auth"
	has "ask-off: Q8: "
	hasnt "Q9"
	has "auth=19"
}

@test "an agent that only talks is cut off" {
	run ns "service s; agent accept get 'flood 100' done
		drive s alice auth"
	has "auth=9"
	[ "$(grep -c '^info: again' <<<"$output")" -eq 64 ]
}

# ---- an agent that is not there, slow, broken, not root's ----

@test "no agent: refused at once at every stage, and told why" {
	for stage in auth=9 account=9 open=6 close=14; do
		run ns "service s; drive s alice ${stage%=*}"
		has "$stage"
		[ "$(ms "${stage%=*}")" -lt 10000 ]
		[[ $output == *"error: modelgate: login: refused, because the agent does not answer"* ]]
	done
	run ns 'service s; rmdir /run/modelgate; drive s alice account'
	has "account=9"
	# A socket that nobody listens at any more.
	run ns 'service s; agent gone; agent_log >/dev/null
		socat -u UNIX-LISTEN:/run/modelgate/agent.sock /dev/null & p=$!
		until [ -S /run/modelgate/agent.sock ]; do :; done
		kill -9 $p; wait $p || :
		drive s alice account'
	has "account=9"
}

@test "an agent that never answers: refused after the default of 3 s" {
	run ns "service s; agent accept get 'wait 20000'
		drive s alice account"
	has "account=9"
	[ "$(ms account)" -ge 2900 ]
	[ "$(ms account)" -lt 10000 ]
}

@test "timeout= bounds every stage" {
	for stage in auth=9 account=9 open=6 close=14; do
		run ns "service s timeout=300; agent accept get 'wait 20000'
			drive s alice ${stage%=*}"
		has "$stage"
		[ "$(ms "${stage%=*}")" -ge 290 ]
		[ "$(ms "${stage%=*}")" -lt 10000 ]
	done
}

@test "at auth the agent must say something within 5 s, then the person has time" {
	run ns "service s; agent accept get 'wait 20000'
		drive s alice auth"
	has "auth=9"
	[ "$(ms auth)" -ge 4900 ]
	[ "$(ms auth)" -lt 15000 ]
	run ns "service s
		agent accept get 'info second factor' 'wait 5500' 'prompt Code: ' get done
		drive -a 1 s alice auth"
	has "auth=0"
}

@test "a person may take longer than the agent may" {
	run ns "service s timeout=300; agent accept get 'prompt Code: ' get done
		drive -w 900 -a 123456 s alice account"
	has "account=0"
}

@test "a listener whose queue is full is an agent that does not answer" {
	run ns 'service s timeout=400
		socat -u UNIX-LISTEN:/run/modelgate/agent.sock,backlog=1,fork,max-children=1 \
		    EXEC:"sleep 60" & p=$!
		until [ -S /run/modelgate/agent.sock ]; do :; done
		for i in 1 2 3 4 5 6; do
			socat -u UNIX-CONNECT:/run/modelgate/agent.sock STDOUT & q="${q-} $!"
		done
		drive s alice account || :
		kill $p $q || :'
	has "account=9"
	[ "$(ms account)" -lt 10000 ]
}

@test "frames that are not the protocol are refused at once" {
	local f
	for f in \
	    "ffffffffffffffffffffffff" \
	    "00000008001d000200000001" \
	    "00000008000100010000000100" \
	    "0000000800ff000100000001" \
	    "7fffffff001d000100000001" \
	    "00000000001d000100000001" \
	    "0000000d001d00010000000100000001ff" \
	    "0000000c001d000100000001ffffffff" \
	    "0000000f001d00010000000100000003610a00" \
	    "0000000d001d0001000000010000000161"; do
		run ns "service s timeout=15000; agent accept get 'raw $f' 'wait 20000'
			drive s alice account"
		has "account=9"
		[ "$(ms account)" -lt 10000 ]
		hasnt "info:"
	done
}

@test "half a frame and then nothing: refused in time" {
	run ns "service s timeout=400
		agent accept get 'raw 0000000d001d0001' 'wait 20000'
		drive s alice account"
	has "account=9"
	[ "$(ms account)" -lt 10000 ]
}

@test "an agent that hangs up is refused, wherever it does" {
	run ns "service s; agent accept close; drive s alice account"
	has "account=9"
	run ns "service s; agent accept get close; drive s alice account"
	has "account=9"
	run ns "service s; agent accept get 'raw 0000000d001d' close
		drive s alice account"
	has "account=9"
	run ns "service s; agent accept get 'prompt Code: ' close
		drive -a 123456 s alice auth"
	has "auth=9"
	run ns "service s; agent accept get 'prompt Code: ' get close
		drive -a 123456 s alice auth"
	has "auth=9"
}

@test "messages that are for others are refused" {
	# GRANTED, EXITED, AUTH_RESULT: known, but no answer to this question.
	for op in 0018 001b 0034; do
		run ns "service s; agent accept get 'raw 00000008${op}000100000001' 'wait 20000'
			drive s alice account"
		has "account=9"
	done
}

@test "a listener that is not root's is not believed" {
	[ "$EUID" -eq 0 ] || skip "needs root to be somebody else"
	run ns 'service s rescue=bob
		chown nobody /run/modelgate
		mkdir -m 777 /run/w; LOG=/run/w/log
		cp "$B/pam/fakeagent" /run/w/
		setpriv --reuid nobody --clear-groups /run/w/fakeagent "$LOG" accept get "done welcome"
		drive s alice account; cat "$LOG"; kill "$(cat "$LOG.pid")"'
	has "account=9"
	hasnt welcome
	hasnt PAM_ACCT_REQ
}

# ---- rescue ----

@test "rescue= lets in whom it names when the agent is down, slow or broken" {
	for stage in auth account open close; do
		run ns "service s rescue=ops,alice
			drive -t ssh -e SSH_AUTH_INFO_0=publickey s alice $stage"
		has "$stage=0"
	done
	run ns "service s rescue=alice timeout=300; agent accept get 'wait 20000'
		drive s alice account"
	has "account=0"
	run ns "service s rescue=alice; agent accept get 'raw ffffffffffffffffffffffff'
		drive s alice account"
	has "account=0"
	run ns "service s rescue=alice; agent accept get close; drive s alice account"
	has "account=0"
}

@test "rescue= is for those it names only" {
	run ns "service s rescue=ops,alice; drive s bob account; drive s alic account"
	has "account=9"
	hasnt "account=0"
}

@test "rescue= never helps against a refusal" {
	for why in no-rule deny-rule busy internal agent-down unknown-user mfa-locked; do
		run ns "service s rescue=alice; agent accept get 'refused $why|||no|'
			drive s alice account"
		hasnt "account=0"
		has "error: modelgate: login: no"
	done
}

@test "rescue= helps when the agent cannot keep its records, before it has asked anything" {
	for why in ledger-failed audit-failed; do
		run ns "service s rescue=alice; agent accept get 'refused $why|||no|'
			drive s alice account"
		has "account=0"
		run ns "service s rescue=alice; agent accept get 'refused $why|||no|'
			drive s bob account"
		has "account=9"
		run ns "service s rescue=alice; agent accept get 'prompt Code: ' get 'refused $why|||no|'
			drive -a 1 s alice auth"
		hasnt "auth=0"
	done
}

@test "no answer of one's own brings about an outage for rescue=" {
	# What cannot be sent: control bytes, too long, not UTF-8.
	for a in $'\001' $'\e[A' $'x\ny' $'\xff' "$(printf %0513d 0)"; do
		run ns "service s rescue=alice; agent accept get 'prompt Code: ' get done
			drive -a '$a' s alice auth"
		has "auth=7"
	done
	# Hanging up, or the agent going away after it had asked.
	run ns "service s rescue=alice; agent accept get 'prompt Code: ' get done
		drive s alice auth"
	has "auth=19"
	run ns "service s rescue=alice; agent accept get 'prompt Code: ' get close
		drive -a 1 s alice auth"
	has "auth=9"
	run ns "service s rescue=alice; agent accept get 'prompt Code: ' get 'raw ffffffffffffffffffffffff'
		drive -a 1 s alice auth"
	has "auth=9"
}

@test "limits on one's own process bring about no outage for rescue=" {
	for fault in socket:error=EMFILE socket:error=ENOMEM fcntl:error=EMFILE \
	    getsockopt:error=ENOMEM poll:error=ENOMEM; do
		run ns "service s rescue=alice; agent accept get 'wait 300' 'refused no-rule|||no|'
			ASAN_OPTIONS=detect_leaks=0 strace -f -o \$T/trace -e inject=$fault pamdrive -c /etc/pam.d s alice account
			grep -c INJECTED \$T/trace"
		hasnt "account=0"
		[[ $output == *"account="* ]]
		[ "${lines[-1]}" -ge 1 ]
	done
}

@test "standing still brings about no outage for rescue=" {
	for at in socket:delay_exit setsockopt:delay_exit connect:delay_enter \
	    connect:delay_exit getsockopt:delay_exit sendmsg:delay_enter \
	    sendmsg:delay_exit recvmsg:delay_exit poll:delay_enter; do
		run ns "service s rescue=alice timeout=200; agent accept get 'wait 50' 'refused no-rule|||no|'
			ASAN_OPTIONS=detect_leaks=0 strace -f -o \$T/trace -e inject=$at=400000 pamdrive -c /etc/pam.d s alice account
			grep -c DELAYED \$T/trace"
		echo "$at"
		has "account=6"
		[ "${lines[-1]}" -ge 1 ]
	done
}

@test "no allocation that fails lets anybody in or harms the host" {
	case $B in *-san*) skip "the sanitizer has its own malloc" ;; esac
	# A refused user of rescue=, with every allocation failing in turn.
	run ns 'service s rescue=alice
		agent accept get "info one" "prompt Code: " get "refused no-rule|X||no|ask" loop
		for n in $(seq 1 120); do
			drive -m $n -a 123456 -a 123456 -t ssh -e SSH_AUTH_INFO_0=publickey \
			    s alice auth account 2>&1 || echo "exit $?"
		done'
	hasnt "auth=0"
	hasnt "account=0"
	hasnt "exit 1"
	# PAM_BUF_ERR was seen, and the last rounds had nothing fail.
	has "auth=5"
	has "account=5"
	[ "$(tail -n 20 <<<"$output" | grep -c '^account=6$')" -ge 1 ]
	run ns 'service s rescue=alice
		agent accept get "refused no-rule|X||no|ask" loop
		for n in $(seq 1 80); do
			drive -m $n s alice open close 2>&1 || echo "exit $?"
		done'
	hasnt "open=0"
	hasnt "close=0"
	hasnt "exit 1"
	has "open=5"
	has "close=14"
}

@test "elsewhere than at a login rescue= is about the login uid, not PAM_USER" {
	# No login uid: nobody is rescued, whatever PAM_USER is.
	[ "$(cat /proc/self/loginuid)" = 4294967295 ] ||
	    skip "this shell has a login uid"
	run ns "service su operation=root-shell rescue=root,daemon
		drive su root account"
	has "account=9"
	[ "$EUID" -eq 0 ] || skip "the rest needs root"
	run ns "service su operation=root-shell rescue=daemon
		(echo 1 >/proc/self/loginuid; drive su root account)"
	has "account=0"
	run ns "service su operation=root-shell rescue=root
		(echo 1 >/proc/self/loginuid; drive su root account)"
	has "account=9"
}

# ---- an auth line alone ----

@test "an auth line alone lets nobody log in who has proven nothing" {
	for who in "-t ssh -r 10.1.2.3" "-t tty3" ""; do
		# The policy asks for nothing.
		run ns "service s; agent accept get 'done welcome'
			drive $who s alice auth"
		has "auth=7"
		has "error: modelgate: login: not accepted; the log says why"
		# The agent is down and alice is one to be rescued.
		run ns "service s rescue=alice; drive $who s alice auth"
		has "auth=7"
	done
	# A method that sshd did not get: an empty list.
	run ns "service s rescue=alice; drive -t ssh -e SSH_AUTH_INFO_0= s alice auth"
	has "auth=7"
	# The variable from elsewhere than sshd.
	run ns "service s rescue=alice; drive -t tty3 -e SSH_AUTH_INFO_0=publickey s alice auth"
	has "auth=7"
}

@test "a key, a password, or an answer to the agent is enough" {
	run ns "service s; agent accept get done
		drive -t ssh -e 'SSH_AUTH_INFO_0=publickey ssh-ed25519 AAAA' s alice auth"
	has "auth=0"
	run ns "service s; agent accept get 'prompt Code: ' get done
		drive -t ssh -a 123456 s alice auth"
	has "auth=0"
	run ns "printf 'auth required $B/pam/pam_odd.so password=x\nauth required $B/pam_modelgate.so\n' >/etc/pam.d/s
		agent accept get done; drive -t ssh -r h s alice auth"
	has "auth=0"
	run ns "printf 'auth required $B/pam/pam_odd.so password=x\nauth required $B/pam_modelgate.so rescue=alice\n' >/etc/pam.d/s
		drive -t ssh -r h s alice auth"
	has "auth=0"
}

@test "where the login uid says who it is, a policy that asks for nothing is enough" {
	run ns "service su operation=root-shell; agent accept get done
		drive -t pts/1 su root auth"
	has "auth=0"
}

# ---- strangers ----

@test "to whoever has proven nothing over ssh every refusal reads the same" {
	for why in mfa-failed mfa-unset mfa-locked unknown-user no-rule; do
		run ns "service s; agent accept get 'refused $why|R7KQ2FHD4M|p.ini:3|text of $why|remedy'
			drive -t ssh -r 10.1.2.3 s alice auth"
		has "error: modelgate: not accepted; code R7KQ2FHD4M"
		has "auth=7"
		hasnt "$why"
		hasnt remedy
		hasnt p.ini
	done
}

@test "whoever came with a key is told all" {
	run ns "service s; agent accept get 'refused mfa-unset|R7KQ2FHD4M||no second factor|modelgate enroll'
		drive -t ssh -r 10.1.2.3 -e 'SSH_AUTH_INFO_0=publickey ssh-ed25519 AAAA' s alice auth"
	has "error: modelgate: login: no second factor"
	[[ $output == *"modelgate enroll"* ]]
}

# ---- arguments ----

@test "a line that is not understood is PAM_SERVICE_ERR, before anybody is asked" {
	for words in operatoin=login quiet=1 'rescue=' timeout=5 'operation=a operation=b'; do
		run ns "service s $words; agent accept get done
			drive s alice auth account open close; cat \$LOG"
		has "auth=3"
		has "account=3"
		has "open=3"
		has "close=3"
		hasnt accepted
	done
}

# ---- root on the console ----

# A session leader without a controlling terminal gets the one it opens, for
# as long as somebody has it open.
@test "root on a real console gets in without, with a broken and against an agent" {
	[ "$EUID" -eq 0 ] || skip "needs root"
	[ -c /dev/tty60 ] || skip "no virtual console here"
	[ "$(cat /proc/self/loginuid)" = 4294967295 ] ||
	    skip "this shell has a login uid"
	local con='con() { setsid bash -c "exec 9<>/dev/tty60; $1" </dev/null; }'
	run ns "service login; $con
		con 'pamdrive -c /etc/pam.d -t /dev/tty60 login root auth account open close'"
	has "auth=0"
	has "account=0"
	has "open=0"
	has "close=0"
	run ns "service login timeout=15000; $con
		agent accept get 'wait 20000'
		con 'pamdrive -c /etc/pam.d -t tty60 login root account'"
	has "account=0"
	[ "$(ms account)" -lt 10000 ]
	run ns "service login; $con
		agent accept get 'refused no-rule|||no|'
		con 'pamdrive -c /etc/pam.d -t tty60 login root account'; agent_log"
	has "account=0"
	[[ $output == *"PAM_ACCT_REQ service='login' user='root'"* ]]
	hasnt "error:"
}

@test "on the console it must be root, a local line, and nobody from elsewhere" {
	[ "$EUID" -eq 0 ] || skip "needs root"
	[ -c /dev/tty60 ] || skip "no virtual console here"
	[ "$(cat /proc/self/loginuid)" = 4294967295 ] ||
	    skip "this shell has a login uid"
	local con='con() { setsid bash -c "exec 9<>/dev/tty60; $1" </dev/null; }'
	# another account; a remote host; another terminal's name; su without a
	# login uid; su with somebody's; and su with root's, which is let in
	run ns "service login; service su; $con
		con 'pamdrive -c /etc/pam.d -t tty60 login nobody account'
		con 'pamdrive -c /etc/pam.d -t tty60 -r h login root account'
		con 'pamdrive -c /etc/pam.d -t tty1 login root account'
		con 'pamdrive -c /etc/pam.d login root account'
		con 'pamdrive -c /etc/pam.d -t tty60 su root account'
		con 'echo 1 >/proc/self/loginuid; pamdrive -c /etc/pam.d -t tty60 su root account'
		con 'echo 1 >/proc/self/loginuid; pamdrive -c /etc/pam.d -t tty60 login root account'
		con 'echo 0 >/proc/self/loginuid; setpriv --ruid 1 -- pamdrive -c /etc/pam.d -t tty60 su root account'"
	[ "$(grep -c '^account=9' <<<"$output")" -eq 8 ]
	hasnt "account=0"
	run ns "service su; $con
		con 'echo 0 >/proc/self/loginuid; pamdrive -c /etc/pam.d -t tty60 su root account'"
	has "account=0"
}

@test "PAM_TTY alone makes no console" {
	for tty in tty1 /dev/tty1 console ttyS0; do
		run ns "service login; setsid pamdrive -c /etc/pam.d -t $tty login root account"
		has "account=9"
		run ns "service login
			script -qec 'pamdrive -c /etc/pam.d -t $tty login root account' /dev/null"
		[[ $output == *"account=9"* ]]
	done
}

# ---- the log ----

@test "the log says what happened, and never what was typed" {
	[ "$EUID" -eq 0 ] || skip "needs root"
	run ns 'service s rescue=ops; mkdir $T/dev
		cp -a /dev/null /dev/zero /dev/urandom /dev/random /dev/full $T/dev/
		mount --bind $T/dev /dev
		socat -u UNIX-RECVFROM:/dev/log,fork STDOUT >$T/syslog & p=$!
		until [ -S /dev/log ]; do sleep 0.02; done
		agent accept get "prompt Code: " get "refused mfa-failed|R7KQ2FHD4M|p.ini:3|no|" gone
		drive -t pts/1 -a 424242 s alice auth; agent_log >/dev/null
		drive s ops account
		drive s $'"'"'x\ny'"'"' account
		until [ "$(grep -o pam_modelgate $T/syslog | wc -l)" -ge 3 ]; do
			sleep 0.02
		done
		kill $p; cat -v $T/syslog'
	[[ $output == *"pam_modelgate(s:auth): auth: refused: user='alice' operation=login tty='pts/1' rhost='': mfa-failed code=R7KQ2FHD4M rule=p.ini:3"* ]]
	[[ $output == *"<81>"*"pam_modelgate(s:account): account: let in by rescue=: user='ops'"* ]]
	[[ $output == *"no such user: user='x\\ny'"* ]]
	hasnt 424242
}
