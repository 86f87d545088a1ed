/* SPDX-License-Identifier: ISC */
/*
 * modelgate-ledger: is the record whole, and what does it prove? Reads files
 * only: needs no agent, and root only for the ledger of this host.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "led.h"
#include "mg_b64.h"
#include "mg_client.h"
#include "mg_esc.h"
#include "mg_file.h"
#include "mg_ini.h"
#include "mg_name.h"
#include "mg_sshkey.h"

#define KEY_FILE_MAX 4096

int
led_fail(const struct led *led, const char *fmt, ...)
{
	char raw[1024], text[2048];
	struct mg_buf b;
	struct mg_json j;
	const char *line;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	if (!led->json) {
		mg_esc_line(raw, text, sizeof(text));
		fprintf(stderr, "modelgate: %s\n", text);
		return LED_FAILED;
	}
	mg_buf_init(&b, 16384);
	mg_json_begin(&j, &b);
	mg_json_obj(&j, NULL);
	mg_json_str(&j, "event", "refused");
	mg_json_str(&j, "why", "refused");
	mg_json_str(&j, "text", raw);
	mg_json_obj_end(&j);
	if (mg_json_end(&j) == MG_ERR_OK && (line = mg_buf_cstr(&b)) != NULL)
		fprintf(stderr, "%s\n", line);
	mg_buf_fini(&b);
	return LED_FAILED;
}

bool
led_read(const struct led *led, const char *path, struct mg_buf *b)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	bool ok;

	if (fd == -1) {
		(void)led_fail(
		    led, "cannot open '%s': %s", path, strerror(errno));
		return false;
	}
	ok = mg_file_read(fd, b) == MG_ERR_OK;
	close(fd);
	if (!ok)
		(void)led_fail(led, "cannot read '%s'", path);
	return ok;
}

/* ---- keys ---- */

bool
led_parse_key(const char *text, struct mg_note_key *key)
{
	struct mg_buf blob;
	const char *why;
	size_t bad;
	bool ok;

	if (strncmp(text, "ssh-ed25519 ", 12) != 0)
		return false;
	text += 12;
	mg_buf_init(&blob, MG_SSHKEY_BLOB_MAX + 2);
	ok = mg_sshkey_parse(&blob, "ssh-ed25519", text, strcspn(text, " \n"),
		 &bad, &why) == MG_ERR_OK &&
	     mg_ed25519_from_blob(
		 mg_buf_ptr(&blob), mg_buf_len(&blob), key->pub) == MG_ERR_OK;
	mg_buf_fini(&blob);
	return ok;
}

bool
led_read_key(
    const char *path, struct mg_note_key *key, char *text, size_t text_size)
{
	char line[KEY_FILE_MAX];
	size_t n;
	FILE *f;

	if ((f = fopen(path, "re")) == NULL)
		return false;
	n = fread(line, 1, sizeof(line) - 1, f);
	fclose(f);
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	if (!led_parse_key(line, key))
		return false;
	if (text != NULL)
		snprintf(text, text_size, "ssh-ed25519 %.*s",
		    (int)strcspn(line + 12, " "), line + 12);
	return true;
}

void
led_fingerprint(const uint8_t pub[MG_ED25519], char out[64])
{
	static const uint8_t head[] = {0, 0, 0, 11, 's', 's', 'h', '-', 'e',
	    'd', '2', '5', '5', '1', '9', 0, 0, 0, 32};
	uint8_t blob[sizeof(head) + MG_ED25519], md[SHA256_DIGEST_LENGTH];
	struct mg_buf b;
	const char *s;

	memcpy(blob, head, sizeof(head));
	memcpy(blob + sizeof(head), pub, MG_ED25519);
	SHA256(blob, sizeof(blob), md);
	mg_buf_init(&b, 128);
	out[0] = '\0';
	if (mg_b64_put(&b, md, sizeof(md)) == MG_ERR_OK &&
	    (s = mg_buf_cstr(&b)) != NULL)
		snprintf(out, 64, "SHA256:%.43s", s);
	mg_buf_fini(&b);
}

static void
add_hub(struct led *led, const char *text)
{
	struct mg_note_key *key;

	if (led->nhubs == LED_KEYS_MAX)
		return;
	key = &led->hubs[led->nhubs];
	memset(key, 0, sizeof(*key));
	key->kind = MG_NOTE_WITNESS;
	snprintf(key->name, sizeof(key->name), "modelgate-hub");
	if (led_parse_key(text, key))
		led->nhubs++;
}

