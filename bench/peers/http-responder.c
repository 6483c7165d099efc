/*
 * The physical limit of a one-core HTTP server on this kernel: an io_uring responder that does nothing but what the socket needs.
 *
 *     http-responder [--host 127.0.0.1] [--port 0] [--type text/plain] [--body "hello ada"]
 *
 * It counts request ends (CR LF CR LF) and answers each with one fixed response, so it understands pipelining and requests split
 * anywhere, and nothing else: no routing, no header parsing, no body framing (a request body must not hold CR LF CR LF), no limits.
 * Multishot accept into direct descriptors, multishot receive into a ring of provided buffers, and per turn and connection one
 * send, out of a slab of repeated responses that is only rewritten when the second of the Date header changes.
 */
#include "ring.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define CONNECTIONS_MAX 32768
#define BUFFER_COUNT 512
#define BUFFER_SIZE 4096
#define RESPONSES_PER_SEND_MAX 64

enum operation { OPERATION_ACCEPT, OPERATION_RECEIVE, OPERATION_SEND, OPERATION_CLOSE };

struct connection {
	uint64_t carriage_returns; /* the last bytes seen, newest in bit 0: which were CR */
	uint64_t line_feeds;       /* and which were LF */
	uint32_t pending;          /* requests that wait for their answer */
	uint32_t in_flight;        /* bytes of the one send on its way, 0 when there is none */
	uint8_t is_queued;
	uint8_t is_ended;
};

static struct ring ring;
static struct buffer_ring buffers;
static struct connection connections[CONNECTIONS_MAX];
static uint32_t queue[CONNECTIONS_MAX];
static uint32_t queue_length;

static const char *content_type = "text/plain";
static const char *body = "hello ada";
/* Two slabs take turns, so that a send in flight keeps reading whole responses while the other slab gets the new second. */
static char *slabs[2];
static unsigned slab_now;
static uint32_t response_length;
static time_t slab_second;

static uint64_t user_data(enum operation operation, uint32_t slot)
{
	return (uint64_t)slot << 8 | (uint64_t)operation;
}

static void write_slab(time_t second)
{
	static const char *days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char *months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	struct tm tm;
	char response[4096];
	gmtime_r(&second, &tm);
	int length = snprintf(response, sizeof response,
			      "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\nDate: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n\r\n%s",
			      content_type, strlen(body), days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour,
			      tm.tm_min, tm.tm_sec, body);
	if (length < 0 || (size_t)length >= sizeof response) {
		fprintf(stderr, "the response is longer than %zu bytes\n", sizeof response);
		exit(2);
	}
	slab_now ^= 1;
	if (slabs[slab_now] == NULL) slabs[slab_now] = malloc((size_t)length * RESPONSES_PER_SEND_MAX);
	if (slabs[slab_now] == NULL) die("malloc");
	for (int i = 0; i < RESPONSES_PER_SEND_MAX; i++) memcpy(slabs[slab_now] + (size_t)i * (size_t)length, response, (size_t)length);
	response_length = (uint32_t)length;
	slab_second = second;
}

#ifdef __SSE2__
static inline uint64_t equal_mask(const unsigned char *bytes, char value)
{
	const __m128i wanted = _mm_set1_epi8(value);
	const __m128i *blocks = (const __m128i *)bytes;
	uint64_t mask = 0;
	for (int i = 0; i < 4; i++) mask |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(blocks[i], wanted)) << (16 * i);
	return mask;
}
#else
static inline uint64_t equal_mask(const unsigned char *bytes, char value)
{
	uint64_t mask = 0;
	for (int i = 0; i < 64; i++) mask |= (uint64_t)(bytes[i] == (unsigned char)value) << i;
	return mask;
}
#endif

/*
 * Counts the CR LF CR LF that end within these bytes, 64 bytes a step: bit i of a mask stands for byte i, and the top bits of the step
 * before (three CR, two LF) shift in from below. Reads up to the next multiple of 64, which buffers allow.
 */
