#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# mg-auth and the second factor that it loads: the real process on its real
# channel, the real libpam, the real folder of secrets.

# The scripts for ns() are meant to be expanded inside.
# shellcheck disable=SC2016

load helpers.bash

setup()
{
	[ "$EUID" -eq 0 ] || skip "mg-auth runs as root"
}

# ---- codes ----

@test "the right code is accepted, after what it is for was said" {
	run ns 'factor alice
		check -b "deploy fraud-scorer@12 on gpu-7" alice "$(code)"'
	[ "${lines[0]}" = "info: deploy fraud-scorer@12 on gpu-7" ]
	[ "${lines[1]}" = "ask-off: Verification code: " ]
	has "result ok=1 replay=0 unset=0 pam=0 text="
	has "exit 0"
}

@test "something is said at once even if nobody said what it is for" {
	run ns 'factor alice; check alice "$(code)"'
	[ "${lines[0]}" = "info: second factor" ]
}

@test "a wrong code is refused" {
	run ns 'factor alice; check alice 000000; check alice ""; check alice 12345; check alice abcdef'
	[ "$(grep -cxF 'result ok=0 replay=0 unset=0 pam=7 text=wrong code' <<<"$output")" -eq 4 ]
}

@test "the codes one step away are accepted, those two away are not" {
	fresh_step 8
	for n in -1 0 1; do
		run ns "factor alice; check alice \$(code $n)"
		has "result ok=1 replay=0 unset=0 pam=0 text="
	done
	for n in -3 -2 2 3; do
		run ns "factor alice; check alice \$(code $n)"
		has "result ok=0 replay=0 unset=0 pam=7 text=wrong code"
	done
}

@test "a used code is refused by every later process, and so are older ones" {
	run ns 'fresh_step 8; factor alice
		c=$(code) d=$(code -1)
		check alice $c; check alice $c; check alice $d; check alice $(code 1)'
	[ "$(grep -c '^result ok=1' <<<"$output")" -eq 2 ]
	[ "$(grep -cxF 'result ok=0 replay=1 unset=0 pam=7 text=this code was used before; wait for the next one' <<<"$output")" -eq 2 ]
}

@test "a code that was taken is on disk, also if nobody hears of it" {
	run ns 'fresh_step 8; factor alice; before=$(cat /var/lib/modelgate/otp/alice)
		strace -f -o $T/trace -e inject=sendmsg:signal=SIGKILL:when=3 \
		    authdrive '"$B"'/mg-auth alice $(code) || :
		after=$(cat /var/lib/modelgate/otp/alice)
		[ "$before" != "$after" ] || echo unchanged
		check alice $(code)'
	hasnt unchanged
	has "result ok=0 replay=1 unset=0 pam=7 text=this code was used before; wait for the next one"
}

@test "two processes with one code: exactly one gets in, 200 times" {
	run ns 'authdrive -R 200 $B/mg-auth alice $HEX'
	has "none=0 one=200 both=0"
}

# ---- who has none ----

@test "whoever has no factor is told at once, unless from elsewhere and not logged in" {
	run ns 'check alice 123456; check -t pts/3 -r 10.1.2.3 alice 123456'
	[ "$(grep -cxF 'result ok=0 replay=0 unset=1 pam=10 text=no second factor is enrolled for alice' <<<"$output")" -eq 2 ]
	hasnt ask-
	for opts in "-t ssh -r 10.1.2.3" "-r 10.1.2.3"; do
		run ns "check $opts alice 123456"
		has "ask-off: Verification code: "
		[[ $output == *"ok=0 replay=0 unset=1 pam=10"* ]]
	done
}

@test "no folder at all means that nobody has a factor" {
	run ns 'rmdir /var/lib/modelgate/otp; check alice 123456'
	[[ $output == *"unset=1"* ]]
	run ns 'rm -r /var/lib/modelgate; check alice 123456'
	[[ $output == *"unset=1"* ]]
}

# ---- a store that is not to be trusted ----

# broken SCRIPT: the right code is refused after SCRIPT has run, and the log
# and the result say so.
broken()
{
	run ns "factor alice; cd /var/lib/modelgate/otp; $1; check alice \$(code)"
	hasnt "ok=1"
	has "result ok=0 replay=0 unset=0 broken pam=9 text=the second factor of alice cannot be checked; the log says why"
}

