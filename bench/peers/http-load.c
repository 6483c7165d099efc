/* memmem() is a GNU extension. */
#define _GNU_SOURCE
/*
 * An HTTP/1.1 load generator on io_uring that checks every response.
 *
 *     http-load HOST PORT CONNECTIONS DEPTH SECONDS PATH [options]
 *
 *     --warmup S          seconds of the same load before the counted window (default 0)
 *     --requests N        stop after N responses instead of after SECONDS (SECONDS is then the time limit)
 *     --header "A: b"     one more request header, any number of times
 *     --body N            POST a body of N bytes
 *     --expect-length N   each response's Content-Length must be N
 *     --expect-body TEXT  each response's body must be TEXT
 *     --rate R            open loop: R requests a second in all, each due at its own time
 *     --drain S           open loop: wait so long for the last answers; what is missing then has failed (default 1)
 *     --second "N PATH BODY"  open loop: one of every N requests asks for PATH and must get BODY; reported apart
 *     --cpu-of PID        report the CPU time of this process in the window, any number of times
 *
 * Closed loop: each connection sends DEPTH requests in one piece and sends the next DEPTH when the last answer is in, as wrk's
 * pipelining does. Open loop: latency counts from the moment at which a request was due, not at which it was sent, so a
 * stalled server is charged for the requests that it kept from being sent (no coordinated omission). A request goes out on whichever connection is idle, so a slow
 * answer holds up nothing but its own connection. Counted are the requests that were due in the window, whenever their answers come; which one of each N is of
 * the second kind is drawn from a fixed seed: they come irregularly, but the same in every run.
 *
 * Checked for every response: the status line is 200, Content-Length is there and as expected, as many body bytes follow, the body is as
 * expected. A head that equals, byte by byte, the last head that passed the full parse takes a shortcut past the parser.
 *
 * Prints one line of JSON. Times are microseconds; the histogram keeps 128 steps per power of two (under 0.8 % error).
 */
#include "ring.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define CONNECTIONS_MAX 16384
#define BUFFER_COUNT 512
#define BUFFER_SIZE 8192
#define HEAD_BYTES_MAX 16384
#define PROCESSES_MAX 64
#define STEP_BITS 7
#define STEPS (1 << STEP_BITS)
#define HISTOGRAM_SIZE ((44 - STEP_BITS) * STEPS)
#define FAILURES_MAX 1000

enum operation { OPERATION_RECEIVE, OPERATION_SEND };

struct connection {
	int fd;
	uint32_t generation; /* 16 bits; a late failure of a send must not hit the next connection of this slot */
	uint32_t in_flight;
	uint32_t head_length; /* bytes of an unfinished head in `head` */
	uint64_t body_left;
	uint64_t body_at;
	uint64_t body_length;
	int64_t started_ns; /* when the batch was sent, or when the request was due */
	int64_t idle_ns; /* open loop: since when it has had no request */
	uint8_t kind;
	uint8_t is_counted; /* its request was due in the counted window */
	uint8_t is_wrong; /* its status, length or body was */
	char *head;
	uint8_t is_in_body;
	uint8_t is_body_wrong;
	uint8_t is_failed;
};

static struct ring ring;
static struct buffer_ring buffers;
static struct connection *connections;
static uint32_t connection_count;
static uint32_t depth;
static struct sockaddr_in address;

/* What is asked for and what must come back; kind 1 is --second. */
struct kind {
	char *request;
	size_t request_length;
	int64_t expected_length;
	const char *expected_body;
	char cached_head[HEAD_BYTES_MAX];
	size_t cached_head_length;
	uint64_t cached_body_length;
	uint64_t histogram[HISTOGRAM_SIZE];
	uint64_t counted;
	uint64_t due; /* open loop: requests of the counted window */
	uint64_t failed;
	int64_t latency_max_ns;
};

static struct kind kinds[2] = { { .expected_length = -1 }, { .expected_length = -1 } };
static uint64_t second_every; /* 0: there is no second kind */

