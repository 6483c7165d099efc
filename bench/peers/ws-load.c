/* clock_gettime() and friends. */
#define _GNU_SOURCE
/*
 * A WebSocket echo load generator on io_uring that checks every message.
 *
 *     ws-load HOST PORT PATH CONNECTIONS DEPTH BYTES SECONDS [options]
 *
 *     --warmup S     seconds of the same load before the counted window (default 0)
 *     --text         messages of text (default: binary)
 *     --broadcast    the first connection sends one message, and every connection must get it; when all have, it sends the next
 *     --cpu-of PID   report the CPU time of this process in the window
 *
 * Each connection sends DEPTH messages of BYTES in one piece and sends the next DEPTH when the last of their echoes is in. Every echo must be one
 * unmasked, final frame of the same kind with the same bytes. Prints one line of JSON; latency is from the send of a piece to each of its echoes.
 */
#include "ring.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define CONNECTIONS_MAX 16384
#define BUFFERS 1024
#define BUFFER_BYTES 16384
#define LATENCY_US_MAX 1000000
#define KIND_RECEIVE 1ULL
#define KIND_SEND 2ULL

struct connection {
	int fd;
	uint32_t to_come; /* echoes of the piece under way */
	uint32_t to_send; /* bytes of the piece that the kernel has not taken */
	uint64_t started_ns;
	uint64_t at; /* bytes of the frame under way that are there */
};

static struct connection connections[CONNECTIONS_MAX];
static uint32_t latencies[LATENCY_US_MAX];
static struct ring ring;
static struct buffer_ring buffers;
static unsigned char *piece, *expected;
static uint32_t depth;
static uint64_t piece_bytes, expected_bytes;
static uint64_t now_ns, messages, messages_total, errors, bad_messages;
static int is_measuring, is_broadcast;
static uint32_t connection_count, outstanding;

static uint64_t clock_ns(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000ULL + (uint64_t)time.tv_nsec;
}

static uint64_t cpu_us_of(int pid)
{
	char path[64], text[1024];
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	FILE *file = fopen(path, "r");
	if (file == NULL) return 0;
	size_t length = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	text[length] = 0;
	char *at = strrchr(text, ')');
	unsigned long user = 0, system = 0;
	if (at == NULL || sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2) return 0;
	return (uint64_t)(user + system) * 1000000ULL / (uint64_t)sysconf(_SC_CLK_TCK);
}

