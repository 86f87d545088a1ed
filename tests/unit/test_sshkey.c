/* SPDX-License-Identifier: ISC */
/* Syntax of public keys: every type taken, and what is refused of each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "mg_sshkey.h"

/* clang-format off */
static const struct {
	enum mg_sshkey_type type;
	const char *name, *b64;
} good[] = {
	{MG_SSHKEY_ED25519, "ssh-ed25519",
	"AAAAC3NzaC1lZDI1NTE5AAAAIAOhB7/zzhC+HXDdGOdLwJln5NYw"
	"m6UNXx3chmQSVTG4"},
	{MG_SSHKEY_ECDSA_256, "ecdsa-sha2-nistp256",
	"AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABB"
	"BOg66QIv4Eup00C2a1ToPrnPEig3hJRm+aPD62EPHcz4mhKKYjHe"
	"7yHboX0ZaxvNJgN5qFNKqM4gbD+RJVM01mo="},
	{MG_SSHKEY_ECDSA_384, "ecdsa-sha2-nistp384",
	"AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABh"
	"BAGmV1dxPsEmviWMIqKrralMnz2q70aljacNnkA8mnGdKEkLHw7D"
	"SH30zr8j6GFBxYZuj70f03skVPRxUboygwHWnZYv+6uR2Hagv97N"
	"t2Kn3OhXXksudVTTaLios8gxnA=="},
	{MG_SSHKEY_ECDSA_521, "ecdsa-sha2-nistp521",
	"AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACF"
	"BAH+c5v9oV56oNYhlGsd79GRQGPEA40CXqJ4mQlFCWZbHKpzLSMF"
	"kRPooxwpfvXahZ7eHW42ey59gCA7WDiboLZc+QCtj2KZ1BwkMl4p"
	"DvFH8g64RZgBePUO8jy1s1/8fjsLTXlvPZKnA2yzOeB8FjexQgj+"
	"RIElEy7Trs7RKCLBzrMHQQ=="},
	{MG_SSHKEY_RSA, "ssh-rsa",
	"AAAAB3NzaC1yc2EAAAADAQABAAABAQDWJvdbnKHHkMLCKzdObODx"
	"4xC2Z1oIo2w7ERliL74zymrx4z8lbvTG9e7Et8+xz/xHSpf6Z42K"
	"S0XTDVgYAD7tOsJjz+DlAhLN51X2KP2i/VYLq2+CP2ASPV+HyGdd"
	"XxAU0JdT8gixaFrVKY05duJTol7WtdM72fbhj1UuTI1+CCOQwVfR"
	"CzQS4fpFQ12TOGnRz8DihtIg+VQDldKceMlxEx6vs1vzqLBpkdFz"
	"ZeBwWYoTYDi4WVo4Gjz6/ckaBOJoJLd3or2t6qSI1+9EZODhH8Dh"
	"Mms1uGknRPLY5XfTqdiiIq9YPBr0/+kpny3xrhB/mLG4IElmkpT+"
	"19i1a/Cx"},
	{MG_SSHKEY_SK_ED25519, "sk-ssh-ed25519@openssh.com",
	"AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAOhB7/z"
	"zhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4AAAABHNzaDo="},
	{MG_SSHKEY_SK_ECDSA_256, "sk-ecdsa-sha2-nistp256@openssh.com",
	"AAAAInNrLWVjZHNhLXNoYTItbmlzdHAyNTZAb3BlbnNzaC5jb20A"
	"AAAIbmlzdHAyNTYAAABBBOg66QIv4Eup00C2a1ToPrnPEig3hJRm"
	"+aPD62EPHcz4mhKKYjHe7yHboX0ZaxvNJgN5qFNKqM4gbD+RJVM0"
	"1moAAAAFc3NoOng="},
};

