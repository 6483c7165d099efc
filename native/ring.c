/*
 * One io_uring: set up, mapped, lent to JavaScript as ArrayBuffers, registered with, entered, and taken down in an order in which
 * the kernel never writes into memory that is gone.
 */
#define _GNU_SOURCE
#include "ringloom.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The header may be older than the kernel. */
#ifndef IORING_REGISTER_SYNC_CANCEL
#define IORING_REGISTER_SYNC_CANCEL 24
#endif
#ifndef IORING_REGISTER_PBUF_RING
#define IORING_REGISTER_PBUF_RING 22
#endif
/* How long a dying thread waits for the disk: 300 times 100 ms. */
#define RL_DISK_WAITS_MAX 300
#define RL_DISK_WAIT_MS 100
#define RL_CANCEL_ALL (1u << 0)
#define RL_CANCEL_ANY (1u << 2)

struct rl_sync_cancel {
  uint64_t address;
  int32_t fd;
  uint32_t flags;
  struct __kernel_timespec timeout;
  uint8_t opcode;
  uint8_t padding[7];
  uint64_t padding2[3];
};

struct rl_buffer_ring {
  uint64_t address;
  uint32_t entries;
  uint16_t group;
  uint16_t flags;
  uint64_t reserved[3];
};

struct rl_ring {
  struct rl_source source;
  uint8_t *rings;
  size_t rings_size;
  uint8_t *entries;
  size_t entries_size;
  uint8_t *buffer_ring;
  size_t buffer_ring_size;
  uint32_t *sq_head, *sq_tail, *sq_flags, *cq_head, *cq_tail;
  uint8_t *cq_events;
  uint32_t sq_mask, cq_mask;
};

static int ring_setup(uint32_t entries, struct io_uring_params *params) {
  int fd = (int)syscall(__NR_io_uring_setup, entries, params);
  return fd < 0 ? -errno : fd;
}

static int ring_register(int fd, uint32_t opcode, void *argument, uint32_t count) {
  int result = (int)syscall(__NR_io_uring_register, fd, opcode, argument, count);
  return result < 0 ? -errno : result;
}

static int enter(struct rl_ring *ring, uint32_t submit, uint32_t wait, int timeout_ms) {
  struct __kernel_timespec time = {.tv_sec = timeout_ms / 1000, .tv_nsec = (long long)(timeout_ms % 1000) * 1000000};
  struct io_uring_getevents_arg argument = {.sigmask = 0, .sigmask_sz = 8, .ts = timeout_ms < 0 ? 0 : (uint64_t)(uintptr_t)&time};
  uint32_t flags = IORING_ENTER_GETEVENTS;
  void *pointer = NULL;
  size_t size = 0;
  if (wait > 0) {
    flags |= IORING_ENTER_EXT_ARG;
    pointer = &argument;
    size = sizeof argument;
  }
  ring->source.control->enters++;
  int result = (int)syscall(__NR_io_uring_enter, ring->source.fd, submit, wait, flags, pointer, size);
  return result < 0 ? -errno : result;
}

static uint32_t kind_of(const struct io_uring_cqe *event) {
  return (uint32_t)event->user_data >> RL_SLOT_BITS;
}

static const struct io_uring_cqe *event_at(const struct rl_ring *ring, uint32_t position) {
  return (const struct io_uring_cqe *)ring->cq_events + (position & ring->cq_mask);
}

/* Closes the sockets that the kernel has accepted and nobody has taken: only their completions know them. The one that was being taken may be in both. */
static void close_unclaimed(const struct rl_ring *ring) {
  uint32_t tail = __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
  for (uint32_t head = *ring->cq_head; head != tail; head++) {
    const struct io_uring_cqe *event = event_at(ring, head);
    bool is_accepted = kind_of(event) == RL_KIND_ACCEPT && event->res >= 0;
    if (is_accepted && !rl_source_holds(&ring->source, event->res)) close(event->res);
  }
}

