/* clock_gettime() and friends. */
#define _GNU_SOURCE
/*
 * Idle connections, for measuring what they cost a server.
 *
 *     idle-load HOST PORT PATH COUNT [--http] [--from ADDRESS]
 *
 * Opens COUNT WebSockets (with --http: connections that have had one request answered), prints "open COUNT", and holds them until its standard
 * input ends. --from is the address that they come from, so that several processes do not share one range of ports.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

/* Reads a head, one byte at a time, so that nothing behind it is taken, and then a body of the announced length. */
static void read_answer(int fd, int is_http)
{
	char text[4096];
	size_t used = 0;
	while (used < sizeof text - 1 && (used < 4 || memcmp(text + used - 4, "\r\n\r\n", 4) != 0)) {
		if (read(fd, text + used, 1) != 1) die("read the answer");
		used++;
	}
	text[used] = 0;
	if (strncmp(text, is_http ? "HTTP/1.1 200 " : "HTTP/1.1 101 ", 13) != 0) {
		fprintf(stderr, "not the answer: %.200s\n", text);
		exit(1);
	}
	if (!is_http) return;
	char *at = strcasestr(text, "\r\ncontent-length:");
	long left = at == NULL ? -1 : atol(at + 17);
	if (left < 0 || left > (long)sizeof text) {
		fprintf(stderr, "no short answer of a known length\n");
		exit(1);
	}
	while (left > 0) {
		ssize_t count = read(fd, text, (size_t)left);
		if (count <= 0) die("read the body");
		left -= count;
	}
}

int main(int count, char **arguments)
{
	int is_http = 0;
	const char *from = NULL;
	if (count < 5) {
		fprintf(stderr, "idle-load HOST PORT PATH COUNT [--http] [--from ADDRESS]\n");
		return 2;
	}
	for (int at = 5; at < count; at++) {
		if (strcmp(arguments[at], "--http") == 0) is_http = 1;
		else if (strcmp(arguments[at], "--from") == 0 && at + 1 < count) from = arguments[++at];
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[2]))};
	if (inet_pton(AF_INET, arguments[1], &to.sin_addr) != 1) die("address");
	int total = atoi(arguments[4]);
	char request[512];
	int length = snprintf(request, sizeof request,
			      is_http ? "GET %s HTTP/1.1\r\nHost: %s:%s\r\n\r\n"
				      : "GET %s HTTP/1.1\r\nHost: %s:%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
					"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
			      arguments[3], arguments[1], arguments[2]);
	for (int index = 0; index < total; index++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		if (fd < 0) die("socket");
		/* Resets in place of TIME_WAIT, so that the next server's clients find ports. */
		struct linger at_once = {.l_onoff = 1};
		int one = 1;
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
		if (from != NULL) {
			struct sockaddr_in mine = {.sin_family = AF_INET};
			if (inet_pton(AF_INET, from, &mine.sin_addr) != 1) die("address");
			if (bind(fd, (struct sockaddr *)&mine, sizeof mine) < 0) die("bind");
		}
		if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) die("connect");
		if (write(fd, request, (size_t)length) != length) die("write");
		read_answer(fd, is_http);
	}
	printf("open %d\n", total);
	fflush(stdout);
	char byte;
	while (read(0, &byte, 1) > 0) continue;
	return 0;
}
