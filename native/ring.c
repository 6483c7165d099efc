/*
 * One io_uring: set up, mapped, lent to JavaScript as ArrayBuffers, registered with, entered, and taken down in an order in which
 * the kernel never writes into memory that is gone.
 *
 * Lifetime: `struct rl_ring` lives until the last of its references is dropped (the handle, each ArrayBuffer over its memory, the
 * loop hook), because JavaScript may still read a mapped word after the ring was closed.
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

static const napi_type_tag RING_TAG = {0x72696e676c6f6f6dULL, 0x0001000072696e67ULL};

static int ring_setup(uint32_t entries, struct io_uring_params *params) {
  int fd = (int)syscall(__NR_io_uring_setup, entries, params);
  return fd < 0 ? -errno : fd;
}

static int ring_register(int fd, uint32_t opcode, void *argument, uint32_t count) {
  int result = (int)syscall(__NR_io_uring_register, fd, opcode, argument, count);
  return result < 0 ? -errno : result;
}

int rl_enter(struct rl_ring *ring, uint32_t submit, uint32_t wait, int timeout_ms) {
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
  ring->control->enters++;
  int result = (int)syscall(__NR_io_uring_enter, ring->fd, submit, wait, flags, pointer, size);
  return result < 0 ? -errno : result;
}

static uint32_t kind_of(const struct io_uring_cqe *event) {
  return (uint32_t)event->user_data >> RL_SLOT_BITS;
}

static const struct io_uring_cqe *event_at(const struct rl_ring *ring, uint32_t position) {
  return (const struct io_uring_cqe *)ring->cq_events + (position & ring->cq_mask);
}

/* Closes the sockets that the kernel has accepted and nobody has taken: only their completions know them. */
static void close_unclaimed(const struct rl_ring *ring) {
  uint32_t tail = __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
  for (uint32_t head = *ring->cq_head; head != tail; head++)
    if (kind_of(event_at(ring, head)) == RL_KIND_ACCEPT && event_at(ring, head)->res >= 0) close(event_at(ring, head)->res);
}

/* Whether every one-shot operation has completed. */
static bool operations_ended(const struct rl_ring *ring) {
  uint32_t tail = __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
  int32_t ended = 0;
  for (uint32_t head = *ring->cq_head; head != tail; head++)
    if (kind_of(event_at(ring, head)) == RL_KIND_OPERATION) ended++;
  return ended >= ring->control->operations;
}

/*
 * Ends everything that is in flight, so that no completion can write into memory which is about to go. Called on the ring's own
 * thread. A receive that waits for data is ended by the cancellation itself. A disk read that has begun is not, so its completion
 * is waited for, as long as a disk may take: a thread whose memory is still being written must not go.
 */
static void cancel_everything(struct rl_ring *ring) {
  /* Descriptors that TypeScript has given to the ring to close are in no other list. */
  rl_enter(ring, *ring->sq_tail - __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE), 0, 0);
  struct rl_sync_cancel cancel;
  memset(&cancel, 0, sizeof cancel);
  cancel.fd = -1;
  cancel.flags = RL_CANCEL_ALL | RL_CANCEL_ANY;
  cancel.timeout.tv_nsec = 100 * 1000000;
  ring_register(ring->fd, IORING_REGISTER_SYNC_CANCEL, &cancel, 1);
  /* Completions of cancelled requests are posted by deferred work, which runs in enter. */
  rl_enter(ring, 0, 0, 0);
  for (int wait = 0; wait < RL_DISK_WAITS_MAX && !operations_ended(ring); wait++) {
    uint32_t tail = __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
    rl_enter(ring, 0, tail - *ring->cq_head + 1, RL_DISK_WAIT_MS);
  }
}

/* Closes the ring. What JavaScript holds of its memory stays readable. */
void rl_ring_quiesce(struct rl_ring *ring) {
  if (ring->fd < 0) return;
  /* A ring that was never mapped has nothing in flight. */
  if (ring->entries != NULL) {
    cancel_everything(ring);
    close_unclaimed(ring);
  }
  close(ring->fd);
  ring->fd = -1;
  /* A thread that was killed closed nothing itself, and its peers must not wait for an answer for ever. */
  for (size_t index = 0; index < ring->descriptors_size / sizeof(int32_t); index++) {
    if (ring->descriptors[index] >= 0) close(ring->descriptors[index]);
    ring->descriptors[index] = -1;
  }
}