/* A descriptor that TypeScript has given to the ring to close may still be in the table: only one of them may close it. */
static void forget_closing(struct rl_ring *ring) {
  const struct io_uring_sqe *entries = (const struct io_uring_sqe *)ring->entries;
  struct rl_source *source = &ring->source;
  for (uint32_t at = __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE); at != *ring->sq_tail; at++) {
    const struct io_uring_sqe *entry = entries + (at & ring->sq_mask);
    if (entry->opcode != IORING_OP_CLOSE) continue;
    for (size_t index = 0; index < source->descriptors_size / sizeof(int32_t); index++)
      if (source->descriptors[index] == entry->fd) source->descriptors[index] = -1;
  }
}

/* Whether every one-shot operation has completed. */
static bool operations_ended(const struct rl_ring *ring) {
  uint32_t tail = __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
  int32_t ended = 0;
  for (uint32_t head = *ring->cq_head; head != tail; head++)
    if (kind_of(event_at(ring, head)) == RL_KIND_OPERATION && !(event_at(ring, head)->flags & IORING_CQE_F_MORE)) ended++;
  return ended >= ring->source.control->operations;
}

/*
 * Ends everything that is in flight, so that no completion can write into memory which is about to go. Called on the ring's own
 * thread. A receive that waits for data is ended by the cancellation itself. A disk read that has begun is not, so its completion
 * is waited for, as long as a disk may take: a thread whose memory is still being written must not go.
 */
static void cancel_everything(struct rl_ring *ring) {
  /* Descriptors that TypeScript has given to the ring to close are in no other list. */
  enter(ring, *ring->sq_tail - __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE), 0, 0);
  struct rl_sync_cancel cancel;
  memset(&cancel, 0, sizeof cancel);
  cancel.fd = -1;
  cancel.flags = RL_CANCEL_ALL | RL_CANCEL_ANY;
  cancel.timeout.tv_nsec = 100 * 1000000;
  ring_register(ring->source.fd, IORING_REGISTER_SYNC_CANCEL, &cancel, 1);
  /* Completions of cancelled requests are posted by deferred work, which runs in enter. */
  enter(ring, 0, 0, 0);
  for (int wait = 0; wait < RL_DISK_WAITS_MAX && !operations_ended(ring); wait++) {
    uint32_t tail = __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
    enter(ring, 0, tail - *ring->cq_head + 1, RL_DISK_WAIT_MS);
  }
}

static bool ring_ready(const struct rl_source *source) {
  const struct rl_ring *ring = (const struct rl_ring *)source;
  return __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE) != *ring->cq_head;
}

static uint32_t to_submit(const struct rl_ring *ring) {
  return *ring->sq_tail - __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE);
}

static int ring_enter(struct rl_source *source, int timeout_ms) {
  struct rl_ring *ring = (struct rl_ring *)source;
  return enter(ring, to_submit(ring), timeout_ms != 0, timeout_ms);
}

static bool ring_peek(struct rl_source *source) {
  struct rl_ring *ring = (struct rl_ring *)source;
  return ring_ready(source) || (__atomic_load_n(ring->sq_flags, __ATOMIC_RELAXED) & IORING_SQ_TASKRUN) != 0;
}

/* A submission can complete inline; libuv then finds the descriptor readable at once. */
static bool ring_settle(struct rl_source *source) {
  struct rl_ring *ring = (struct rl_ring *)source;
  if (to_submit(ring) > 0) enter(ring, to_submit(ring), 0, 0);
  return false;
}

/* What did not fit the completion queue keeps the descriptor readable, and only an enter brings it. */
static void ring_fetch(struct rl_source *source) {
  struct rl_ring *ring = (struct rl_ring *)source;
  if (__atomic_load_n(ring->sq_flags, __ATOMIC_RELAXED) & IORING_SQ_CQ_OVERFLOW) enter(ring, 0, 0, 0);
}

static void ring_quiesce(struct rl_source *source) {
  struct rl_ring *ring = (struct rl_ring *)source;
  /* A ring that was never mapped has nothing in flight. */
  if (ring->entries == NULL) return;
  forget_closing(ring);
  cancel_everything(ring);
  close_unclaimed(ring);
}

static void ring_destroy(struct rl_source *source) {
  struct rl_ring *ring = (struct rl_ring *)source;
  if (ring->rings != NULL) munmap(ring->rings, ring->rings_size);
  if (ring->entries != NULL) munmap(ring->entries, ring->entries_size);
  if (ring->buffer_ring != NULL) munmap(ring->buffer_ring, ring->buffer_ring_size);
}