/* [hub] keys of agent.ini: the keys that this host believes. */
static void
take_ini(void *arg, const struct mg_ini_line *line)
{
	const char *p;
	char key[1024];
	size_t n;

	if (line->key == NULL || strcmp(line->section, "hub") != 0 ||
	    strcmp(line->key, "keys") != 0)
		return;
	for (p = line->value; *p != '\0'; p += n + (p[n] == ',')) {
		p += strspn(p, " ");
		n = strcspn(p, ",");
		snprintf(key, sizeof(key), "%.*s", (int)n, p);
		add_hub(arg, key);
	}
}

static void
hubs_of_agent(struct led *led)
{
	struct mg_diags *ds = calloc(1, sizeof(*ds));
	struct mg_buf b;
	int fd;

	fd = open(MG_CONFDIR "/agent.ini", O_RDONLY | O_CLOEXEC);
	if (fd == -1 || ds == NULL) {
		free(ds);
		return;
	}
	mg_buf_init(&b, 1U << 20);
	mg_diags_init(ds);
	if (mg_file_read(fd, &b) == MG_ERR_OK)
		(void)!mg_ini_parse("agent.ini", (const char *)mg_buf_ptr(&b),
		    mg_buf_len(&b), take_ini, led, ds);
	close(fd);
	mg_buf_fini(&b);
	free(ds);
}

/* ---- a new checkpoint ---- */

static int
checkpoint(struct led *led, const char *what)
{
	struct mg_checkpoint_req req = {0};
	struct mg_refused refused;
	struct mg_chan *ch;
	struct mg_frame f;
	struct mg_item item;
	struct mg_rec rec;
	int status = LED_FAILED;

	(void)what;
	if (mg_client_connect(MG_CLIENT_SOCKET, 5000, &ch) != MG_ERR_OK)
		return led_fail(led, "the agent cannot be reached");
	memset(&f, 0, sizeof(f));
	mg_rec_init(&rec);
	if (mg_chan_send(ch, 1, MG_MSG_CHECKPOINT_REQ, &req) != MG_ERR_OK ||
	    mg_chan_wait(ch, 30000, &f) != MG_ERR_OK)
		(void)led_fail(led, "the agent does not answer");
	else if (f.op == MG_MSG_REFUSED &&
		 mg_frame_decode(&f, &refused, sizeof(refused)) == MG_ERR_OK)
		(void)led_fail(led, "refused: %s", refused.text);
	else if (f.op == MG_MSG_ITEM &&
		 mg_frame_decode(&f, &item, sizeof(item)) == MG_ERR_OK &&
		 mg_rec_parse(&rec, item.json, strlen(item.json)) ==
		     MG_ERR_OK) {
		if (!led->quiet)
			printf("%s%s",
			    led->json ? item.json
				      : mg_rec_str(&rec, "note", ""),
			    led->json ? "\n" : "");
		status = 0;
	}
	mg_rec_fini(&rec);
	mg_chan_free(ch);
	return status;
}

/* ---- the command line ---- */

enum {
	OPT_HELP = 256,
	OPT_JSON,
	OPT_QUIET,
	OPT_DIR,
	OPT_CHECKPOINTS,
	OPT_LEAVES,
	OPT_HUB,
	OPT_HOST_KEY,
	OPT_HUB_KEY,
	OPT_OUT,
	OPT_SINCE,
	OPT_UNTIL,
	OPT_HTML,
};

static const struct option options[] = {
    {"help", no_argument, NULL, OPT_HELP},
    {"json", no_argument, NULL, OPT_JSON},
    {"quiet", no_argument, NULL, OPT_QUIET},
    {"dir", required_argument, NULL, OPT_DIR},
    {"checkpoints", required_argument, NULL, OPT_CHECKPOINTS},
    {"leaves", required_argument, NULL, OPT_LEAVES},
    {"hub", required_argument, NULL, OPT_HUB},
    {"host-key", required_argument, NULL, OPT_HOST_KEY},
    {"hub-key", required_argument, NULL, OPT_HUB_KEY},
    {"output", required_argument, NULL, OPT_OUT},
    {"since", required_argument, NULL, OPT_SINCE},
    {"until", required_argument, NULL, OPT_UNTIL},
    {"html", no_argument, NULL, OPT_HTML},
    {NULL, 0, NULL, 0},
};