static uint32_t idle[CONNECTIONS_MAX]; /* open loop: a queue of connections without a request */
static uint32_t idle_head;
static uint32_t idle_count;
static double rate;
static int64_t rate_start_ns;
static uint64_t rate_issued;
static uint64_t rate_counted_from = UINT64_MAX; /* numbers of the requests that are due in the counted window */
static uint64_t rate_counted_to = UINT64_MAX;
static uint64_t late_histogram[HISTOGRAM_SIZE]; /* how late the generator itself sent */
static uint64_t late_count;

static uint64_t requests_max;
static uint64_t requests_issued;
static uint64_t requests_total;

static int is_measuring;
static int64_t now_ns;
static uint64_t bytes_received;
static uint64_t errors, bad_status, bad_length, bad_body;
static uint64_t failures;

static clockid_t processes[PROCESSES_MAX];
static int process_count;

static int64_t clock_ns(clockid_t id)
{
	struct timespec time;
	if (clock_gettime(id, &time) < 0) return 0;
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void usage(void)
{
	fprintf(stderr, "usage: http-load HOST PORT CONNECTIONS DEPTH SECONDS PATH [--warmup S] [--requests N] [--header \"A: b\"]... [--body N]\n"
			"       [--expect-length N] [--expect-body TEXT] [--rate R [--drain S] [--second \"N PATH BODY\"]] [--cpu-of PID]...\n");
	exit(2);
}

/* The first failures go to stderr in words; a server that only fails ends the run. */
static void complain(const char *what, const char *detail, size_t detail_length)
{
	failures++;
	if (failures <= 3) fprintf(stderr, "%s%s%.*s\n", what, detail_length > 0 ? ": " : "", (int)(detail_length > 200 ? 200 : detail_length), detail);
	if (failures >= FAILURES_MAX && failures > requests_total / 2) {
		fprintf(stderr, "gave up after %llu failures\n", (unsigned long long)failures);
		exit(1);
	}
}

static size_t histogram_index(uint64_t value)
{
	if (value < STEPS) return value;
	unsigned exponent = 63U - (unsigned)__builtin_clzll(value);
	size_t index = ((size_t)(exponent - STEP_BITS + 1) << STEP_BITS) + ((value >> (exponent - STEP_BITS)) & (STEPS - 1));
	return index < HISTOGRAM_SIZE ? index : HISTOGRAM_SIZE - 1;
}

/* The middle of a step. */
static double histogram_value(size_t index)
{
	if (index < STEPS) return (double)index;
	unsigned shift = (unsigned)(index >> STEP_BITS) - 1;
	uint64_t low = ((uint64_t)STEPS + (index & (STEPS - 1))) << shift;
	return (double)low + (double)(1ULL << shift) / 2;
}

static double percentile_us(const uint64_t *histogram, uint64_t count, int64_t max_ns, double fraction)
{
	if (count == 0) return 0;
	uint64_t wanted = (uint64_t)((double)count * fraction);
	uint64_t seen = 0;
	for (size_t i = 0; i < HISTOGRAM_SIZE; i++) {
		seen += histogram[i];
		if (seen > wanted) {
			double value = histogram_value(i);
			return (value > (double)max_ns ? (double)max_ns : value) / 1000;
		}
	}
	return (double)max_ns / 1000;
}

static double kind_percentile_us(const struct kind *kind, double fraction)
{
	return percentile_us(kind->histogram, kind->counted, kind->latency_max_ns, fraction);
}

static void add_latency(struct kind *kind, int64_t latency)
{
	if (latency < 0) latency = 0;
	if (latency > kind->latency_max_ns) kind->latency_max_ns = latency;
	kind->histogram[histogram_index((uint64_t)latency)]++;
	kind->counted++;
}

static uint64_t user_data(enum operation operation, uint32_t index)
{
	return (uint64_t)connections[index].generation << 32 | (uint64_t)index << 8 | (uint64_t)operation;
}

static void prepare_receive(uint32_t index)
{
	struct io_uring_sqe *sqe = ring_sqe(&ring);
	sqe->opcode = IORING_OP_RECV;
	sqe->fd = (int)index;
	sqe->flags = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
	sqe->ioprio = RECV_MULTISHOT;
	sqe->user_data = user_data(OPERATION_RECEIVE, index);
}

/* A send that succeeds posts no completion: the answers tell. */
static inline void prepare_send(uint32_t index, uint32_t count)
{
	struct io_uring_sqe *sqe = ring_sqe(&ring);
	const struct kind *kind = &kinds[connections[index].kind];
	sqe->opcode = IORING_OP_SEND;
	sqe->fd = (int)index;
	sqe->flags = IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
	sqe->addr = (uint64_t)(uintptr_t)kind->request;
	sqe->len = (uint32_t)(kind->request_length * count);
	sqe->msg_flags = MSG_WAITALL | MSG_NOSIGNAL;
	sqe->user_data = user_data(OPERATION_SEND, index);
	connections[index].in_flight = count;
}

/* Closed loop: the next batch, unless the requested number has been sent. */
static inline void send_batch(uint32_t index)
{
	uint32_t count = depth;
	if (requests_max > 0 && requests_max - requests_issued < count) count = (uint32_t)(requests_max - requests_issued);
	if (count == 0) return;
	requests_issued += count;
	connections[index].started_ns = now_ns;
	prepare_send(index, count);
}

static void set_idle(uint32_t index)
{
	idle[(idle_head + idle_count++) % CONNECTIONS_MAX] = index;
	connections[index].idle_ns = now_ns;
}

static int64_t due_at_ns(uint64_t number)
{
	return rate_start_ns + (int64_t)((double)number * 1e9 / rate);
}

static int64_t due_ns(void)
{
	return due_at_ns(rate_issued);
}

/* Which kind a request is depends on its number alone (the finaliser of splitmix64), so every run draws the same sequence. */
static uint8_t kind_of(uint64_t number)
{
	if (second_every == 0) return 0;
	uint64_t x = (number / second_every + 1) * 0x9e3779b97f4a7c15ULL;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return (x ^ (x >> 31)) % second_every == number % second_every;
}

static int is_in_window(uint64_t number)
{
	return number >= rate_counted_from && number < rate_counted_to;
}

/* Open loop: sends what is due while connections are idle; what finds none stays due, and its latency keeps growing. */
static void send_due(void)
{
	while (idle_count > 0 && rate_issued < rate_counted_to && due_ns() <= now_ns) {
		uint32_t index = idle[idle_head];
		struct connection *connection = &connections[index];
		idle_head = (idle_head + 1) % CONNECTIONS_MAX;
		idle_count--;
		connection->started_ns = due_ns();
		connection->kind = kind_of(rate_issued);
		connection->is_counted = is_in_window(rate_issued);
		if (connection->is_counted && connection->idle_ns <= connection->started_ns) {
			late_histogram[histogram_index((uint64_t)(now_ns - connection->started_ns))]++;
			late_count++;
		}
		rate_issued++;
		prepare_send(index, 1);
	}
}

/* After the drain: what was due in the window and has no answer has failed, and its latency is at least its age. */
static void count_unanswered(void)
{
	for (uint32_t i = 0; i < connection_count; i++) {
		struct connection *connection = &connections[i];
		if (connection->in_flight == 0 || !connection->is_counted) continue;
		kinds[connection->kind].failed++;
		add_latency(&kinds[connection->kind], now_ns - connection->started_ns);
	}
	for (uint64_t number = rate_issued; number < rate_counted_to; number++) {
		if (number < rate_counted_from) continue;
		kinds[kind_of(number)].failed++;
		add_latency(&kinds[kind_of(number)], now_ns - due_at_ns(number));
	}
	for (uint64_t number = rate_counted_from; number < rate_counted_to; number++) kinds[kind_of(number)].due++;
}

static void open_connection(uint32_t index)
{
	struct connection *connection = &connections[index];
	int one = 1;
	char *head = connection->head;
	uint32_t generation = (connection->generation + 1) & 0xffff;
	memset(connection, 0, sizeof *connection);
	connection->head = head;
	connection->generation = generation;
	connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection->fd < 0) die("socket");
	setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (connect(connection->fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
	struct io_uring_rsrc_update update;
	memset(&update, 0, sizeof update);
	update.offset = index;
	update.data = (uint64_t)(uintptr_t)&connection->fd;
	if (syscall(__NR_io_uring_register, ring.fd, REGISTER_FILES_UPDATE, &update, 1) != 1) die("register a descriptor");
	prepare_receive(index);
	if (rate > 0) set_idle(index);
	else send_batch(index);
}

/* The receive of this connection then ends, and its last completion opens another in its place. */
static void fail_connection(uint32_t index, const char *what, const char *detail, size_t detail_length)
{
	if (connections[index].is_failed) return;
	connections[index].is_failed = 1;
	if (is_measuring) errors++;
	complain(what, detail, detail_length);
	shutdown(connections[index].fd, SHUT_RDWR);
}

static inline void response_done(uint32_t index)
{
	struct connection *connection = &connections[index];
	connection->is_in_body = 0;
	requests_total++;
	if (connection->is_body_wrong) {
		connection->is_body_wrong = 0;
		connection->is_wrong = 1;
		if (is_measuring) bad_body++;
		complain("a body is not as expected", NULL, 0);
	}
	if (rate > 0 ? connection->is_counted : is_measuring) {
		add_latency(&kinds[connection->kind], now_ns - connection->started_ns);
		if (connection->is_wrong) kinds[connection->kind].failed++;
	}
	connection->is_wrong = 0;
	if (--connection->in_flight > 0) return;
	if (rate > 0) set_idle(index);
	else send_batch(index);
}

static int parse_content_length(const char *head, size_t length, uint64_t *value)
{
	static const char name[] = "content-length:";
	const char *end = head + length;
	int found = 0;
	for (const char *line = memchr(head, '\n', length); line != NULL && line + 1 < end; line = memchr(line + 1, '\n', (size_t)(end - line - 1))) {
		const char *at = line + 1;
		if ((size_t)(end - at) < sizeof name || strncasecmp(at, name, sizeof name - 1) != 0) continue;
		at += sizeof name - 1;
		while (*at == ' ') at++;
		if (found || *at < '0' || *at > '9') return 0;
		uint64_t number = 0;
		while (*at >= '0' && *at <= '9' && number < 1ULL << 50) number = number * 10 + (uint64_t)(*at++ - '0');
		if (*at != '\r') return 0;
		*value = number;
		found = 1;
	}
	return found;
}

/* Judges a whole head and moves to its body; returns 0 when the connection cannot go on. */
static int head_done(uint32_t index, const char *head, size_t length)
{
	struct connection *connection = &connections[index];
	uint64_t body_length = 0;
	if (connection->in_flight == 0) {
		fail_connection(index, "a response without a request", head, length);
		return 0;
	}
	if (length < 13 || memcmp(head, "HTTP/1.1 ", 9) != 0) {
		fail_connection(index, "not an HTTP/1.1 response", head, length);
		return 0;
	}
	if (!parse_content_length(head, length, &body_length)) {
		if (is_measuring) bad_length++;
		fail_connection(index, "a response without one valid Content-Length", head, length);
		return 0;
	}
	struct kind *kind = &kinds[connection->kind];
	int is_status_good = memcmp(head + 9, "200 ", 4) == 0;
	int is_length_good = kind->expected_length < 0 || body_length == (uint64_t)kind->expected_length;
	if (!is_status_good || !is_length_good) connection->is_wrong = 1;
	if (!is_status_good) {
		if (is_measuring) bad_status++;
		complain("the status is not 200", head, 12);
	}
	if (!is_length_good) {
		if (is_measuring) bad_length++;
		complain("Content-Length is not as expected", head, length);
	}
	if (is_status_good && is_length_good) {
		memcpy(kind->cached_head, head, length);
		kind->cached_head_length = length;
		kind->cached_body_length = body_length;
	}
	connection->body_length = body_length;
	return 1;
}

/* Takes what there is of a body; `bytes` stands behind the head or a part of the body. */
static inline size_t take_body(uint32_t index, const char *bytes, size_t length)
{
	struct connection *connection = &connections[index];
	size_t taken = length < connection->body_left ? length : connection->body_left;
	const struct kind *kind = &kinds[connection->kind];
	if (kind->expected_body != NULL && !connection->is_body_wrong) {
		size_t expected = (size_t)kind->expected_length;
		if (connection->body_at + taken > expected || memcmp(bytes, kind->expected_body + connection->body_at, taken) != 0) connection->is_body_wrong = 1;
	}
	connection->body_at += taken;
	connection->body_left -= taken;
	if (connection->body_left == 0) response_done(index);
	return taken;
}

static inline void start_body(uint32_t index)
{
	struct connection *connection = &connections[index];
	connection->is_in_body = 1;
	connection->body_left = connection->body_length;
	connection->body_at = 0;
}

/* Takes bytes of a head, in place if it is here as a whole, else through the carry buffer. Returns how many, or 0 on failure. */
static size_t take_head(uint32_t index, const char *bytes, size_t length)
{
	struct connection *connection = &connections[index];
	const char *end;
	if (connection->head_length == 0) {
		end = memmem(bytes, length, "\r\n\r\n", 4);
		if (end != NULL) {
			size_t head_length = (size_t)(end - bytes) + 4;
			if (head_length > HEAD_BYTES_MAX || !head_done(index, bytes, head_length)) return 0;
			start_body(index);
			return head_length;
		}
		if (connection->head == NULL) connection->head = malloc(HEAD_BYTES_MAX);
		if (connection->head == NULL) die("malloc");
	}
	size_t before = connection->head_length;
	size_t room = HEAD_BYTES_MAX - before;
	size_t added = length < room ? length : room;
	memcpy(connection->head + before, bytes, added);
	size_t from = before < 3 ? 0 : before - 3;
	end = memmem(connection->head + from, before + added - from, "\r\n\r\n", 4);
	if (end == NULL) {
		connection->head_length += (uint32_t)added;
		if (added == length) return added;
		fail_connection(index, "a response head is too long", NULL, 0);
		return 0;
	}
	size_t head_length = (size_t)(end - connection->head) + 4;
	connection->head_length = 0;
	if (!head_done(index, connection->head, head_length)) return 0;
	start_body(index);
	return head_length - before;
}

static inline void consume(uint32_t index, const char *bytes, size_t length)
{
	struct connection *connection = &connections[index];
	if (is_measuring) bytes_received += length;
	while (length > 0) {
		const struct kind *kind = &kinds[connection->kind];
		size_t taken;
		if (connection->is_failed) return;
		if (connection->is_in_body) {
			taken = take_body(index, bytes, length);
		} else if (connection->head_length == 0 && connection->in_flight > 0 && kind->cached_head_length > 0 && length >= kind->cached_head_length &&
			   memcmp(bytes, kind->cached_head, kind->cached_head_length) == 0) {
			taken = kind->cached_head_length;
			connection->body_length = kind->cached_body_length;
			start_body(index);
		} else {
			taken = take_head(index, bytes, length);
			if (taken == 0) return;
		}
		if (connection->is_in_body && connection->body_left == 0) response_done(index);
		bytes += taken;
		length -= taken;
	}
}

static void on_receive(const struct io_uring_cqe *cqe, uint32_t index)
{
	struct connection *connection = &connections[index];
	if (cqe->flags & IORING_CQE_F_BUFFER) {
		uint32_t id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
		if (cqe->res > 0) consume(index, (const char *)buffers.memory + (size_t)id * BUFFER_SIZE, (size_t)cqe->res);
		buffers_add(&buffers, id);
	}
	if (cqe->flags & IORING_CQE_F_MORE) return;
	if (cqe->res > 0 || cqe->res == -ENOBUFS) {
		prepare_receive(index);
		return;
	}
	if (cqe->res < 0) fail_connection(index, "receive failed", strerror(-cqe->res), strlen(strerror(-cqe->res)));
	else fail_connection(index, "the server closed a connection", NULL, 0);
	close(connection->fd);
	/* In count mode the lost answers are asked for again. */
	requests_issued -= connection->in_flight < requests_issued ? connection->in_flight : requests_issued;
	if (rate > 0 && connection->in_flight > 0 && connection->is_counted) {
		kinds[connection->kind].failed++;
		add_latency(&kinds[connection->kind], now_ns - connection->started_ns);
	}
	open_connection(index);
}

static void reap(void)
{
	unsigned head = *ring.cq_head;
	unsigned tail = __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE);
	for (; head != tail; head++) {
		const struct io_uring_cqe *cqe = &ring.cqes[head & ring.cq_mask];
		uint32_t index = (uint32_t)(cqe->user_data >> 8) & 0xffffff;
		if ((uint32_t)(cqe->user_data >> 32) != connections[index].generation) continue;
		if ((cqe->user_data & 0xff) == OPERATION_RECEIVE) on_receive(cqe, index);
		else if (cqe->res < 0) fail_connection(index, "send failed", strerror(-cqe->res), strlen(strerror(-cqe->res)));
	}
	__atomic_store_n(ring.cq_head, head, __ATOMIC_RELEASE);
	buffers_publish(&buffers);
}

static void run_until(int64_t end_ns)
{
	for (;;) {
		now_ns = clock_ns(CLOCK_MONOTONIC);
		if (rate > 0) send_due();
		/* Once all that were due are sent and answered, there is nothing to drain. */
		if (rate > 0 && rate_issued >= rate_counted_to && idle_count == connection_count) return;
		int64_t wait_ns = end_ns - now_ns;
		if (wait_ns <= 0) return;
		if (rate > 0 && idle_count > 0 && rate_issued < rate_counted_to && due_ns() - now_ns < wait_ns) wait_ns = due_ns() - now_ns;
		ring_enter(&ring, 1, wait_ns < 0 ? 0 : wait_ns);
		now_ns = clock_ns(CLOCK_MONOTONIC);
		reap();
		if (requests_max > 0 && requests_total >= requests_max) return;
	}
}

static char *build_request(const char *host, int port, const char *path, char **headers, int header_count, long body_length,
			   size_t *request_length)
{
	size_t room = 1024 + strlen(host) + strlen(path) + (size_t)(body_length > 0 ? body_length : 0);
	for (int i = 0; i < header_count; i++) room += strlen(headers[i]) + 2;
	char *one = malloc(room);
	if (one == NULL) die("malloc");
	size_t at = (size_t)sprintf(one, "%s %s HTTP/1.1\r\nHost: %s:%d\r\n", body_length >= 0 ? "POST" : "GET", path, host, port);
	for (int i = 0; i < header_count; i++) at += (size_t)sprintf(one + at, "%s\r\n", headers[i]);
	if (body_length >= 0) at += (size_t)sprintf(one + at, "Content-Type: application/octet-stream\r\nContent-Length: %ld\r\n", body_length);
	at += (size_t)sprintf(one + at, "\r\n");
	if (body_length > 0) {
		memset(one + at, 'x', (size_t)body_length);
		at += (size_t)body_length;
	}
	*request_length = at;
	char *all = malloc(at * depth);
	if (all == NULL) die("malloc");
	for (uint32_t i = 0; i < depth; i++) memcpy(all + (size_t)i * at, one, at);
	free(one);
	return all;
}

/* "N PATH BODY": its pieces stay in `text`. Returns the path. */
static char *parse_second(char *text)
{
	char *path = strchr(text, ' ');
	char *body = path == NULL ? NULL : strchr(path + 1, ' ');
	long every = atol(text);
	if (body == NULL || every < 1) usage();
	*path = 0;
	*body = 0;
	second_every = (uint64_t)every;
	kinds[1].expected_body = body + 1;
	kinds[1].expected_length = (int64_t)strlen(body + 1);
	return path + 1;
}

static int64_t servers_cpu_ns(void)
{
	int64_t sum = 0;
	for (int i = 0; i < process_count; i++) sum += clock_ns(processes[i]);
	return sum;
}

static void add_process(const char *text)
{
	if (process_count == PROCESSES_MAX || clock_getcpuclockid((pid_t)atoi(text), &processes[process_count]) != 0) {
		fprintf(stderr, "no such process: %s\n", text);
		exit(2);
	}
	process_count++;
}

static void set_up(void)
{
	struct rlimit limit;
	struct io_uring_rsrc_register registration;
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_TIMERSLACK, 1UL);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	ring_init(&ring, 4096, 32768);
	buffers_init(&ring, &buffers, BUFFER_COUNT, BUFFER_SIZE);
	for (unsigned i = 0; i < BUFFER_COUNT; i++) buffers_add(&buffers, i);
	buffers_publish(&buffers);
	memset(&registration, 0, sizeof registration);
	registration.nr = connection_count;
	registration.flags = RSRC_REGISTER_SPARSE;
	if (syscall(__NR_io_uring_register, ring.fd, REGISTER_FILES2, &registration, sizeof registration) < 0) die_unavailable("register files");
	connections = calloc(connection_count, sizeof *connections);
	if (connections == NULL) die("calloc");
}