static const struct rl_source_kind RING = {
    .ready = ring_ready,
    .enter = ring_enter,
    .peek = ring_peek,
    .settle = ring_settle,
    .fetch = ring_fetch,
    .quiesce = ring_quiesce,
    .destroy = ring_destroy,
};

static struct rl_ring *ring_argument(napi_env env, napi_value value) {
  return (struct rl_ring *)rl_source_unwrap(env, value, &RING);
}

static bool map_ring(struct rl_ring *ring, const struct io_uring_params *params) {
  size_t sq_size = params->sq_off.array + params->sq_entries * sizeof(uint32_t);
  size_t cq_size = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
  ring->rings_size = sq_size > cq_size ? sq_size : cq_size;
  ring->entries_size = params->sq_entries * sizeof(struct io_uring_sqe);
  void *rings = mmap(NULL, ring->rings_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->source.fd, IORING_OFF_SQ_RING);
  if (rings == MAP_FAILED) return false;
  ring->rings = rings;
  void *entries = mmap(NULL, ring->entries_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->source.fd, IORING_OFF_SQES);
  if (entries == MAP_FAILED) return false;
  ring->entries = entries;
  ring->sq_head = (uint32_t *)(ring->rings + params->sq_off.head);
  ring->sq_tail = (uint32_t *)(ring->rings + params->sq_off.tail);
  ring->sq_flags = (uint32_t *)(ring->rings + params->sq_off.flags);
  ring->cq_head = (uint32_t *)(ring->rings + params->cq_off.head);
  ring->cq_tail = (uint32_t *)(ring->rings + params->cq_off.tail);
  ring->cq_events = ring->rings + params->cq_off.cqes;
  ring->sq_mask = params->sq_entries - 1;
  ring->cq_mask = params->cq_entries - 1;
  /* Entry i of the ring is always submission i: the indirection is filled once and never touched again. */
  uint32_t *array = (uint32_t *)(ring->rings + params->sq_off.array);
  for (uint32_t index = 0; index < params->sq_entries; index++) array[index] = index;
  return true;
}

/* setupRing(entries, completionEntries, flags): an object that describes the ring, or a negative error number. */
static napi_value setup_ring(napi_env env, napi_callback_info info) {
  napi_value args[3];
  if (!rl_args(env, info, 3, args)) return NULL;
  struct io_uring_params params;
  memset(&params, 0, sizeof params);
  params.cq_entries = (uint32_t)rl_double(env, args[1]);
  params.flags = (uint32_t)rl_double(env, args[2]) | IORING_SETUP_CQSIZE;
  int fd = ring_setup((uint32_t)rl_double(env, args[0]), &params);
  if (fd < 0) return rl_number(env, fd);

  struct rl_ring *ring = (struct rl_ring *)rl_source_new(env, &RING, sizeof *ring, fd);
  if (ring == NULL) return rl_number(env, -ENOMEM);
  if (!(params.features & IORING_FEAT_SINGLE_MMAP) || !map_ring(ring, &params)) {
    int error = (params.features & IORING_FEAT_SINGLE_MMAP) ? errno : ENOSYS;
    rl_source_unref(&ring->source);
    return rl_number(env, -error);
  }

  napi_value rings = rl_source_lend(&ring->source, ring->rings, ring->rings_size);
  napi_value entries = rl_source_lend(&ring->source, ring->entries, ring->entries_size);
  napi_value result = rings == NULL || entries == NULL ? NULL : rl_source_describe(&ring->source);
  if (result == NULL) {
    rl_source_unref(&ring->source);
    return rl_number(env, -ENOTSUP);
  }
  rl_set(env, result, "rings", rings);
  rl_set(env, result, "entries", entries);
  rl_set(env, result, "features", rl_number(env, params.features));
  rl_set(env, result, "submissionEntries", rl_number(env, params.sq_entries));
  rl_set(env, result, "completionEntries", rl_number(env, params.cq_entries));
  rl_set(env, result, "submissionHead", rl_number(env, params.sq_off.head));
  rl_set(env, result, "submissionTail", rl_number(env, params.sq_off.tail));
  rl_set(env, result, "submissionFlags", rl_number(env, params.sq_off.flags));
  rl_set(env, result, "completionHead", rl_number(env, params.cq_off.head));
  rl_set(env, result, "completionTail", rl_number(env, params.cq_off.tail));
  rl_set(env, result, "completionEvents", rl_number(env, params.cq_off.cqes));
  return result;
}