void rl_ring_unref(struct rl_ring *ring) {
  if (--ring->references > 0) return;
  rl_ring_quiesce(ring);
  if (ring->rings != NULL) munmap(ring->rings, ring->rings_size);
  if (ring->entries != NULL) munmap(ring->entries, ring->entries_size);
  if (ring->buffer_ring != NULL) munmap(ring->buffer_ring, ring->buffer_ring_size);
  if (ring->descriptors != NULL) munmap(ring->descriptors, ring->descriptors_size);
  free(ring->control);
  free(ring);
}

static void release_buffer(napi_env env, void *data, void *hint) {
  (void)env;
  (void)data;
  rl_ring_unref(hint);
}

static void release_handle(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  rl_ring_unref(data);
}

/* Lends `size` bytes at `data`; NULL where this build of V8 forbids memory that it did not allocate (the sandbox). */
static napi_value lend(napi_env env, struct rl_ring *ring, void *data, size_t size) {
  napi_value buffer;
  if (napi_create_external_arraybuffer(env, data, size, release_buffer, ring, &buffer) != napi_ok) return NULL;
  ring->references++;
  return buffer;
}

struct rl_ring *rl_ring_unwrap(napi_env env, napi_value value) {
  bool is_ring = false;
  void *data = NULL;
  if (napi_check_object_type_tag(env, value, &RING_TAG, &is_ring) != napi_ok || !is_ring ||
      napi_get_value_external(env, value, &data) != napi_ok) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "Cannot use the ring: the value is not a ring handle");
    return NULL;
  }
  return data;
}

static bool map_ring(struct rl_ring *ring, const struct io_uring_params *params) {
  size_t sq_size = params->sq_off.array + params->sq_entries * sizeof(uint32_t);
  size_t cq_size = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
  ring->rings_size = sq_size > cq_size ? sq_size : cq_size;
  ring->entries_size = params->sq_entries * sizeof(struct io_uring_sqe);
  void *rings = mmap(NULL, ring->rings_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQ_RING);
  if (rings == MAP_FAILED) return false;
  ring->rings = rings;
  void *entries = mmap(NULL, ring->entries_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQES);
  if (entries == MAP_FAILED) return false;
  ring->entries = entries;
  ring->sq_head = (uint32_t *)(ring->rings + params->sq_off.head);
  ring->sq_tail = (uint32_t *)(ring->rings + params->sq_off.tail);
  ring->sq_flags = (uint32_t *)(ring->rings + params->sq_off.flags);
  ring->cq_head = (uint32_t *)(ring->rings + params->cq_off.head);
  ring->cq_tail = (uint32_t *)(ring->rings + params->cq_off.tail);
  ring->cq_events = ring->rings + params->cq_off.cqes;
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

  struct rl_ring *ring = calloc(1, sizeof *ring);
  if (ring != NULL) ring->control = calloc(1, RL_CONTROL_BYTES);
  if (ring == NULL || ring->control == NULL) {
    free(ring);
    close(fd);
    return rl_number(env, -ENOMEM);
  }
  ring->env = env;
  ring->fd = fd;
  ring->references = 1;
  if (!(params.features & IORING_FEAT_SINGLE_MMAP) || !map_ring(ring, &params)) {
    int error = (params.features & IORING_FEAT_SINGLE_MMAP) ? errno : ENOSYS;
    rl_ring_unref(ring);
    return rl_number(env, -error);
  }

  napi_value result, handle;
  napi_value rings = lend(env, ring, ring->rings, ring->rings_size);
  napi_value entries = lend(env, ring, ring->entries, ring->entries_size);
  napi_value control = lend(env, ring, ring->control, RL_CONTROL_BYTES);
  if (rings == NULL || entries == NULL || control == NULL) {
    rl_ring_unref(ring);
    return rl_number(env, -ENOTSUP);
  }
  napi_create_external(env, ring, release_handle, NULL, &handle);
  napi_type_tag_object(env, handle, &RING_TAG);
  napi_create_object(env, &result);
  rl_set(env, result, "handle", handle);
  rl_set(env, result, "rings", rings);
  rl_set(env, result, "entries", entries);
  rl_set(env, result, "control", control);
  rl_set(env, result, "fd", rl_number(env, fd));
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
  struct rl_ring *ring = rl_ring_unwrap(env, args[0]);
  if (ring == NULL) return NULL;
  if (ring->fd < 0) return rl_number(env, -EBADF);
  return rl_number(env, rl_enter(ring, (uint32_t)rl_double(env, args[1]), (uint32_t)rl_double(env, args[2]), -1));
}