static inline uint32_t count_request_ends(struct connection *connection, const unsigned char *bytes, uint32_t length)
{
	uint64_t before_cr = connection->carriage_returns;
	uint64_t before_lf = connection->line_feeds;
	uint32_t count = 0;
	for (uint32_t at = 0; at < length; at += 64) {
		uint32_t left = length - at;
		uint64_t valid = left >= 64 ? ~0ULL : (1ULL << left) - 1;
		uint64_t cr = equal_mask(bytes + at, '\r') & valid;
		uint64_t lf = equal_mask(bytes + at, '\n') & valid;
		uint64_t cr1 = cr << 1 | before_cr >> 63;
		uint64_t cr3 = cr << 3 | before_cr >> 61;
		uint64_t lf2 = lf << 2 | before_lf >> 62;
		count += (uint32_t)__builtin_popcountll(lf & cr1 & lf2 & cr3);
		if (left >= 64) {
			before_cr = cr;
			before_lf = lf;
		} else {
			/* A short last step: its last byte moves to bit 63, what came before it fills up from the step before. */
			before_cr = cr << (64 - left) | (left < 64 ? before_cr >> left : 0);
			before_lf = lf << (64 - left) | (left < 64 ? before_lf >> left : 0);
		}
	}
	connection->carriage_returns = before_cr;
	connection->line_feeds = before_lf;
	return count;
}

static void prepare_accept(int listener)
{
	struct io_uring_sqe *sqe = ring_sqe(&ring);
	sqe->opcode = IORING_OP_ACCEPT;
	sqe->fd = listener;
	sqe->ioprio = ACCEPT_MULTISHOT;
	sqe->file_index = FILE_INDEX_ALLOC;
	sqe->user_data = user_data(OPERATION_ACCEPT, 0);
}

static void prepare_receive(uint32_t slot)
{
	struct io_uring_sqe *sqe = ring_sqe(&ring);
	sqe->opcode = IORING_OP_RECV;
	sqe->fd = (int)slot;
	sqe->flags = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
	sqe->ioprio = RECV_MULTISHOT;
	sqe->user_data = user_data(OPERATION_RECEIVE, slot);
}

static void prepare_close(uint32_t slot)
{
	struct io_uring_sqe *sqe = ring_sqe(&ring);
	sqe->opcode = IORING_OP_CLOSE;
	sqe->file_index = slot + 1;
	sqe->user_data = user_data(OPERATION_CLOSE, slot);
}

static inline void prepare_send(uint32_t slot)
{
	struct connection *connection = &connections[slot];
	uint32_t count = connection->pending < RESPONSES_PER_SEND_MAX ? connection->pending : RESPONSES_PER_SEND_MAX;
	connection->pending -= count;
	connection->in_flight = count * response_length;
	struct io_uring_sqe *sqe = ring_sqe(&ring);
	sqe->opcode = IORING_OP_SEND;
	sqe->fd = (int)slot;
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->addr = (uint64_t)(uintptr_t)slabs[slab_now];
	sqe->len = connection->in_flight;
	sqe->msg_flags = MSG_WAITALL | MSG_NOSIGNAL;
	sqe->user_data = user_data(OPERATION_SEND, slot);
}

static inline void enqueue(uint32_t slot)
{
	if (connections[slot].is_queued) return;
	connections[slot].is_queued = 1;
	queue[queue_length++] = slot;
}

static inline void on_receive(const struct io_uring_cqe *cqe, uint32_t slot)
{
	struct connection *connection = &connections[slot];
	if (cqe->flags & IORING_CQE_F_BUFFER) {
		uint32_t id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
		if (cqe->res > 0) {
			connection->pending += count_request_ends(connection, buffers.memory + (size_t)id * BUFFER_SIZE, (uint32_t)cqe->res);
			enqueue(slot);
		}
		buffers_add(&buffers, id);
	}
	if (cqe->flags & IORING_CQE_F_MORE) return;
	if (cqe->res > 0 || cqe->res == -ENOBUFS) {
		prepare_receive(slot); /* the kernel ended the multishot; the buffers of this turn are back by the next enter */
	} else {
		connection->is_ended = 1;
		enqueue(slot);
	}
}

static inline void on_send(const struct io_uring_cqe *cqe, uint32_t slot)
{
	struct connection *connection = &connections[slot];
	/* MSG_WAITALL: anything but the whole length means that the connection is broken, and its receive ends as well. */
	if (cqe->res != (int)connection->in_flight) connection->pending = 0;
	connection->in_flight = 0;
	if (connection->pending > 0 || connection->is_ended) enqueue(slot);
}