/* enterRing(handle, submit, wait): submits at once, for a full queue and for tests. The loop hook does it in the steady state. */
static napi_value enter_ring(napi_env env, napi_callback_info info) {
  napi_value args[3];
  if (!rl_args(env, info, 3, args)) return NULL;
  struct rl_ring *ring = ring_argument(env, args[0]);
  if (ring == NULL) return NULL;
  if (ring->source.fd < 0) return rl_number(env, -EBADF);
  return rl_number(env, enter(ring, (uint32_t)rl_double(env, args[1]), (uint32_t)rl_double(env, args[2]), -1));
}

/* bufferRing(handle, entries, group): the memory of a new provided-buffer ring, or a negative error number. One a ring. */
static napi_value buffer_ring(napi_env env, napi_callback_info info) {
  napi_value args[3];
  if (!rl_args(env, info, 3, args)) return NULL;
  struct rl_ring *ring = ring_argument(env, args[0]);
  if (ring == NULL) return NULL;
  if (ring->buffer_ring != NULL) return rl_number(env, -EEXIST);
  uint32_t entries = (uint32_t)rl_double(env, args[1]);
  size_t size = entries * sizeof(struct io_uring_buf);
  void *memory = rl_map(size);
  if (memory == NULL) return rl_number(env, -errno);
  struct rl_buffer_ring registration;
  memset(&registration, 0, sizeof registration);
  registration.address = (uint64_t)(uintptr_t)memory;
  registration.entries = entries;
  registration.group = (uint16_t)rl_double(env, args[2]);
  int result = ring_register(ring->source.fd, IORING_REGISTER_PBUF_RING, &registration, 1);
  if (result < 0) {
    munmap(memory, size);
    return rl_number(env, result);
  }
  ring->buffer_ring = memory;
  ring->buffer_ring_size = size;
  napi_value buffer = rl_source_lend(&ring->source, memory, size);
  return buffer == NULL ? rl_number(env, -ENOTSUP) : buffer;
}

/*
 * probeRing(flags): 0 or the error numbers with which a ring with these flags and entering it are refused, its features and which opcodes the kernel has.
 */
static napi_value probe_ring(napi_env env, napi_callback_info info) {
  napi_value args[1], result, opcodes;
  if (!rl_args(env, info, 1, args)) return NULL;
  struct io_uring_params params;
  memset(&params, 0, sizeof params);
  params.flags = (uint32_t)rl_double(env, args[0]);
  int fd = ring_setup(4, &params);
  int enter_result = fd < 0 ? 0 : (int)syscall(__NR_io_uring_enter, fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0);
  int enter_error = enter_result < 0 ? errno : 0;
  uint8_t *supported = NULL;
  napi_create_arraybuffer(env, 256, (void **)&supported, &opcodes);
  memset(supported, 0, 256);
  if (fd >= 0) {
    size_t size = sizeof(struct io_uring_probe) + 256 * sizeof(struct io_uring_probe_op);
    struct io_uring_probe *probe = calloc(1, size);
    if (probe != NULL && ring_register(fd, IORING_REGISTER_PROBE, probe, 256) >= 0)
      for (int index = 0; index < probe->ops_len; index++)
        supported[probe->ops[index].op] = (probe->ops[index].flags & IO_URING_OP_SUPPORTED) != 0;
    free(probe);
    close(fd);
  }
  napi_create_object(env, &result);
  rl_set(env, result, "errno", rl_number(env, fd < 0 ? -fd : 0));
  rl_set(env, result, "enterErrno", rl_number(env, enter_error));
  rl_set(env, result, "features", rl_number(env, params.features));
  rl_set(env, result, "opcodes", opcodes);
  return result;
}

void rl_ring_exports(napi_env env, napi_value exports) {
  rl_export(env, exports, "setupRing", setup_ring);
  rl_export(env, exports, "enterRing", enter_ring);
  rl_export(env, exports, "bufferRing", buffer_ring);
  rl_export(env, exports, "probeRing", probe_ring);
}
