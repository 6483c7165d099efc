/*
 * The subject c-io_uring of the suite `fs`: reads of 4 KiB from a file in the page cache, on one ring; the limit.
 *
 *     file-read [--fixed] CASE WARMUP_SECONDS SECONDS PATH
 *
 * --fixed registers the file and the buffers with the ring (READ_FIXED, IOSQE_FIXED_FILE): what they could give a program at most.
 *
 * files/main.js describes the cases. A read in sequence is an entry, an enter that waits for its completion, and the completion; 32 at once are 32 entries and one enter.
 */
#include "ring.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <time.h>

#define BLOCK 4096
#define BLOCKS 4096
#define SEQUENCE 256
#define WIDTH 32
#define FILL 0xa5

static struct ring ring;
static unsigned char *buffers;
static int fd;
static int is_fixed;

static int64_t clock_ns(clockid_t id)
{
	struct timespec time;
	clock_gettime(id, &time);
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void fail(const char *what)
{
	fprintf(stderr, "error: %s\n", what);
	exit(1);
}

static void register_all(void)
{
	struct iovec vector = { .iov_base = buffers, .iov_len = WIDTH * BLOCK };
	if (syscall(__NR_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, &vector, 1) < 0) die("register buffers");
	if (syscall(__NR_io_uring_register, ring.fd, IORING_REGISTER_FILES, &fd, 1) < 0) die("register the file");
}

/* Reads `width` blocks from `first` on, all at once. */
static void read_blocks(unsigned first, unsigned width)
{
	for (unsigned i = 0; i < width; i++) {
		struct io_uring_sqe *sqe = ring_sqe(&ring);
		sqe->opcode = is_fixed ? IORING_OP_READ_FIXED : IORING_OP_READ;
		/* By their indexes: both are the first of their kind. */
		sqe->flags = is_fixed ? IOSQE_FIXED_FILE : 0;
		sqe->fd = is_fixed ? 0 : fd;
		sqe->addr = (uint64_t)(uintptr_t)(buffers + i * BLOCK);
		sqe->len = BLOCK;
		sqe->off = (uint64_t)(first + i) * BLOCK;
	}
	unsigned done = 0;
	while (done < width) {
		ring_enter(&ring, width - done, -1);
		unsigned head = *ring.cq_head;
		unsigned tail = __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE);
		for (; head != tail; head++, done++)
			if (ring.cqes[head & ring.cq_mask].res != BLOCK) fail("a read was short");
		__atomic_store_n(ring.cq_head, head, __ATOMIC_RELEASE);
	}
}

static void run_for(int is_batched, double seconds, int64_t *count, int64_t *ns, int64_t *cpu, int64_t *wall)
{
	unsigned width = is_batched ? WIDTH : 1;
	unsigned reads = is_batched ? BLOCKS : SEQUENCE;
	int64_t begin = clock_ns(CLOCK_MONOTONIC);
	int64_t cpu_begin = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	*count = *ns = 0;
	while ((double)(clock_ns(CLOCK_MONOTONIC) - begin) < seconds * 1e9) {
		memset(buffers, 0, width * BLOCK);
		int64_t started = clock_ns(CLOCK_MONOTONIC);
		for (unsigned i = 0; i < reads; i += width) read_blocks(i, width);
		*ns += clock_ns(CLOCK_MONOTONIC) - started;
		*count += reads;
		for (unsigned i = 0; i < width * BLOCK; i++)
			if (buffers[i] != FILL) fail("a buffer was not filled");
	}
	*wall = clock_ns(CLOCK_MONOTONIC) - begin;
	*cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_begin;
}

int main(int argc, char **argv)
{
	int64_t count, ns, cpu, wall;
	is_fixed = argc > 1 && strcmp(argv[1], "--fixed") == 0;
	argc -= is_fixed;
	argv += is_fixed;
	if (argc != 5) fail("usage: file-read [--fixed] CASE WARMUP_SECONDS SECONDS PATH");
	int is_batched = strcmp(argv[1], "fs_read_throughput_4k_qd32") == 0;
	fd = open(argv[4], O_RDONLY | O_CLOEXEC);
	if (fd < 0) die(argv[4]);
	buffers = aligned_alloc(4096, WIDTH * BLOCK);
	if (buffers == NULL) abort();
	ring_init(&ring, 64, 256);
	if (is_fixed) register_all();
	run_for(is_batched, atof(argv[2]), &count, &ns, &cpu, &wall);
	run_for(is_batched, atof(argv[3]), &count, &ns, &cpu, &wall);
	printf("{\"count\":%lld,\"ns\":%lld,\"cpuNs\":%lld,\"wallNs\":%lld}\n", (long long)count, (long long)ns, (long long)cpu, (long long)wall);
	ring_close(&ring);
	return 0;
}
