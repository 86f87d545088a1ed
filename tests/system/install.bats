#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# make install and uninstall, below a folder of their own.

load lib

setup()
{
	cd "$top"
	dest=$BATS_TEST_TMPDIR/root
	multiarch=$(cc -print-multiarch)
	module=$dest/lib/$multiarch/security/pam_modelgate.so
}

inst() { make -s --no-print-directory "B=${B:-build/cc}" DESTDIR="$dest" "$@"; }

@test "everything that is built is installed where DESIGN says" {
	inst install-built
	for f in usr/sbin/modelgated usr/sbin/modelgate-hub usr/bin/modelgate \
	    usr/libexec/modelgate/mg-run usr/libexec/modelgate/ops/symlink \
	    etc/modelgate/agent.ini etc/modelgate/policy.d \
	    etc/modelgate/operations.d etc/pam.d/modelgate \
	    lib/systemd/system/modelgated.service \
	    usr/share/bash-completion/completions/modelgate; do
		[ -e "$dest/$f" ] || fail "no $f"
	done
	[ -e "$module" ]
	for f in "${B:-build/cc}"/mg-*; do
		cmp "$f" "$dest/usr/libexec/modelgate/${f##*/}"
	done
}

@test "nothing is writable by others, set-user-id or unfinished" {
	inst install-built
	run find "$dest" \( -perm /6022 ! -type l -o -name '*.new' \)
	[ -z "$output" ] || fail "found"
}

@test "man pages are compressed and valid, every program has one" {
	inst install-built
	for page in modelgated.8 modelgate-hub.8 modelgate.1 pam_modelgate.8; do
		gz=$dest/usr/share/man/man${page##*.}/$page.gz
		[ -s "$gz" ] || fail "no $page"
		zcat "$gz" | mandoc -Tlint -Werror || fail "$page"
	done
}

@test "the site's configuration is not overwritten" {
	inst install-built
	echo '; mine' >"$dest/etc/modelgate/agent.ini"
	inst install-built
	[ "$(cat "$dest/etc/modelgate/agent.ini")" = '; mine' ]
	grep -q '^\[host\]' "$dest/usr/share/doc/modelgate/examples/agent.ini"
}

@test "a module that is loaded is replaced by rename, not written over" {
	inst install-built
	exec {held}<"$module"
	inst install-built
	[ "$(stat -L -c %h "/proc/$BASHPID/fd/$held")" = 0 ]
	[ -s "$module" ]
	exec {held}<&-
}

@test "uninstall refuses while a PAM stack still names the module" {
	inst install-built
	mkdir -p "$dest/etc/pam.d"
	printf 'account required pam_modelgate.so\n' >"$dest/etc/pam.d/sshd"
	run inst uninstall
	failed
	has "$dest/etc/pam.d/sshd"
	[ -e "$module" ]
	printf '# account required pam_modelgate.so\n' >"$dest/etc/pam.d/sshd"
	inst uninstall
	[ ! -e "$module" ]
}

@test "uninstall leaves configuration, and nothing else" {
	inst install-built
	inst uninstall
	run find "$dest" -type f ! -path '*/etc/*'
	[ -z "$output" ] || fail "left"
	[ -e "$dest/etc/modelgate/agent.ini" ]
}

@test "the folders can be chosen" {
	inst install-built PREFIX=/opt/mg UNITDIR=/opt/mg/units
	[ -x "$dest/opt/mg/sbin/modelgated" ]
	grep -q '^ExecStart=/opt/mg/sbin/modelgated' \
	    "$dest/opt/mg/units/modelgated.service"
}