static void on_accept(const struct io_uring_cqe *cqe, int listener)
{
	if (cqe->res >= 0) {
		memset(&connections[cqe->res], 0, sizeof(struct connection));
		prepare_receive((uint32_t)cqe->res);
	}
	if (!(cqe->flags & IORING_CQE_F_MORE)) prepare_accept(listener);
}

/* One send for each connection that has answers due and none on their way; closes those that ended with nothing left to send. */
static inline void flush_queue(void)
{
	uint32_t length = queue_length;
	queue_length = 0;
	for (uint32_t i = 0; i < length; i++) {
		uint32_t slot = queue[i];
		struct connection *connection = &connections[slot];
		connection->is_queued = 0;
		if (connection->in_flight > 0) continue;
		if (connection->pending > 0) prepare_send(slot);
		else if (connection->is_ended) prepare_close(slot);
	}
}

static void turn(int listener)
{
	struct timespec now;
	unsigned head = *ring.cq_head;
	unsigned tail = __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE);
	for (; head != tail; head++) {
		const struct io_uring_cqe *cqe = &ring.cqes[head & ring.cq_mask];
		uint32_t slot = (uint32_t)(cqe->user_data >> 8);
		switch ((enum operation)(cqe->user_data & 0xff)) {
		case OPERATION_RECEIVE: on_receive(cqe, slot); break;
		case OPERATION_SEND: on_send(cqe, slot); break;
		case OPERATION_ACCEPT: on_accept(cqe, listener); break;
		case OPERATION_CLOSE: break;
		}
	}
	__atomic_store_n(ring.cq_head, head, __ATOMIC_RELEASE);
	buffers_publish(&buffers);
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec != slab_second) write_slab(now.tv_sec);
	flush_queue();
}

static int listen_on(const char *host, int port)
{
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	socklen_t length = sizeof address;
	if (fd < 0) die("socket");
	if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
		fprintf(stderr, "not an IPv4 address: %s\n", host);
		exit(2);
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* accepted sockets inherit it */
	if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
	if (listen(fd, 4096) < 0) die("listen");
	if (getsockname(fd, (struct sockaddr *)&address, &length) < 0) die("getsockname");
	printf("listening http://%s:%d\n", host, ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

/* A table of direct descriptors is limited by RLIMIT_NOFILE, as plain descriptors are. */
static void register_files(void)
{
	struct rlimit limit;
	struct io_uring_rsrc_register registration;
	memset(&registration, 0, sizeof registration);
	registration.nr = CONNECTIONS_MAX;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		if (limit.rlim_cur < registration.nr) registration.nr = (uint32_t)limit.rlim_cur;
	}
	registration.flags = RSRC_REGISTER_SPARSE;
	if (syscall(__NR_io_uring_register, ring.fd, REGISTER_FILES2, &registration, sizeof registration) < 0) die_unavailable("register files");
}

int main(int argc, char **argv)
{
	const char *host = "127.0.0.1";
	int port = 0;
	for (int i = 1; i < argc; i += 2) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;
		if (value != NULL && strcmp(argv[i], "--host") == 0) host = value;
		else if (value != NULL && strcmp(argv[i], "--port") == 0) port = atoi(value);
		else if (value != NULL && strcmp(argv[i], "--type") == 0) content_type = value;
		else if (value != NULL && strcmp(argv[i], "--body") == 0) body = value;
		else {
			fprintf(stderr, "usage: http-responder [--host H] [--port P] [--type T] [--body B]\n");
			return 2;
		}
	}
	write_slab(time(NULL));
	ring_init(&ring, 2048, 16384);
	buffers_init(&ring, &buffers, BUFFER_COUNT, BUFFER_SIZE);
	for (unsigned i = 0; i < BUFFER_COUNT; i++) buffers_add(&buffers, i);
	buffers_publish(&buffers);
	register_files();
	int listener = listen_on(host, port);
	prepare_accept(listener);
	for (;;) {
		ring_enter(&ring, 1, -1);
		turn(listener);
	}
}
