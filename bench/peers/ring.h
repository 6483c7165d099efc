/*
 * A small io_uring layer over raw system calls, for the benchmark programs beside it.
 *
 * One thread owns the ring (SINGLE_ISSUER, DEFER_TASKRUN): completions are produced only inside ring_enter(), so a
 * turn is one system call. Opcodes and flags that an older <linux/io_uring.h> lacks are defined here, because the
 * running kernel may be newer than the headers. Needs Linux 6.1; registered descriptors and NO_SQARRAY are used where the kernel has them.
 */
#ifndef RINGLOOM_BENCH_RING_H
#define RINGLOOM_BENCH_RING_H

#include <errno.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Exit code that tells the harness "this kernel or container has no io_uring", in contrast to a failure. */
#define EXIT_UNAVAILABLE 3

#define SETUP_CQSIZE (1U << 3)
#define SETUP_CLAMP (1U << 4)
#define SETUP_SUBMIT_ALL (1U << 7)
#define SETUP_SINGLE_ISSUER (1U << 12)
#define SETUP_DEFER_TASKRUN (1U << 13)
#define SETUP_NO_SQARRAY (1U << 16)
#define ENTER_GETEVENTS (1U << 0)
#define ENTER_EXT_ARG (1U << 3)
#define ENTER_REGISTERED_RING (1U << 4)
#define REGISTER_FILES_UPDATE 6
#define REGISTER_FILES2 13
#define REGISTER_RING_FDS 20
#define UNREGISTER_RING_FDS 21
#define REGISTER_PBUF_RING 22
#define RSRC_REGISTER_SPARSE 1U
#define RECV_MULTISHOT (1U << 1)
#define ACCEPT_MULTISHOT (1U << 0)
#define FILE_INDEX_ALLOC (~0U)

struct ring {
	int fd;
	int enter_fd;
	unsigned enter_flags;
	unsigned *sq_head;
	unsigned *sq_tail;
	unsigned *cq_head;
	unsigned *cq_tail;
	unsigned sq_mask;
	unsigned sq_entries;
	unsigned cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	unsigned tail; /* SQEs handed out; published by ring_enter() */
	unsigned submitted;
	void *rings;
	size_t rings_bytes;
};

struct buffer_ring {
	struct io_uring_buf_ring *ring;
	unsigned char *memory;
	unsigned size;
	unsigned mask;
	uint16_t tail;
};

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static void die_unavailable(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(EXIT_UNAVAILABLE);
}

static int ring_setup(unsigned entries, struct io_uring_params *params)
{
	return (int)syscall(__NR_io_uring_setup, entries, params);
}

/* A ring with setup flags of the caller's choice beside the usual ones. */
static void ring_init_with(struct ring *ring, unsigned sq_entries, unsigned cq_entries, unsigned more_flags)
{
	struct io_uring_params params;
	unsigned flags = SETUP_CQSIZE | SETUP_CLAMP | SETUP_SUBMIT_ALL | more_flags;
	int with_array = 0;

	memset(ring, 0, sizeof *ring);
	memset(&params, 0, sizeof params);
	params.flags = flags | SETUP_NO_SQARRAY;
	params.cq_entries = cq_entries;
	ring->fd = ring_setup(sq_entries, &params);
	if (ring->fd < 0 && errno == EINVAL) {
		memset(&params, 0, sizeof params);
		params.flags = flags;
		params.cq_entries = cq_entries;
		ring->fd = ring_setup(sq_entries, &params);
		with_array = 1;
	}
	if (ring->fd < 0) die_unavailable("io_uring_setup");

	size_t sq_bytes = with_array ? params.sq_off.array + params.sq_entries * sizeof(unsigned) : 0;
	size_t cq_bytes = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
	size_t bytes = sq_bytes > cq_bytes ? sq_bytes : cq_bytes;
	unsigned char *rings = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQ_RING);
	if (rings == MAP_FAILED) die("mmap of the rings");
	ring->rings = rings;
	ring->rings_bytes = bytes;
	ring->sqes = mmap(NULL, params.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			  ring->fd, IORING_OFF_SQES);
	if (ring->sqes == MAP_FAILED) die("mmap of the submission entries");

	ring->sq_head = (unsigned *)(rings + params.sq_off.head);
	ring->sq_tail = (unsigned *)(rings + params.sq_off.tail);
	ring->sq_mask = *(unsigned *)(rings + params.sq_off.ring_mask);
	ring->sq_entries = params.sq_entries;
	ring->cq_head = (unsigned *)(rings + params.cq_off.head);
	ring->cq_tail = (unsigned *)(rings + params.cq_off.tail);
	ring->cq_mask = *(unsigned *)(rings + params.cq_off.ring_mask);
	ring->cqes = (struct io_uring_cqe *)(rings + params.cq_off.cqes);
	if (with_array) {
		unsigned *array = (unsigned *)(rings + params.sq_off.array);
		for (unsigned i = 0; i < params.sq_entries; i++) array[i] = i;
	}

	/* A registered ring descriptor saves the descriptor lookup of each enter. */
	struct io_uring_rsrc_update update;
	memset(&update, 0, sizeof update);
	update.offset = ~0U;
	update.data = (uint64_t)ring->fd;
	ring->enter_fd = ring->fd;
	if (syscall(__NR_io_uring_register, ring->fd, REGISTER_RING_FDS, &update, 1) == 1) {
		ring->enter_fd = (int)update.offset;
		ring->enter_flags = ENTER_REGISTERED_RING;
	}
}