static const struct {
	const char *name, *b64, *why;
} wrong[] = {
	{"ssh-dss",
	"AAAAB3NzaC1kc3MAAAABAQ==",
	"is of a type that is not taken"},
	{"ssh-ed25519-cert-v01@openssh.com",
	"AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAA"
	"IAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
	"is of a type that is not taken"},
	{"ssh-ed25519",
	"AAAAC3NzaC1lZDI1NTE5AAAAHwOhB7/zzhC+HXDdGOdLwJln5NYw"
	"m6UNXx3chmQSVTE=",
	"has the wrong length"},
	{"ssh-ed25519",
	"AAAAC3NzaC1lZDI1NTE5AAAAIQOhB7/zzhC+HXDdGOdLwJln5NYw"
	"m6UNXx3chmQSVTG4AA==",
	"has the wrong length"},
	{"ssh-ed25519",
	"AAAAC3NzaC1lZDI1NTE5AAAAIAOhB7/zzhC+HXDdGOdLwJln5NYw"
	"m6UNXx3chmQSVTG4AA==",
	"has bytes after its end"},
	{"ssh-ed25519",
	"AAAAC3NzaC1lZDI1NTE5AAAAIAOhB7/zzhC+HXDdGOdLwJln5NYw"
	"m6UNXx3chmQSVTE=",
	"has the wrong length"},
	{"ssh-ed25519",
	"AAAA",
	"is cut short"},
	{"ssh-ed25519",
	"/////3NzaC1lZDI1NTE5",
	"is cut short"},
	{"ssh-ed25519",
	"AAAADHNzaC1lZDI1NTE5AAAAACADoQe/884Qvh1w3RjnS8CZZ+TW"
	"MJulDV8d3IZkElUxuA==",
	"is of a type that is not taken"},
	{"ssh-ed25519",
	"AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABB"
	"BOg66QIv4Eup00C2a1ToPrnPEig3hJRm+aPD62EPHcz4mhKKYjHe"
	"7yHboX0ZaxvNJgN5qFNKqM4gbD+RJVM01mo=",
	"is of another type than the word before it"},
	{"ssh-rsa",
	"AAAAB3NzaC1yc2EAAAADAQABAAAAgQDoNysXheWvDCKOCZ4hXlvI"
	"kUzn7gnRmRiqO6pcRdfpHGysUxSruWCqq2NQ5mpnhbohpRmckkbh"
	"Vml/1eQzt26piEdiSU0MgOTHbiHdIppnP0MjzwQBgRU0JoaaM1yE"
	"BxuHifytcla0s5VMroIINOSCFdf5Voz2M4rOqAn6XSQGiQ==",
	"has fewer than 2048 bits"},
	{"ssh-rsa",
	"AAAAB3NzaC1yc2EAAAADAQABAAABAgAA1ib3W5yhx5DCwis3Tmzg"
	"8eMQtmdaCKNsOxEZYi++M8pq8eM/JW70xvXuxLfPsc/8R0qX+meN"
	"iktF0w1YGAA+7TrCY8/g5QISzedV9ij9ov1WC6tvgj9gEj1fh8hn"
	"XV8QFNCXU/IIsWha1SmNOXbiU6Je1rXTO9n24Y9VLkyNfggjkMFX"
	"0Qs0EuH6RUNdkzhp0c/A4obSIPlUA5XSnHjJcRMer7Nb86iwaZHR"
	"c2XgcFmKE2A4uFlaOBo8+v3JGgTiaCS3d6K9reqkiNfvRGTg4R/A"
	"4TJrNbhpJ0Ty2OV306nYoiKvWDwa9P/pKZ8t8a4Qf5ixuCBJZpKU"
	"/tfYtWvwsQ==",
	"is not an RSA key"},
	{"ssh-rsa",
	"AAAAB3NzaC1yc2EAAAAEAAEAAQAAAQEA1ib3W5yhx5DCwis3Tmzg"
	"8eMQtmdaCKNsOxEZYi++M8pq8eM/JW70xvXuxLfPsc/8R0qX+meN"
	"iktF0w1YGAA+7TrCY8/g5QISzedV9ij9ov1WC6tvgj9gEj1fh8hn"
	"XV8QFNCXU/IIsWha1SmNOXbiU6Je1rXTO9n24Y9VLkyNfggjkMFX"
	"0Qs0EuH6RUNdkzhp0c/A4obSIPlUA5XSnHjJcRMer7Nb86iwaZHR"
	"c2XgcFmKE2A4uFlaOBo8+v3JGgTiaCS3d6K9reqkiNfvRGTg4R/A"
	"4TJrNbhpJ0Ty2OV306nYoiKvWDwa9P/pKZ8t8a4Qf5ixuCBJZpKU"
	"/tfYtWvwsQ==",
	"is not an RSA key"},
	{"ssh-rsa",
	"AAAAB3NzaC1yc2EAAAABAgAAAQEA1ib3W5yhx5DCwis3Tmzg8eMQ"
	"tmdaCKNsOxEZYi++M8pq8eM/JW70xvXuxLfPsc/8R0qX+meNiktF"
	"0w1YGAA+7TrCY8/g5QISzedV9ij9ov1WC6tvgj9gEj1fh8hnXV8Q"
	"FNCXU/IIsWha1SmNOXbiU6Je1rXTO9n24Y9VLkyNfggjkMFX0Qs0"
	"EuH6RUNdkzhp0c/A4obSIPlUA5XSnHjJcRMer7Nb86iwaZHRc2Xg"
	"cFmKE2A4uFlaOBo8+v3JGgTiaCS3d6K9reqkiNfvRGTg4R/A4TJr"
	"NbhpJ0Ty2OV306nYoiKvWDwa9P/pKZ8t8a4Qf5ixuCBJZpKU/tfY"
	"tWvwsQ==",
	"is not an RSA key"},
	{"ssh-rsa",
	"AAAAB3NzaC1yc2EAAAADAQABAAABAQDWJvdbnKHHkMLCKzdObODx"
	"4xC2Z1oIo2w7ERliL74zymrx4z8lbvTG9e7Et8+xz/xHSpf6Z42K"
	"S0XTDVgYAD7tOsJjz+DlAhLN51X2KP2i/VYLq2+CP2ASPV+HyGdd"
	"XxAU0JdT8gixaFrVKY05duJTol7WtdM72fbhj1UuTI1+CCOQwVfR"
	"CzQS4fpFQ12TOGnRz8DihtIg+VQDldKceMlxEx6vs1vzqLBpkdFz"
	"ZeBwWYoTYDi4WVo4Gjz6/ckaBOJoJLd3or2t6qSI1+9EZODhH8Dh"
	"Mms1uGknRPLY5XfTqdiiIq9YPBr0/+kpny3xrhB/mLG4IElmkpT+"
	"19i1a/Cw",
	"is not an RSA key"},
	{"ssh-rsa",
	"AAAAB3NzaC1yc2EAAAADAQABAAABAoAA1ib3W5yhx5DCwis3Tmzg"
	"8eMQtmdaCKNsOxEZYi++M8pq8eM/JW70xvXuxLfPsc/8R0qX+meN"
	"iktF0w1YGAA+7TrCY8/g5QISzedV9ij9ov1WC6tvgj9gEj1fh8hn"
	"XV8QFNCXU/IIsWha1SmNOXbiU6Je1rXTO9n24Y9VLkyNfggjkMFX"
	"0Qs0EuH6RUNdkzhp0c/A4obSIPlUA5XSnHjJcRMer7Nb86iwaZHR"
	"c2XgcFmKE2A4uFlaOBo8+v3JGgTiaCS3d6K9reqkiNfvRGTg4R/A"
	"4TJrNbhpJ0Ty2OV306nYoiKvWDwa9P/pKZ8t8a4Qf5ixuCBJZpKU"
	"/tfYtWvwsQ==",
	"is not an RSA key"},
	{"ssh-rsa",
	"AAAAB3NzaC1yc2EAAAADAQABAAAAAA==",
	"is not an RSA key"},
	{"ssh-rsa",
	"AAAAB3NzaC1yc2EAAAADAQABAAABAQDWJvdbnKHHkMLCKzdObODx"
	"4xC2Z1oIo2w7ERliL74zymrx4z8lbvTG9e7Et8+xz/xHSpf6Z42K"
	"S0XTDVgYAD7tOsJjz+DlAhLN51X2KP2i/VYLq2+CP2ASPV+HyGdd"
	"XxAU0JdT8gixaFrVKY05duJTol7WtdM72fbhj1UuTI1+CCOQwVfR"
	"CzQS4fpFQ12TOGnRz8DihtIg+VQDldKceMlxEx6vs1vzqLBpkdFz"
	"ZeBwWYoTYDi4WVo4Gjz6/ckaBOJoJLd3or2t6qSI1+9EZODhH8Dh"
	"Mms1uGknRPLY5XfTqdiiIq9YPBr0/+kpny3xrhB/mLG4IElmkpT+"
	"19i1a/CxeA==",
	"has bytes after its end"},
	{"ssh-rsa",
	"AAAAB3NzaC1yc2EAAAADAQABAAAIAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	"AQEBAQ==",
	"has more than 16384 bits"},
	{"ecdsa-sha2-nistp256",
	"AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAzODQAAABB"
	"BOg66QIv4Eup00C2a1ToPrnPEig3hJRm+aPD62EPHcz4mhKKYjHe"
	"7yHboX0ZaxvNJgN5qFNKqM4gbD+RJVM01mo=",
	"is of another curve than its type"},
	{"ecdsa-sha2-nistp256",
	"AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABB"
	"Aug66QIv4Eup00C2a1ToPrnPEig3hJRm+aPD62EPHcz4mhKKYjHe"
	"7yHboX0ZaxvNJgN5qFNKqM4gbD+RJVM01mo=",
	"is not an uncompressed point"},
	{"ecdsa-sha2-nistp256",
	"AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAAAh"
	"BOg66QIv4Eup00C2a1ToPrnPEig3hJRm+aPD62EPHcz4",
	"has the wrong length"},
	{"sk-ssh-ed25519@openssh.com",
	"AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAOhB7/z"
	"zhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4",
	"has no application"},
	{"sk-ssh-ed25519@openssh.com",
	"AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAOhB7/z"
	"zhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4AAAAAA==",
	"has no application"},
	{"sk-ssh-ed25519@openssh.com",
	"AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAOhB7/z"
	"zhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4AAAABXNzaDoK",
	"has an application that does not print"},
	{"sk-ssh-ed25519@openssh.com",
	"AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAOhB7/z"
	"zhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4AAABAGFhYWFhYWFh"
	"YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh"
	"YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh"
	"YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh"
	"YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh"
	"YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh"
	"YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh"
	"YWFhYWFhYWFhYWFhYWE=",
	"has no application"},
};
/* clang-format on */

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void
every_type_that_is_taken_parses(void **state)
{
	enum mg_sshkey_type type;
	struct mg_buf b;
	const char *why;
	size_t i, bad;

	(void)state;
	for (i = 0; i < COUNT(good); i++) {
		mg_buf_init(&b, 8192);
		assert_int_equal(mg_sshkey_parse(&b, good[i].name, good[i].b64,
				     strlen(good[i].b64), &bad, &why),
		    MG_ERR_OK);
		assert_int_equal(mg_sshkey_check(mg_buf_ptr(&b), mg_buf_len(&b),
				     &type, &why),
		    MG_ERR_OK);
		assert_int_equal(type, good[i].type);
		assert_string_equal(mg_sshkey_name(type), good[i].name);
		assert_int_equal(
		    mg_sshkey_is_hardware(type), good[i].name[1] == 'k');
		mg_buf_fini(&b);
	}
}

