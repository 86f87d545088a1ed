#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# What TAB offers behind modelgate.

load lib

setup_file() { host_up; }
teardown_file() { host_down; }

# tab LINE: the words that are offered at its end. tab_as USER LINE.
tab() { tab_as alice "$1"; }
tab_as()
{
	run as "$1" ". /usr/share/bash-completion/completions/modelgate
	    COMP_LINE='$2' COMP_POINT=${#2}
	    _modelgate
	    printf '%s\n' \"\${COMPREPLY[@]}\""
	ok
}

@test "commands" {
	tab 'modelgate re'
	[ "$(sort <<<"$output" | xargs)" = 'report request requests revoke' ]
}

@test "operations of this host" {
	tab 'modelgate run de'
	[ "$output" = deploy ]
	tab 'modelgate request root'
	[ "$output" = root-shell ]
}

@test "models and, behind the @, their versions" {
	tab 'modelgate run deploy rec'
	[ "$(sort <<<"$output" | xargs)" = 'receipt-ocr@1 receipt-ocr@2' ]
	tab 'modelgate run deploy receipt-ocr@'
	[ "$(sort <<<"$output" | xargs)" = '1 2' ]
}

@test "the flags that the command's own help names" {
	tab 'modelgate log --u'
	[ "$(sort <<<"$output" | xargs)" = '--until --user' ]
	tab 'modelgate log --user al'
	[ "$output" = alice ]
}

@test "codes of what waits and what is held" {
	as ci-deploy 'modelgate run deploy receipt-ocr@2 --no-wait --reason x'
	id=$(wait_for_request)
	tab_as ci-deploy 'modelgate cancel '
	[[ $output == *"$id"* ]]
	for verb in status why revoke 'log --request'; do
		tab_as ci-deploy "modelgate $verb ${id:0:3}"
		[ "$output" = "$id" ] || fail "$verb"
	done
	tab_as bob 'modelgate approve '
	[[ $output == *"$id"* ]]
	approve bob "$id"
	approve carol "$id"
	soon is_state "$id" granted
	tab_as ci-deploy "modelgate done ${id:0:3}"
	[ "$output" = "$id" ]
}

@test "the tools of policy and artifact, and their flags" {
	tab 'modelgate policy wh'
	[ "$(sort <<<"$output" | xargs)" = 'what-can who-can' ]
	tab 'modelgate artifact d'
	[ "$output" = digest ]
	tab 'modelgate artifact verify --ke'
	[ "$output" = --key ]
}

@test "words that an option takes, names of models, and files" {
	tab 'modelgate log --type ses'
	[ "$(sort <<<"$output" | xargs)" = 'session-close session-open' ]
	tab 'modelgate log --state de'
	[ "$(sort <<<"$output" | xargs)" = 'denied deny' ]
	tab 'modelgate log --format c'
	[ "$(sort <<<"$output" | xargs)" = 'cef csv' ]
	tab 'modelgate models rec'
	[ "$output" = receipt-ocr ]
	tab 'modelgate help dis'
	[ "$output" = discard ]
	for cmd in verify 'policy check' 'artifact digest' 'verify --host-key'; do
		tab "modelgate $cmd /etc/modelgate/pol"
		[ "$output" = /etc/modelgate/policy.d ] || fail "$cmd"
	done
}
