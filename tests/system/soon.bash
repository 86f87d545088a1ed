# SPDX-License-Identifier: ISC
# shellcheck shell=bash
#
# Waiting for what is not there yet.

# soon [-t SECONDS] COMMAND...: until it succeeds; fails after a minute, which
# is no requirement of anything: tests beside this one take the processors.
soon()
{
	local until=60 n=0
	if [ "$1" = -t ]; then
		until=$2
		shift 2
	fi
	until=$((SECONDS + until))
	while ! "$@" >/dev/null 2>&1; do
		if [ "$SECONDS" -ge "$until" ]; then
			# Once more, to see what it says.
			! "$@" >&2 || return 0
			echo "never came true: $*" >&2
			return 1
		fi
		# What takes long is not asked after as often.
		sleep "0.$((n++ < 20 ? 0 : 2))5"
	done
}