static void
every_malformed_key_is_refused_with_its_reason(void **state)
{
	struct mg_buf b;
	const char *why;
	size_t i, bad;

	(void)state;
	for (i = 0; i < COUNT(wrong); i++) {
		mg_buf_init(&b, 8192);
		assert_int_not_equal(
		    mg_sshkey_parse(&b, wrong[i].name, wrong[i].b64,
			strlen(wrong[i].b64), &bad, &why),
		    MG_ERR_OK);
		assert_string_equal(why, wrong[i].why);
		assert_int_equal(mg_buf_len(&b), 0);
		mg_buf_fini(&b);
	}
}

/* Rule 2: whatever is cut off or added, it is no longer a key. */
static void
rule2_no_prefix_and_no_longer_form_of_a_key_is_one(void **state)
{
	enum mg_sshkey_type type;
	struct mg_buf b;
	const char *why;
	size_t i, n, bad;

	(void)state;
	for (i = 0; i < COUNT(good); i++) {
		mg_buf_init(&b, 8192);
		assert_int_equal(mg_sshkey_parse(&b, good[i].name, good[i].b64,
				     strlen(good[i].b64), &bad, &why),
		    MG_ERR_OK);
		for (n = 0; n < mg_buf_len(&b); n++)
			assert_int_equal(
			    mg_sshkey_check(mg_buf_ptr(&b), n, &type, &why),
			    MG_ERR_FORMAT);
		assert_int_equal(mg_buf_put_u8(&b, 0), MG_ERR_OK);
		assert_int_equal(mg_sshkey_check(mg_buf_ptr(&b), mg_buf_len(&b),
				     &type, &why),
		    MG_ERR_FORMAT);
		assert_int_equal(type, MG_SSHKEY_NONE);
		mg_buf_fini(&b);
	}
}

static void
a_blob_or_text_over_the_limit_is_refused(void **state)
{
	static char big[8000];
	enum mg_sshkey_type type;
	struct mg_buf b;
	const char *why;
	size_t bad;

	(void)state;
	memset(big, 'A', sizeof(big));
	assert_int_equal(
	    mg_sshkey_check(big, sizeof(big), &type, &why), MG_ERR_FORMAT);
	assert_string_equal(why, "is too long");
	mg_buf_init(&b, 65536);
	assert_int_equal(
	    mg_sshkey_parse(&b, "ssh-ed25519", big, sizeof(big), &bad, &why),
	    MG_ERR_LIMIT);
	assert_int_equal(mg_buf_len(&b), 0);
	mg_buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_type_that_is_taken_parses),
	    cmocka_unit_test(every_malformed_key_is_refused_with_its_reason),
	    cmocka_unit_test(
		rule2_no_prefix_and_no_longer_form_of_a_key_is_one),
	    cmocka_unit_test(a_blob_or_text_over_the_limit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