@test "a store that others could have touched or that is damaged opens nothing" {
	broken 'chmod 640 alice'
	broken 'chmod 602 alice'
	broken 'chown nobody alice'
	broken 'mv alice bob; ln -s bob alice'
	broken 'ln alice bob'
	broken 'rm alice; mkdir alice'
	broken 'rm alice; mkfifo -m 600 alice'
	broken ': >alice'
	broken 'sed -i s/used.0/used\ 1/ alice; chmod 600 alice'
	broken 'head -c 100 alice >x; cat x >alice'
	broken 'echo >>alice'
	broken 'sed s/alice/bob/ alice >x; cat x >alice'
	broken 'chmod 750 .'
	broken 'chown nobody .'
	broken 'chmod 777 ..'
	broken 'chown nobody ..'
	broken 'cd ..; mv otp o; ln -s o otp'
}

@test "another person's record under one's own name opens nothing" {
	run ns 'factor alice; cd /var/lib/modelgate/otp; cp -p alice bob; check bob $(code)'
	has "result ok=0 replay=0 unset=0 broken pam=9 text=the second factor of bob cannot be checked; the log says why"
}

# ---- sealed records ----

# key FILL: the machine's credential, made of that byte.
SEALED='otp=/var/lib/modelgate/otp
	export CREDENTIALS_DIRECTORY=/run/credentials/modelgated.service
	install -d -m 500 $CREDENTIALS_DIRECTORY
	key() { k=$CREDENTIALS_DIRECTORY/modelgate.secret
		head -c 32 /dev/zero | tr "\\0" $1 >$k; chmod 400 $k; }'

@test "with the machine's credential a record is sealed at the next code, and opens" {
	run ns "$SEALED"'
		fresh_step 10; factor alice; key k
		grep -q ^secret $otp/alice && check alice "$(code)"
		head -n 1 $otp/alice; grep -a -e secret -e $HEX $otp/alice || :
		check alice "$(code)"; check alice "$(code 1)"'
	has "modelgate sealed v1"
	hasnt secret
	hasnt "$HEX"
	[ "$(grep -c '^result ok=1' <<<"$output")" -eq 2 ]
	has "result ok=0 replay=1 unset=0 pam=7 text=this code was used before; wait for the next one"
}

@test "a sealed record without its credential, or with another, opens nothing" {
	for without in 'rm $k' 'unset CREDENTIALS_DIRECTORY' 'key x' \
	    'echo >>$k' ': >$k' 'chmod 440 $k' 'chown nobody $k'; do
		run ns "$SEALED"'
			key k; factor alice; '"$without"'; check alice "$(code)"'
		hasnt "ok=1"
		has "result ok=0 replay=0 unset=0 broken pam=9 text=the second factor of alice cannot be checked; the log says why"
		run ns "$SEALED"'
			key k; factor alice; '"$without"'; check -m enroll alice "$(code)" @key'
		hasnt "ok=1"
		hasnt ask-
		[[ $output == *"the secrets of this host are sealed and do not open"* ]]
	done
}

@test "another person's sealed record under one's own name opens nothing" {
	run ns "$SEALED"'
		key k; factor alice; mv $otp/alice $otp/bob; check bob "$(code)"'
	has "result ok=0 replay=0 unset=0 broken pam=9 text=the second factor of bob cannot be checked; the log says why"
}

@test "a step that cannot be written down lets nobody in" {
	run ns 'factor alice; mount -t tmpfs -o size=4k,mode=700 none /mnt
		cp -p /var/lib/modelgate/otp/alice /mnt/
		mount --bind /mnt /var/lib/modelgate/otp
		dd if=/dev/zero of=/mnt/.fill bs=1k count=64 2>/dev/null || :
		check alice $(code)'
	hasnt "ok=1"
	has "result ok=0 replay=0 unset=0 broken pam=9 text=the second factor of alice cannot be checked; the log says why"
	for call in fsync:error=EIO:when=1 fsync:error=EIO:when=2 renameat:error=EIO write:error=ENOSPC:when=1; do
		run ns "factor alice; printf '#!/bin/sh\nexec strace -o /dev/null -e inject=$call $B/mg-auth\n' >\$T/w; chmod 755 \$T/w
			authdrive \$T/w alice \$(code)"
		hasnt "ok=1"
	done
}

# ---- /etc/pam.d/modelgate ----