/* bufferRing(handle, entries, group): the memory of a new provided-buffer ring, or a negative error number. One a ring. */
static napi_value buffer_ring(napi_env env, napi_callback_info info) {
  napi_value args[3];
  if (!rl_args(env, info, 3, args)) return NULL;
  struct rl_ring *ring = rl_ring_unwrap(env, args[0]);
  if (ring == NULL) return NULL;
  if (ring->buffer_ring != NULL) return rl_number(env, -EEXIST);
  uint32_t entries = (uint32_t)rl_double(env, args[1]);
  size_t size = entries * sizeof(struct io_uring_buf);
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return rl_number(env, -errno);
  struct rl_buffer_ring registration;
  memset(&registration, 0, sizeof registration);
  registration.address = (uint64_t)(uintptr_t)memory;
  registration.entries = entries;
  registration.group = (uint16_t)rl_double(env, args[2]);
  int result = ring_register(ring->fd, IORING_REGISTER_PBUF_RING, &registration, 1);
  if (result < 0) {
    munmap(memory, size);
    return rl_number(env, result);
  }
  ring->buffer_ring = memory;
  ring->buffer_ring_size = size;
  napi_value buffer = lend(env, ring, memory, size);
  return buffer == NULL ? rl_number(env, -ENOTSUP) : buffer;
}

/* descriptorTable(handle, count): words in which TypeScript keeps its open descriptors, all -1, or a negative error number. One a ring. */
static napi_value descriptor_table(napi_env env, napi_callback_info info) {
  napi_value args[2];
  if (!rl_args(env, info, 2, args)) return NULL;
  struct rl_ring *ring = rl_ring_unwrap(env, args[0]);
  if (ring == NULL) return NULL;
  if (ring->descriptors != NULL) return rl_number(env, -EEXIST);
  size_t size = (size_t)rl_double(env, args[1]) * sizeof(int32_t);
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return rl_number(env, -errno);
  memset(memory, 0xff, size);
  ring->descriptors = memory;
  ring->descriptors_size = size;
  napi_value buffer = lend(env, ring, memory, size);
  return buffer == NULL ? rl_number(env, -ENOTSUP) : buffer;
}

/* closeRing(handle): cancels what is in flight, waits for it and closes the descriptor. The memory stays until nobody has it. */
static napi_value close_ring(napi_env env, napi_callback_info info) {
  napi_value args[1];
  if (!rl_args(env, info, 1, args)) return NULL;
  struct rl_ring *ring = rl_ring_unwrap(env, args[0]);
  if (ring != NULL) rl_ring_quiesce(ring);
  return NULL;
}

/*
 * probeRing(flags): 0 or the error number with which a ring with these flags is refused, its features and which opcodes the kernel has.
 */
static napi_value probe_ring(napi_env env, napi_callback_info info) {
  napi_value args[1], result, opcodes;
  if (!rl_args(env, info, 1, args)) return NULL;
  struct io_uring_params params;
  memset(&params, 0, sizeof params);
  params.flags = (uint32_t)rl_double(env, args[0]);
  int fd = ring_setup(4, &params);
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
  rl_set(env, result, "features", rl_number(env, params.features));
  rl_set(env, result, "opcodes", opcodes);
  return result;
}

/* addressOf(arrayBuffer): where its bytes are, as a number (user addresses have 47 bits, 56 at most, on what Node runs on). */
static napi_value address_of(napi_env env, napi_callback_info info) {
  napi_value args[1];
  void *data = NULL;
  size_t size = 0;
  if (!rl_args(env, info, 1, args)) return NULL;
  if (napi_get_arraybuffer_info(env, args[0], &data, &size) != napi_ok) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "Cannot take the address: the value is not an ArrayBuffer");
    return NULL;
  }
  return rl_number(env, (double)(uintptr_t)data);
}

void rl_ring_exports(napi_env env, napi_value exports) {
  rl_export(env, exports, "setupRing", setup_ring);
  rl_export(env, exports, "enterRing", enter_ring);
  rl_export(env, exports, "bufferRing", buffer_ring);
  rl_export(env, exports, "descriptorTable", descriptor_table);
  rl_export(env, exports, "closeRing", close_ring);
  rl_export(env, exports, "probeRing", probe_ring);
  rl_export(env, exports, "addressOf", address_of);
}
