#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
#
# What TAB offers behind modelgate.

load lib

setup_file() { host_up; }
teardown_file() { host_down; }

# tab LINE: the words that are offered at its end.
tab()
{
	# shellcheck disable=SC2016
	run as alice ". /usr/share/bash-completion/completions/modelgate
	    COMP_LINE='$1' COMP_POINT=${#1}
	    _modelgate
	    printf '%s\n' \"\${COMPREPLY[@]}\""
	ok
}

@test "commands" {
	tab 'modelgate re'
	[ "$(sort <<<"$output" | xargs)" = 'request requests revoke' ]
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