@test "a service file that is missing, empty or open to others is no password prompt" {
	for spoil in 'rm /etc/pam.d/modelgate' ': >/etc/pam.d/modelgate' \
	    'echo "auth required pam_permit.so" >/etc/pam.d/modelgate' \
	    'echo "account required pam_permit.so" >/etc/pam.d/modelgate' \
	    'echo "#auth required pam_permit.so" >/etc/pam.d/modelgate' \
	    'chmod 666 /etc/pam.d/modelgate' \
	    'chown nobody /etc/pam.d/modelgate' \
	    'mv /etc/pam.d/modelgate /etc/pam.d/m; ln -s m /etc/pam.d/modelgate'; do
		run ns "for t in auth account; do echo \$t required pam_permit.so; done >/etc/pam.d/other
			factor alice; $spoil; check alice \$(code)"
		hasnt "ok=1"
		has "result ok=0 replay=0 unset=0 pam=4 text=the second factor is not set up on this host"
	done
}

# odd WORD...: alice's try with the odd module as the whole stack.
odd()
{
	run ns "printf 'auth required $B/pam/pam_odd.so $1\naccount required $B/pam/pam_odd.so $2\n' >/etc/pam.d/modelgate
		check alice ${*:3}"
}

@test "any other module may stand there" {
	odd 'ask' '' yes
	has "ask-on: Odd? "
	has "result ok=1 replay=0 unset=0 pam=0 text="
	run ns 'printf "auth required pam_deny.so\naccount required pam_permit.so\n" >/etc/pam.d/modelgate
		check alice'
	[[ $output == *"ok=0 replay=0 unset=0 pam=7 text=Authentication failure"* ]]
	run ns 'factor alice; printf "auth requisite $B/pam_modelgate_totp.so\nauth required $B/pam/pam_odd.so ask\naccount required pam_permit.so\n" >/etc/pam.d/modelgate
		check alice $(code) yes'
	has "result ok=1 replay=0 unset=0 pam=0 text="
}

@test "no code of a module's but success, twice, is success" {
	for code in 1 4 6 7 9 10 11 12 13 25 30 31 32 -1; do
		odd "return=$code" ''
		hasnt "ok=1"
		odd '' "return=$code"
		hasnt "ok=1"
	done
}

@test "words that modules leave explain, and never decide" {
	for word in ok accepted wrong; do
		odd "word=$word return=7" ''
		[[ $output == *"ok=0 replay=0 unset=0"* ]]
	done
	odd "word=replay" ''
	has "result ok=1 replay=0 unset=0 pam=0 text="
}

@test "a module that changes the person is refused" {
	odd 'user=root' ''
	[[ $output == *"result ok=0 replay=0 unset=0 pam=6"* ]]
	odd '' 'user=root'
	[[ $output == *"result ok=0 replay=0 unset=0 pam=6"* ]]
}

@test "the ninth question is not put" {
	odd 'ask=9' '' 1 2 3 4 5 6 7 8 9
	[ "$(grep -c ask- <<<"$output")" -eq 8 ]
	[[ $output == *"result ok=0 replay=0 unset=0 pam=19"* ]]
}

@test "a module that talks without end is cut off, and may still succeed" {
	odd 'info=500' ''
	[ "$(grep -c '^info: ' <<<"$output")" -eq 32 ]
	has "result ok=1 replay=0 unset=0 pam=0 text="
}

@test "what modules say is made clean, line by line, and cut" {
	odd 'dirty' ''
	has 'info: one \u{1b}[2J'
	has "info: t\\u{2}wo\\\\"
	[ "$(grep -c '^error: xxx' <<<"$output")" -eq 1 ]
	[ "$(grep '^error: xxx' <<<"$output" | wc -c)" -le 520 ]
	has "result ok=1 replay=0 unset=0 pam=0 text="
}

@test "a message of an unknown style is a failed conversation" {
	odd 'binary' ''
	[[ $output == *"result ok=0 replay=0 unset=0 pam=19"* ]]
}

# ---- the process ----

@test "modules run in a clean place" {
	run ns 'printf "auth required $B/pam/pam_odd.so dump=$T/dump\naccount required pam_permit.so\n" >/etc/pam.d/modelgate
		export EVIL=1 LD_LIBRARY_PATH=/tmp
		ulimit -f 1; umask 000; cd /tmp
		check -t pts/9 -r 10.1.2.3 alice; cat $T/dump'
	has "result ok=1 replay=0 unset=0 pam=0 text="
	has "env PATH=/usr/sbin:/usr/bin:/sbin:/bin"
	[ "$(grep -c ^env <<<"$output")" -eq 1 ]
	has "umask 077"
	has "cwd /"
	has "core 0"
	has "dumpable 0"
	has "nnp 0"
	has "tty pts/9"
	has "rhost 10.1.2.3"
	has "ruser alice"
	# 0 to 2, the channel, and the dump's own two
	[ "$(grep -c ^fd <<<"$output")" -le 6 ]
}

