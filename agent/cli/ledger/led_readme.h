/* SPDX-License-Identifier: ISC */
#ifndef LED_README_H
#define LED_README_H

/* The README of an exported file: how to check it without modelgate. The
 * tests run its commands as they stand here; they are those of
 * scripts/verify-export. */

/* clang-format off */
#define LED_README \
	"What this folder proves, and how to check it.\n" \
	"\n" \
	"records/N.json    line N of the ledger of one host, byte for byte\n" \
	"proofs/N.path     the Merkle path (RFC 6962) from that line to the\n" \
	"                  root in `checkpoint`\n" \
	"checkpoint        the signed head of that ledger (C2SP tlog-checkpoint):\n" \
	"                  name, number of records, root, signatures; the first\n" \
	"                  is the host's, the second the hub's\n" \
	"host.pem/.pub     the host's key; compare its fingerprint with one\n" \
	"                  that you trust: ssh-keygen -lf host.pub\n" \
	"hub.pem/.pub      the hub's key, likewise\n" \
	"decisions/N.*     what an approver signed (text), and the signature\n" \
	"allowed_signers   the keys in these signatures and the names they\n" \
	"                  signed under; compare them with your own list\n" \
	"policy.txt        the policy; its sha256sum is the digest in the record\n" \
	"                  of the request, and in what approvers signed\n" \
	"audit.log         the kernel's audit records of the request, if\n" \
	"                  export could read them (not signed)\n" \
	"\n" \
	"With modelgate:   modelgate verify FILE\n" \
	"Without: bash, coreutils, grep, sed, ssh-keygen, openssl. Unpack the file\n" \
	"with tar, enter the folder, and run these commands. Each prints what it\n" \
	"found; the last line is ALL GOOD, or there is none. Who does not trust\n" \
	"who wrote this file takes the commands from somewhere else: they are\n" \
	"scripts/verify-export of modelgate's source, which unpacks it, too.\n" \
	"\n" \
	"#--- commands\n" \
	"set -eu\n" \
	"hash() { sha256sum | cut -c 1-64; }\n" \
	"bytes() { printf \"$(sed 's/../\\\\x&/g')\"; }\n" \
	"quote() { sed 's/[\\\\\"]/\\\\&/g' | sed -z 's/\\n/\\\\n/g'; }\n" \
	"no() { echo \"$*\"; exit 1; }\n" \
	"tmp=$(mktemp -d)\n" \
	"# The checkpoint: signed by the host, and by the hub if it was asked.\n" \
	"sed '/^$/,$d' checkpoint >\"$tmp/body\"\n" \
	"sed -n '/^$/,$p' checkpoint | sed 1d | cut -d ' ' -f 3 >\"$tmp/signatures\"\n" \
	"sed -n 1p \"$tmp/signatures\" | base64 -d | tail -c 64 >\"$tmp/host.sig\"\n" \
	"openssl pkeyutl -verify -pubin -inkey host.pem -rawin -in \"$tmp/body\" -sigfile \"$tmp/host.sig\"\n" \
	"if [ -e hub.pem ]; then\n" \
	"    sed -n 2p \"$tmp/signatures\" | base64 -d >\"$tmp/raw\"\n" \
	"    tail -c 64 \"$tmp/raw\" >\"$tmp/hub.sig\"\n" \
	"    t=$((16#$(head -c 12 \"$tmp/raw\" | tail -c 8 | od -An -tx1 | tr -d ' \\n')))\n" \
	"    { printf 'cosignature/v1\\ntime %s\\n' \"$t\"; cat \"$tmp/body\"; } >\"$tmp/seen\"\n" \
	"    openssl pkeyutl -verify -pubin -inkey hub.pem -rawin -in \"$tmp/seen\" -sigfile \"$tmp/hub.sig\"\n" \
	"    echo \"the hub saw it at $(date -u -d \"@$t\")\"\n" \
	"fi\n" \
	"# The records: each hashes up to the signed root.\n" \
	"root=$(sed -n 3p checkpoint | base64 -d | od -An -tx1 | tr -d ' \\n')\n" \
	"for r in records/*.json; do\n" \
	"    n=$(basename \"$r\" .json)\n" \
	"    h=$({ printf '\\0'; cat \"$r\"; } | hash)\n" \
	"    while read -r side x; do\n" \
	"        case $x in '' | *[!0-9a-f]*) no \"proof $n is not one\" ;; esac\n" \
	"        if [ \"$side\" = L ]; then h=$x$h; else h=$h$x; fi\n" \
	"        h=$({ printf '\\1'; printf %s \"$h\" | bytes; } | hash)\n" \
	"    done <\"proofs/$n.path\"\n" \
	"    [ \"$h\" = \"$root\" ] || no \"record $n is not in the ledger\"\n" \
	"    echo \"record $n is in the ledger\"\n" \
	"done\n" \
	"# The decisions on record: what was signed, and by whom.\n" \
	"for r in $(grep -l '^{[^{]*\"type\":\"decision\"' records/*.json); do\n" \
	"    d=decisions/$(basename \"$r\" .json)\n" \
	"    grep -qF -- \"\\\"text\\\":\\\"$(quote <\"$d.text\")\\\",\\\"sig\\\":\\\"$(quote <\"$d.sig\")\\\"\" \"$r\" ||\n" \
	"        no \"$d is not what is on record\"\n" \
	"    who=$(sed -n 's/^approver: //p;3q' \"$d.text\")\n" \
	"    ssh-keygen -Y verify -f allowed_signers -I \"$who\" -n modelgate-approval -s \"$d.sig\" <\"$d.text\"\n" \
	"done\n" \
	"# The policy, if it is here: the one that the request names.\n" \
	"[ ! -e policy.txt ] || grep -qF \"\\\"policy\\\":\\\"sha256:$(hash <policy.txt)\\\"\" records/*.json ||\n" \
	"    no \"policy.txt is not the policy of the request\"\n" \
	"rm -r \"$tmp\"\n" \
	"echo ALL GOOD\n" \
	"#--- end\n"
/* clang-format on */

#endif