static const struct {
	const char *name;
	int (*fn)(struct led *led, const char *what);
	int max; /* arguments */
	const char *usage;
} commands[] = {
    {"verify", led_verify, 1,
	"verify [FOLDER | FILE] [--hub DESTINATION] [--checkpoints FILE]\n"
	"    [--leaves FILE] [--host-key FILE] [--hub-key FILE] [--quiet] "
	"[--json]"},
    {"export", led_export, 1,
	"export REQUEST [--output FILE] [--dir FOLDER] [--host-key FILE]\n"
	"    [--hub-key FILE] [--quiet] [--json]"},
    {"report", led_report, 0,
	"report [--since T] [--until T] [--html | --json]"},
    {"checkpoint", checkpoint, 0, "checkpoint [--quiet] [--json]"},
    {"discard", led_discard, 1, "discard [RECORD] [--json]"},
};

#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

static int
usage(const char *name, FILE *out)
{
	size_t i;

	for (i = 0; i < NCOMMANDS; i++)
		if (name == NULL || strcmp(commands[i].name, name) == 0)
			fprintf(
			    out, "usage: modelgate %s\n", commands[i].usage);
	return LED_USAGE;
}

static bool
take_host_key(struct led *led, const char *path)
{
	led->host.kind = MG_NOTE_LOG;
	if (led_read_key(
		path, &led->host, led->host_pub, sizeof(led->host_pub)))
		return true;
	led->host.kind = 0;
	return false;
}

static int
take_option(struct led *led, int c)
{
	char text[1024];
	struct mg_note_key key;

	switch (c) {
	case OPT_JSON:
		led->json = true;
		break;
	case OPT_QUIET:
		led->quiet = true;
		break;
	case OPT_DIR:
		led->dir = optarg;
		break;
	case OPT_CHECKPOINTS:
		led->checkpoints = optarg;
		break;
	case OPT_LEAVES:
		led->leaves = optarg;
		break;
	case OPT_HUB:
		led->hub = optarg;
		break;
	case OPT_OUT:
		led->out = optarg;
		break;
	case OPT_SINCE:
		led->since = optarg;
		break;
	case OPT_UNTIL:
		led->until = optarg;
		break;
	case OPT_HTML:
		led->html = true;
		break;
	case OPT_HOST_KEY:
		if (!take_host_key(led, optarg))
			return led_fail(
			    led, "'%s' is not an Ed25519 public key", optarg);
		break;
	case OPT_HUB_KEY:
		if (!led_read_key(optarg, &key, text, sizeof(text)))
			return led_fail(
			    led, "'%s' is not an Ed25519 public key", optarg);
		add_hub(led, text);
		break;
	default:
		return LED_USAGE;
	}
	return 0;
}

static int
run(size_t i, int argc, char **argv)
{
	struct led led = {0};
	static char name[64];
	const char *meant;
	int c, status = 0;

	snprintf(name, sizeof(name), "modelgate %s", commands[i].name);
	argv[0] = name; /* in what getopt says */
	while (status == 0 &&
	       (c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == OPT_HELP || c == 'h') {
			(void)usage(commands[i].name, stdout);
			return 0;
		}
		status = take_option(&led, c);
	}
	if (status == LED_USAGE &&
	    (meant = mg_name_meant_option(argv[optind - 1], options)) != NULL)
		fprintf(stderr, "%s: is it '--%s'?\n", name, meant);
	if (status == 0 && argc - optind > commands[i].max) {
		(void)led_fail(&led, "'%s' is one word too many",
		    argv[optind + commands[i].max]);
		status = LED_USAGE;
	}
	if (status == LED_USAGE)
		return usage(commands[i].name, stderr);
	if (status != 0)
		return status;
	if ((led.sha = mg_sha_new()) == NULL)
		return led_fail(&led, "out of memory");
	if (led.nhubs == 0)
		hubs_of_agent(&led);
	status = commands[i].fn(&led, argv[optind]);
	mg_sha_free(led.sha);
	if (fflush(stdout) != 0)
		return LED_FAILED;
	return status;
}

int
main(int argc, char **argv)
{
	size_t i;

	/* OpenSSL crashes later when this fails and nobody looks. */
	if (mg_file_sanitise_std() != MG_ERR_OK ||
	    OSSL_LIB_CTX_get0_global_default() == NULL)
		return LED_FAILED;
	for (i = 0; i < NCOMMANDS; i++)
		if (argc >= 1 && strcmp(argv[0], commands[i].name) == 0)
			return run(i, argc, argv);
	return usage(NULL, stderr);
}