static uint64_t own_cpu_us(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000ULL +
	       (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static size_t write_frame(unsigned char *out, int opcode, size_t length, const unsigned char *mask)
{
	size_t at = 2;
	out[0] = (unsigned char)(0x80 | opcode);
	if (length < 126) {
		out[1] = (unsigned char)length;
	} else if (length < 65536) {
		out[1] = 126;
		out[2] = (unsigned char)(length >> 8);
		out[3] = (unsigned char)length;
		at = 4;
	} else {
		out[1] = 127;
		for (int byte = 0; byte < 8; byte++) out[2 + byte] = (unsigned char)((uint64_t)length >> (56 - 8 * byte));
		at = 10;
	}
	if (mask != NULL) {
		out[1] |= 0x80;
		memcpy(out + at, mask, 4);
		at += 4;
	}
	for (size_t index = 0; index < length; index++) {
		unsigned char byte = (unsigned char)('a' + index % 26);
		out[at + index] = mask == NULL ? byte : byte ^ mask[index & 3];
	}
	return at + length;
}

static void prepare(int opcode, size_t length)
{
	static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
	expected = malloc(length + 16);
	piece = malloc((length + 16) * depth);
	if (expected == NULL || piece == NULL) die("malloc");
	expected_bytes = write_frame(expected, opcode, length, NULL);
	for (uint32_t index = 0; index < depth; index++) piece_bytes += write_frame(piece + piece_bytes, opcode, length, mask);
}

static int open_socket(const char *host, int port, const char *path)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	char text[4096];
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
	size_t used = 0;
	if (fd < 0 || inet_pton(AF_INET, host, &address.sin_addr) != 1) die("socket");
	if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	int length = snprintf(text, sizeof text,
			      "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
			      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
			      path, host, port);
	if (write(fd, text, (size_t)length) != length) die("write the handshake");
	/* One byte at a time, so that nothing behind the head is taken. */
	while (used < sizeof text - 1 && (used < 4 || memcmp(text + used - 4, "\r\n\r\n", 4) != 0)) {
		if (read(fd, text + used, 1) != 1) die("read the handshake");
		used++;
	}
	text[used] = 0;
	if (strncmp(text, "HTTP/1.1 101 ", 13) != 0 || strstr(text, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") == NULL) {
		fprintf(stderr, "no handshake: %.200s\n", text);
		exit(1);
	}
	return fd;
}

static void receive_on(uint32_t index)
{
	struct io_uring_sqe *sqe = ring_sqe(&ring);
	sqe->opcode = IORING_OP_RECV;
	sqe->fd = connections[index].fd;
	sqe->ioprio = RECV_MULTISHOT;
	sqe->flags = IOSQE_BUFFER_SELECT;
	sqe->user_data = KIND_RECEIVE << 32 | index;
}

static void send_rest(uint32_t index)
{
	struct connection *connection = &connections[index];
	struct io_uring_sqe *sqe = ring_sqe(&ring);
	sqe->opcode = IORING_OP_SEND;
	sqe->fd = connection->fd;
	sqe->addr = (uint64_t)(uintptr_t)(piece + (piece_bytes - connection->to_send));
	sqe->len = connection->to_send;
	sqe->msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
	sqe->user_data = KIND_SEND << 32 | index;
}

/* One message to the server, and one copy to come for everybody. */
static void send_broadcast(void)
{
	outstanding = connection_count;
	for (uint32_t index = 0; index < connection_count; index++) {
		connections[index].to_come = 1;
		connections[index].started_ns = now_ns;
	}
	connections[0].to_send = (uint32_t)piece_bytes;
	send_rest(0);
}

static void send_piece(uint32_t index)
{
	if (is_broadcast) {
		if (--outstanding == 0) send_broadcast();
		return;
	}
	connections[index].to_come = depth;
	connections[index].to_send = (uint32_t)piece_bytes;
	connections[index].started_ns = now_ns;
	send_rest(index);
}

static void fail(uint32_t index, const char *what)
{
	if (errors++ < 5) fprintf(stderr, "connection %u: %s\n", index, what);
	shutdown(connections[index].fd, SHUT_RDWR);
	connections[index].to_come = 0;
}

static void take(uint32_t index, const unsigned char *bytes, size_t length)
{
	struct connection *connection = &connections[index];
	while (length > 0) {
		size_t count = expected_bytes - connection->at;
		if (count > length) count = length;
		if (connection->to_come == 0 || memcmp(bytes, expected + connection->at, count) != 0) {
			bad_messages++;
			fail(index, "an echo is not what was sent");
			return;
		}
		connection->at += count;
		bytes += count;
		length -= count;
		if (connection->at < expected_bytes) continue;
		connection->at = 0;
		messages_total++;
		if (is_measuring) {
			uint64_t us = (now_ns - connection->started_ns) / 1000;
			messages++;
			latencies[us < LATENCY_US_MAX ? us : LATENCY_US_MAX - 1]++;
		}
		if (--connection->to_come == 0) send_piece(index);
	}
}

static void completed(const struct io_uring_cqe *cqe)
{
	uint32_t index = (uint32_t)cqe->user_data;
	if (cqe->user_data >> 32 == KIND_SEND) {
		if (cqe->res < 0) {
			fail(index, strerror(-cqe->res));
			return;
		}
		connections[index].to_send -= (uint32_t)cqe->res;
		if (connections[index].to_send > 0) send_rest(index);
		return;
	}
	if (cqe->flags & IORING_CQE_F_BUFFER) {
		unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
		if (cqe->res > 0) take(index, buffers.memory + (size_t)id * BUFFER_BYTES, (size_t)cqe->res);
		buffers_add(&buffers, id);
	}
	if (cqe->res == 0) fail(index, "closed by the server");
	else if (cqe->res < 0 && cqe->res != -ENOBUFS) fail(index, strerror(-cqe->res));
	else if (!(cqe->flags & IORING_CQE_F_MORE)) receive_on(index);
}

static void turn(uint64_t until_ns)
{
	ring_enter(&ring, 1, (int64_t)(until_ns > now_ns ? until_ns - now_ns : 0));
	now_ns = clock_ns();
	unsigned head = *ring.cq_head, tail = __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE);
	for (; head != tail; head++) completed(&ring.cqes[head & ring.cq_mask]);
	__atomic_store_n(ring.cq_head, head, __ATOMIC_RELEASE);
	buffers_publish(&buffers);
}

static uint64_t percentile(double share)
{
	uint64_t wanted = (uint64_t)((double)messages * share), seen = 0;
	for (uint64_t us = 0; us < LATENCY_US_MAX; us++) {
		seen += latencies[us];
		if (seen > wanted) return us;
	}
	return LATENCY_US_MAX;
}

int main(int count, char **arguments)
{
	double warmup = 0;
	int opcode = 2, pid = 0;
	if (count < 8) {
		fprintf(stderr, "ws-load HOST PORT PATH CONNECTIONS DEPTH BYTES SECONDS [--warmup S] [--text] [--broadcast] [--cpu-of PID]\n");
		return 2;
	}
	uint32_t total = (uint32_t)atoi(arguments[4]);
	depth = (uint32_t)atoi(arguments[5]);
	double seconds = atof(arguments[7]);
	for (int at = 8; at < count; at++) {
		if (strcmp(arguments[at], "--text") == 0) opcode = 1;
		else if (strcmp(arguments[at], "--broadcast") == 0) is_broadcast = 1;
		else if (strcmp(arguments[at], "--warmup") == 0 && at + 1 < count) warmup = atof(arguments[++at]);
		else if (strcmp(arguments[at], "--cpu-of") == 0 && at + 1 < count) pid = atoi(arguments[++at]);
		else {
			fprintf(stderr, "unknown option %s\n", arguments[at]);
			return 2;
		}
	}
	if (total == 0 || total > CONNECTIONS_MAX || depth == 0 || seconds <= 0 || (is_broadcast && depth != 1)) {
		fprintf(stderr, "wrong numbers\n");
		return 2;
	}
	connection_count = total;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prepare(opcode, (size_t)atoll(arguments[6]));
	ring_init(&ring, 4096, 16384);
	buffers_init(&ring, &buffers, BUFFERS, BUFFER_BYTES);
	for (unsigned id = 0; id < BUFFERS; id++) buffers_add(&buffers, id);
	buffers_publish(&buffers);
	for (uint32_t index = 0; index < total; index++) connections[index].fd = open_socket(arguments[1], atoi(arguments[2]), arguments[3]);
	now_ns = clock_ns();
	for (uint32_t index = 0; index < total; index++) {
		receive_on(index);
		if (!is_broadcast) send_piece(index);
	}
	if (is_broadcast) send_broadcast();
	uint64_t start = now_ns + (uint64_t)(warmup * 1e9);
	while (now_ns < start) turn(start);
	uint64_t server_cpu = pid > 0 ? cpu_us_of(pid) : 0, load_cpu = own_cpu_us(), from = now_ns;
	uint64_t end = from + (uint64_t)(seconds * 1e9);
	is_measuring = 1;
	while (now_ns < end) turn(end);
	double took = (double)(now_ns - from) / 1e9;
	printf("{\"messages\":%llu,\"seconds\":%.6f,\"rate\":%.1f,\"p50us\":%llu,\"p99us\":%llu,\"errors\":%llu,\"bad\":%llu,"
	       "\"messagesTotal\":%llu,\"serverCpuUs\":%llu,\"loadCpuUs\":%llu}\n",
	       (unsigned long long)messages, took, (double)messages / took, (unsigned long long)percentile(0.5),
	       (unsigned long long)percentile(0.99), (unsigned long long)errors, (unsigned long long)bad_messages,
	       (unsigned long long)messages_total, (unsigned long long)(pid > 0 ? cpu_us_of(pid) - server_cpu : 0),
	       (unsigned long long)(own_cpu_us() - load_cpu));
	return errors > 0 ? 1 : 0;
}