static inline void ring_init(struct ring *ring, unsigned sq_entries, unsigned cq_entries)
{
	ring_init_with(ring, sq_entries, cq_entries, SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN);
}

/* By the thread that made it. */
static inline void ring_close(struct ring *ring)
{
	if (ring->enter_flags & ENTER_REGISTERED_RING) {
		struct io_uring_rsrc_update update;
		memset(&update, 0, sizeof update);
		update.offset = (uint32_t)ring->enter_fd;
		syscall(__NR_io_uring_register, ring->fd, UNREGISTER_RING_FDS, &update, 1);
	}
	munmap(ring->sqes, ring->sq_entries * sizeof(struct io_uring_sqe));
	munmap(ring->rings, ring->rings_bytes);
	close(ring->fd);
}

/* Submits what was prepared and waits for `wait` completions, at most `timeout_ns` (negative: without limit). */
static inline void ring_enter(struct ring *ring, unsigned wait, int64_t timeout_ns)
{
	unsigned to_submit = ring->tail - ring->submitted;
	__atomic_store_n(ring->sq_tail, ring->tail, __ATOMIC_RELEASE);
	unsigned flags = ring->enter_flags | ENTER_GETEVENTS;
	void *argument = NULL;
	size_t argument_size = 0;
	struct __kernel_timespec timeout;
	struct io_uring_getevents_arg events;
	if (wait > 0 && timeout_ns >= 0) {
		timeout.tv_sec = timeout_ns / 1000000000;
		timeout.tv_nsec = timeout_ns % 1000000000;
		memset(&events, 0, sizeof events);
		events.ts = (uint64_t)(uintptr_t)&timeout;
		argument = &events;
		argument_size = sizeof events;
		flags |= ENTER_EXT_ARG;
	}
	long result = syscall(__NR_io_uring_enter, ring->enter_fd, to_submit, wait, flags, argument, argument_size);
	if (result < 0 && errno != EINTR && errno != ETIME && errno != EBUSY && errno != EAGAIN) die("io_uring_enter");
	/* With an error the kernel may have consumed entries all the same: its own head says how many. */
	ring->submitted = __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE);
}

static inline struct io_uring_sqe *ring_sqe(struct ring *ring)
{
	while (ring->tail - ring->submitted >= ring->sq_entries) ring_enter(ring, 0, -1);
	struct io_uring_sqe *sqe = &ring->sqes[ring->tail & ring->sq_mask];
	ring->tail++;
	memset(sqe, 0, sizeof *sqe);
	return sqe;
}

/* `count` is a power of two, `size` a multiple of 64, so that a scanner may read whole cache lines. */
static inline void buffers_init(struct ring *ring, struct buffer_ring *buffers, unsigned count, unsigned size)
{
	buffers->size = size;
	buffers->mask = count - 1;
	buffers->tail = 0;
	buffers->ring = mmap(NULL, count * sizeof(struct io_uring_buf), PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
	buffers->memory = mmap(NULL, (size_t)count * size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
	if (buffers->ring == MAP_FAILED || buffers->memory == MAP_FAILED) die("mmap of the buffers");
	struct io_uring_buf_reg registration;
	memset(&registration, 0, sizeof registration);
	registration.ring_addr = (uint64_t)(uintptr_t)buffers->ring;
	registration.ring_entries = count;
	if (syscall(__NR_io_uring_register, ring->fd, REGISTER_PBUF_RING, &registration, 1) < 0) die_unavailable("register a buffer ring");
}

static inline void buffers_add(struct buffer_ring *buffers, unsigned id)
{
	struct io_uring_buf *entry = &((struct io_uring_buf *)buffers->ring)[buffers->tail & buffers->mask];
	entry->addr = (uint64_t)(uintptr_t)(buffers->memory + (size_t)id * buffers->size);
	entry->len = buffers->size;
	entry->bid = (uint16_t)id;
	buffers->tail++;
}

/* Makes the buffers that buffers_add() returned visible to the kernel. */
static inline void buffers_publish(struct buffer_ring *buffers)
{
	__atomic_store_n(&buffers->ring->tail, buffers->tail, __ATOMIC_RELEASE);
}

#endif