int main(int argc, char **argv)
{
	if (argc < 7) usage();
	const char *host = argv[1];
	int port = atoi(argv[2]);
	connection_count = (uint32_t)atoi(argv[3]);
	depth = (uint32_t)atoi(argv[4]);
	double seconds = atof(argv[5]);
	double warmup_seconds = 0;
	double drain_seconds = 1;
	char *second_path = NULL;
	long body_length = -1;
	char *headers[128];
	int header_count = 0;
	for (int i = 7; i < argc; i += 2) {
		if (i + 1 >= argc) usage();
		char *value = argv[i + 1];
		if (strcmp(argv[i], "--warmup") == 0) warmup_seconds = atof(value);
		else if (strcmp(argv[i], "--requests") == 0) requests_max = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--header") == 0 && header_count < 128) headers[header_count++] = value;
		else if (strcmp(argv[i], "--body") == 0) body_length = atol(value);
		else if (strcmp(argv[i], "--expect-length") == 0) kinds[0].expected_length = atol(value);
		else if (strcmp(argv[i], "--expect-body") == 0) kinds[0].expected_body = value;
		else if (strcmp(argv[i], "--rate") == 0) rate = atof(value);
		else if (strcmp(argv[i], "--drain") == 0) drain_seconds = atof(value);
		else if (strcmp(argv[i], "--second") == 0) second_path = parse_second(value);
		else if (strcmp(argv[i], "--cpu-of") == 0) add_process(value);
		else usage();
	}
	if (kinds[0].expected_body != NULL) kinds[0].expected_length = (int64_t)strlen(kinds[0].expected_body);
	if (connection_count < 1 || connection_count > CONNECTIONS_MAX || depth < 1 || depth > 1024 || seconds <= 0 || rate < 0) usage();
	if (rate > 0 && (depth != 1 || requests_max > 0)) {
		fprintf(stderr, "--rate goes with depth 1 and without --requests\n");
		return 2;
	}
	if (second_path != NULL && rate == 0) {
		fprintf(stderr, "--second goes with --rate\n");
		return 2;
	}
	address.sin_family = AF_INET;
	address.sin_port = htons((uint16_t)port);
	if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
		fprintf(stderr, "not an IPv4 address: %s\n", host);
		return 2;
	}
	kinds[0].request = build_request(host, port, argv[6], headers, header_count, body_length, &kinds[0].request_length);
	if (second_path != NULL) kinds[1].request = build_request(host, port, second_path, headers, header_count, -1, &kinds[1].request_length);
	set_up();

	now_ns = clock_ns(CLOCK_MONOTONIC);
	if (requests_max > 0) is_measuring = 1;
	int64_t servers_before_ns = servers_cpu_ns();
	int64_t own_before_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	int64_t begin_ns = now_ns;
	rate_start_ns = now_ns;
	if (rate > 0) {
		/* The window is a range of requests. Those before it that are still due when it begins go out first. */
		rate_counted_from = (uint64_t)(warmup_seconds * rate);
		rate_counted_to = rate_counted_from + (uint64_t)(seconds * rate);
	}
	for (uint32_t i = 0; i < connection_count; i++) open_connection(i);
	if (requests_max == 0) {
		run_until(now_ns + (int64_t)(warmup_seconds * 1e9));
		is_measuring = 1;
		begin_ns = clock_ns(CLOCK_MONOTONIC);
		servers_before_ns = servers_cpu_ns();
		own_before_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	}
	run_until(begin_ns + (int64_t)((seconds + (rate > 0 ? drain_seconds : 0)) * 1e9));
	int64_t end_ns = clock_ns(CLOCK_MONOTONIC);
	now_ns = end_ns;
	if (rate > 0) count_unanswered();
	int64_t servers_ns = servers_cpu_ns() - servers_before_ns;
	int64_t own_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - own_before_ns;
	double elapsed = (double)(end_ns - begin_ns) / 1e9;
	int is_short = requests_max > 0 && requests_total < requests_max;
	if (is_short) fprintf(stderr, "the time limit came before the last response\n");

	const struct kind *first = &kinds[0], *second = &kinds[1];
	/* The drain belongs to no rate. */
	double answered_per_second = rate > 0 ? (double)(first->counted + second->counted - first->failed - second->failed) / seconds : (double)first->counted / elapsed;
	printf("{\"requests\":%llu,\"seconds\":%.6f,\"rps\":%.1f,\"p50us\":%.1f,\"p99us\":%.1f,\"p999us\":%.1f,\"maxus\":%.1f,\"errors\":%llu,"
	       "\"badStatus\":%llu,\"badLength\":%llu,\"badBody\":%llu,\"bytes\":%llu,\"totalRequests\":%llu,\"serverCpuUs\":%.0f,\"loadCpuUs\":%.0f",
	       (unsigned long long)first->counted, elapsed, answered_per_second, kind_percentile_us(first, 0.5), kind_percentile_us(first, 0.99),
	       kind_percentile_us(first, 0.999), (double)first->latency_max_ns / 1000, (unsigned long long)errors, (unsigned long long)bad_status,
	       (unsigned long long)bad_length, (unsigned long long)bad_body, (unsigned long long)bytes_received, (unsigned long long)requests_total,
	       (double)servers_ns / 1000, (double)own_ns / 1000);
	if (rate > 0) {
		printf(",\"due\":%llu,\"failed\":%llu,\"lateP99us\":%.1f,\"secondDue\":%llu,\"secondFailed\":%llu,\"secondP50us\":%.1f,\"secondP99us\":%.1f",
		       (unsigned long long)first->due, (unsigned long long)first->failed, percentile_us(late_histogram, late_count, INT64_MAX, 0.99),
		       (unsigned long long)second->due, (unsigned long long)second->failed, kind_percentile_us(second, 0.5), kind_percentile_us(second, 0.99));
	}
	printf("}\n");
	return is_short ? 1 : 0;
}