@test "the monitor going away ends the try without a result" {
	run ns 'factor alice; check alice @close; factor bob
		[ "$(sed -n "s/used //p" /var/lib/modelgate/otp/alice)" = 0 ] || echo used'
	has "no result"
	has "exit 1"
	hasnt used
}

@test "a message that is no answer ends the try without a result" {
	run ns 'factor alice; check alice @odd'
	has "no result"
	has "exit 1"
}

@test "an unknown mode, an argument or another user than root: no try" {
	run ns 'factor alice; check -m none alice "$(code)"'
	has "no result"
	[[ $output == *"unknown mode"* ]]
	run ns '"$B/mg-auth" x 3<>/dev/null'
	[[ $output == *"takes no arguments"* ]]
	run ns 'cp $B/mg-auth /run/mg-auth; setpriv --reuid nobody --clear-groups /run/mg-auth 3<>/dev/null'
	[[ $output == *"must run as root"* ]]
	run ns '"$B/mg-auth" 3<&-'
	[ "$status" -ne 0 ]
}

@test "the kernel ends a try that hangs, with a signal that cannot be caught" {
	run ns 'printf "auth required $B/pam/pam_odd.so hang\naccount required pam_permit.so\n" >/etc/pam.d/modelgate
		authdrive $B/mg-auth alice & d=$!
		until p=$(pgrep -P $d mg-auth) && grep -q "^SigBlk:.fffffffe7ffbfeff" /proc/$p/status; do
			sleep 0.02
		done
		cat /proc/$p/timers; kill -9 $d; sleep 0.1
		[ ! -e /proc/$p ] || grep State /proc/$p/status'
	[[ $output == *"signal: 9/"* ]]
	[[ $output == *"ClockID: 7"* ]]
	# and with its parent it ends at once
	[[ $output != *"State:"* || $output == *"zombie"* ]]
}

@test "no code and no secret is in the log" {
	run ns 'fresh_step 8; factor alice; c=$(code)
		check alice 424242 2>$T/log; check alice $c 2>>$T/log; check alice $c 2>>$T/log
		check -m enroll bob @key 2>>$T/log
		s=$(sed -n "s/^secret //p" /var/lib/modelgate/otp/bob)
		cat $T/log; grep -E "424242|$c|$s|$HEX|$BASE32" $T/log && echo leaked'
	hasnt leaked
	[[ $output == *"evt=mfa"* ]]
}

# ---- enrolment ----

@test "enrolment: a key, a code of it, and from then on its codes" {
	run ns 'fresh_step 10; check -m enroll alice @key >$T/out; cat $T/out
		stat -c "%a %U %n" /var/lib/modelgate/otp/alice
		BASE32=$(sed -n "s/^key: [^ ]* //p" $T/out)
		check alice $(code); check alice $(code 1)'
	[[ $output =~ key:\ otpauth://totp/modelgate%20gpu-7:alice\?secret=([A-Z2-7]{32})\&issuer=modelgate%20gpu-7\ ([A-Z2-7]{32}) ]]
	[ "${BASH_REMATCH[1]}" = "${BASH_REMATCH[2]}" ]
	has "ask-off: Code that the app shows: "
	has "result ok=1 replay=0 unset=0 pam=0 text=the second factor of alice is enrolled"
	has "600 root /var/lib/modelgate/otp/alice"
	# The code that proved the key is used up; the next one is not.
	[[ $output == *"ok=0 replay=1"*"ok=1 replay=0"* ]]
}

@test "two enrolments give two secrets" {
	run ns 'check -m enroll alice @key; check -m enroll bob @key
		sed -n "s/^secret //p" /var/lib/modelgate/otp/* | sort -u | wc -l'
	[ "${lines[-1]}" = 2 ]
}

@test "without a right code nothing is stored" {
	run ns 'check -m enroll alice 000000 111111 222222; ls -A /var/lib/modelgate/otp'
	[ "$(grep -c ask-off <<<"$output")" -eq 3 ]
	has "result ok=0 replay=0 unset=0 pam=24 text=no right code in 3 tries; nothing is changed"
	[ "${lines[-1]}" = "exit 0" ]
	run ns 'check -m enroll alice @close; ls -A /var/lib/modelgate/otp'
	has "no result"
	[ "${lines[-1]}" = "no result" ]
}

@test "a mistyped code may be typed again" {
	run ns 'check -m enroll alice 000000 @key'
	[[ $output == *"error: that is not a code of this key"* ]]
	has "result ok=1 replay=0 unset=0 pam=0 text=the second factor of alice is enrolled"
}

@test "codes two steps away do not prove a key" {
	run ns 'fresh_step 8; check -m enroll alice @key+2 @key-2 @key+3; ls -A /var/lib/modelgate/otp'
	has "result ok=0 replay=0 unset=0 pam=24 text=no right code in 3 tries; nothing is changed"
}

@test "whoever has a factor must prove it before it is replaced" {
	run ns 'factor alice; check -m enroll alice 000000 @key
		sed -n "s/^secret //p" /var/lib/modelgate/otp/alice'
	[[ $output == *"info: prove the second factor"* ]]
	has "result ok=0 replay=0 unset=0 pam=7 text=wrong code"
	hasnt "key: "
	has "3132333435363738393031323334353637383930"
	run ns 'factor alice; check -m enroll alice $(code) @key
		sed -n "s/^secret //p" /var/lib/modelgate/otp/alice'
	has "result ok=1 replay=0 unset=0 pam=0 text=the second factor of alice is replaced"
	hasnt "3132333435363738393031323334353637383930"
}

@test "a factor that appeared or went in the meantime is not overwritten" {
	run ns 'check -m enroll alice "@when $T/go" @key & d=$!
		until [ -d /proc/$d ] && pgrep mg-auth >/dev/null; do sleep 0.02; done
		sleep 0.2; factor alice; : >$T/go; wait $d
		sed -n "s/^secret //p" /var/lib/modelgate/otp/alice'
	has "result ok=0 replay=0 unset=0 pam=24 text=the second factor was changed in the meantime; nothing is changed now"
	has "3132333435363738393031323334353637383930"
	run ns 'factor alice; check -m enroll alice $(code) "@when $T/go" @key & d=$!
		until [ "$(sed -n "s/^used //p" /var/lib/modelgate/otp/alice)" != 0 ]; do sleep 0.02; done
		check -m unenroll alice; : >$T/go; wait $d; ls -A /var/lib/modelgate/otp | wc -l'
	[[ $output == *"changed in the meantime"* ]]
	[ "${lines[-1]}" = 0 ]
}

@test "a damaged record is not replaced, but removed by an administrator" {
	run ns 'echo x >/var/lib/modelgate/otp/alice; check -m enroll alice @key
		cat /var/lib/modelgate/otp/alice; check -m unenroll alice; check -m enroll alice @key'
	has "result ok=0 replay=0 unset=0 broken pam=4 text=the record of alice is damaged; an administrator has to remove it (modelgate unenroll alice)"
	has "x"
	has "result ok=1 replay=0 unset=0 pam=0 text=the second factor of alice is removed"
	has "result ok=1 replay=0 unset=0 pam=0 text=the second factor of alice is enrolled"
}

@test "unenrolment removes the record and what killed writers left, once" {
	run ns 'factor alice; factor bob; cp /var/lib/modelgate/otp/alice /var/lib/modelgate/otp/.alice.0011
		check -m unenroll alice; ls -A /var/lib/modelgate/otp; check -m unenroll alice; check alice'
	has "result ok=1 replay=0 unset=0 pam=0 text=the second factor of alice is removed"
	has "result ok=0 replay=0 unset=1 pam=10 text=no second factor is enrolled for alice"
	has "bob"
	hasnt ".alice"
}

@test "the folder is made where it is missing, closed to others" {
	run ns 'rmdir /var/lib/modelgate/otp; check -m enroll alice @key
		stat -c "%a %U %n" /var/lib/modelgate/otp'
	has "result ok=1 replay=0 unset=0 pam=0 text=the second factor of alice is enrolled"
	has "700 root /var/lib/modelgate/otp"
}

@test "a host's name cannot add to the address" {
	run ns 'check -m enroll -H "a&b?c=d:evil#x y" alice @key'
	[[ $output == *"key: otpauth://totp/modelgate%20a%26b%3Fc%3Dd:alice?secret="*"&issuer=modelgate%20a%26b%3Fc%3Dd "* ]]
}
