/*
 * Sockets on epoll, in batches: one call waits, accepts and receives from every socket that is ready, and leaves records for TypeScript; one
 * call sends what a turn committed. Which socket wants bytes, what a record means and when something is closed is TypeScript's affair
 * (src/driver/epoll-set.ts draws the memory that both use; one thread does, so it is plain).
 *
 * Sockets are registered once, edge-triggered, for everything: a pause, a resume or a full send buffer then costs no system call. The price is
 * that an edge must be remembered (STATE_READABLE) until a receive has found the socket empty. A receive that got less than it asked for has,
 * unless the event also told of an end, or of urgent data, at whose mark a receive stops short (epoll(7), tcp(7)). Listeners and libuv's descriptor are level-triggered, so they need no memory.
 *
 * A socket that filled its room, or for which there was none, waits in the backlog, a queue: nobody takes more than RECEIVE_BYTES_MAX a turn.
 */
#define _GNU_SOURCE
#include "ringloom.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  EVENTS_MAX = 1024,         /* that one call takes from the kernel */
  RECORDS_MAX = 8192,        /* that one turn can have */
  RECORDS_BULK_MAX = RECORDS_MAX - EVENTS_MAX, /* of them bytes and accepts, which can wait; what else an event tells is one record */
  ACCEPTS_MAX = 64,          /* of one listener in one turn */
  RECEIVE_BYTES_MAX = 65536, /* of one socket in one turn */
  ROOM_MIN = 1024,           /* less of the slab than this is not worth a receive */
  BATCH_MIN = 8,             /* fewer are not worth a batch */
  BATCH_ROOM = 4096,         /* of each receive of a batch: requests are smaller, and what fills it goes on alone */
  RECORD_WORDS = 4,
};

/* Bits of a socket's state. */
enum {
  STATE_WANTED = 1,      /* TypeScript: bytes are wanted */
  STATE_READABLE = 2,    /* the kernel may have bytes, an end or an error */
  STATE_ENDING = 4,      /* an end, an error or an urgent mark is behind the bytes */
  STATE_QUEUED = 8,      /* it is in the backlog */
  STATE_CONNECTING = 16, /* TypeScript: connect() has not ended */
  STATE_BLOCKED = 32,    /* TypeScript: the kernel took no more to send */
};

/* Words that TypeScript reads and writes at the start of the memory. */
struct counts {
  int32_t records;
  uint32_t backlog_head, backlog_tail;
  uint32_t stale, starved, batched;
};

struct rl_epoll {
  struct rl_source source;
  uint8_t *memory;
  size_t memory_size;
  struct counts *counts;
  int32_t *records; /* kind and slot, generation, result, offset in the slab */
  int32_t *sends;   /* slot, offset in the write pool, length, result */
  int32_t *states, *backlog, *listeners;
  uint32_t backlog_mask;
  const int32_t *generations; /* TypeScript's own table */
  uint8_t *slab;
  const uint8_t *pool;
  size_t slab_size, slab_used;
  struct rl_batch *batch; /* or NULL */
  int due_count;
  uint32_t due[EVENTS_MAX]; /* slots to receive from in this call */
  struct epoll_event events[EVENTS_MAX];
};

static void push(struct rl_epoll *set, uint32_t low, int32_t generation, int result, size_t offset) {
  int32_t *record = set->records + (size_t)set->counts->records++ * RECORD_WORDS;
  record[0] = (int32_t)low;
  record[1] = generation;
  record[2] = result;
  record[3] = (int32_t)offset;
}

static void try_later(struct rl_epoll *set, uint32_t slot) {
  if (set->states[slot] & STATE_QUEUED) return;
  set->states[slot] |= STATE_QUEUED;
  set->backlog[set->counts->backlog_tail++ & set->backlog_mask] = (int32_t)slot;
}

/* What a receive of `room` bytes at `offset` brought. True when the socket may have more: bytes, or an end behind them. */
static bool received(struct rl_epoll *set, uint32_t slot, int result, size_t room, size_t offset) {
  int32_t *state = set->states + slot;
  if (result == -EAGAIN) {
    *state &= ~(STATE_READABLE | STATE_ENDING);
    return false;
  }
  push(set, RL_KIND_RECV << RL_SLOT_BITS | slot, set->generations[slot], result, offset);
  if (result <= 0) *state &= ~(STATE_READABLE | STATE_WANTED);
  else if ((size_t)result < room && !(*state & STATE_ENDING)) *state &= ~STATE_READABLE;
  return (*state & STATE_READABLE) != 0;
}

static bool has_room(struct rl_epoll *set) {
  bool result = set->slab_used + ROOM_MIN <= set->slab_size && set->counts->records < RECORDS_BULK_MAX;
  if (!result) set->counts->starved++;
  return result;
}

/* Receives what is left of the share of a socket that has had `taken` bytes in this call. */
static void receive(struct rl_epoll *set, uint32_t slot, size_t taken) {
  for (;;) {
    if (!has_room(set)) return try_later(set, slot);
    size_t room = set->slab_size - set->slab_used, offset = set->slab_used;
    if (room > RECEIVE_BYTES_MAX - taken) room = RECEIVE_BYTES_MAX - taken;
    ssize_t count = recv(set->source.descriptors[slot], set->slab + offset, room, MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    /* Records start at multiples of 8, where words are read fastest. */
    if (count > 0) set->slab_used += ((size_t)count + 7) & ~(size_t)7;
    if (!received(set, slot, count < 0 ? -errno : (int)count, room, offset)) return;
    if ((size_t)count == room) return try_later(set, slot);
    taken += (size_t)count;
  }
}

/* A batch of the first `count` slots that are due from `first` on. Each has its room in the slab before anybody knows how much comes. */
static void receive_batch(struct rl_epoll *set, int first, int count) {
  size_t offset = set->slab_used;
  for (int index = 0; index < count; index++)
    rl_batch_add(set->batch, set->source.descriptors[set->due[first + index]], false, set->slab + offset + (size_t)index * BATCH_ROOM, BATCH_ROOM);
  set->slab_used += (size_t)count * BATCH_ROOM;
  const int32_t *results = rl_batch_run(set->batch);
  for (int index = 0; index < count; index++) {
    uint32_t slot = set->due[first + index];
    bool more = results[index] == RL_BATCH_NOT_RUN || received(set, slot, results[index], BATCH_ROOM, offset + (size_t)index * BATCH_ROOM);
    if (more) receive(set, slot, results[index] > 0 ? (size_t)results[index] : 0);
  }
}

static void receive_due(struct rl_epoll *set) {
  int count;
  for (int first = 0; first < set->due_count; first += count) {
    count = set->due_count - first < RL_BATCH_MAX ? set->due_count - first : RL_BATCH_MAX;
    bool fits = set->slab_used + (size_t)count * BATCH_ROOM + RECEIVE_BYTES_MAX <= set->slab_size &&
                set->counts->records + count < RECORDS_BULK_MAX;
    if (set->batch != NULL && count >= BATCH_MIN && fits) receive_batch(set, first, count);
    else
      for (int index = 0; index < count; index++) receive(set, set->due[first + index], 0);
  }
  set->due_count = 0;
}

static void socket_event(struct rl_epoll *set, uint32_t slot, int32_t generation, uint32_t events) {
  /* Somebody else holds a copy of a descriptor that was closed here, so the kernel still reports for it. */
  if (set->generations[slot] != generation) {
    set->counts->stale++;
    return;
  }
  int32_t *state = set->states + slot;
  bool writable = (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0;
  if (*state & STATE_CONNECTING) {
    if (!writable) return;
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(set->source.descriptors[slot], SOL_SOCKET, SO_ERROR, &error, &length);
    *state &= ~STATE_CONNECTING;
    push(set, RL_KIND_CONNECT << RL_SLOT_BITS | slot, generation, -error, 0);
  } else if ((*state & STATE_BLOCKED) && writable) {
    *state &= ~STATE_BLOCKED;
    push(set, RL_KIND_SEND << RL_SLOT_BITS | slot, generation, 0, 0);
  }
  if (!(events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR))) return;
  *state |= STATE_READABLE;
  if (events & (EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) *state |= STATE_ENDING;
  if ((*state & (STATE_WANTED | STATE_QUEUED)) == STATE_WANTED) set->due[set->due_count++] = slot;
}

/* Errors of a connection that is gone already, which Linux reports through accept, and nothing that concerns the listener (accept(2)). */
static bool is_of_the_connection(int error) {
  switch (error) {
    case EINTR: case ECONNABORTED: case EPROTO: case ENETDOWN: case ENOPROTOOPT: case EHOSTDOWN: case ENONET: case EHOSTUNREACH: case ENETUNREACH:
      return true;
    default:
      return false;
  }
}

static void accept_all(struct rl_epoll *set, uint32_t index, int32_t generation) {
  /* What is left comes with the next call. */
  for (int count = 0; count < ACCEPTS_MAX && set->counts->records < RECORDS_BULK_MAX; count++) {
    int fd = accept4(set->listeners[index], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && is_of_the_connection(errno)) continue;
    if (fd < 0 && errno == EAGAIN) return;
    push(set, RL_KIND_ACCEPT << RL_SLOT_BITS | index, generation, fd < 0 ? -errno : fd, 0);
    if (fd < 0) return;
  }
}

/* Only one round: who is put back comes in the next turn. Who finds no room keeps its place, else the first in line would take all of it each time. */
static void serve_backlog(struct rl_epoll *set) {
  uint32_t end = set->counts->backlog_tail;
  for (int count = 0; count < EVENTS_MAX && set->counts->backlog_head != end && has_room(set); count++) {
    uint32_t slot = (uint32_t)set->backlog[set->counts->backlog_head++ & set->backlog_mask];
    int32_t *state = set->states + slot;
    *state &= ~STATE_QUEUED;
    if ((*state & (STATE_WANTED | STATE_READABLE)) == (STATE_WANTED | STATE_READABLE)) receive(set, slot, 0);
  }
}

static bool epoll_ready(const struct rl_source *source) {
  const struct counts *counts = ((const struct rl_epoll *)source)->counts;
  return counts->records > 0 || counts->backlog_head != counts->backlog_tail;
}

/* Fills the records, after the turn has emptied them. */
static int epoll_enter(struct rl_source *source, int timeout_ms) {
  struct rl_epoll *set = (struct rl_epoll *)source;
  if (set->counts->records > 0 || source->fd < 0) return 0;
  set->slab_used = 0;
  if (epoll_ready(source)) timeout_ms = 0;
  source->control->enters++;
  int count = epoll_wait(source->fd, set->events, EVENTS_MAX, timeout_ms);
  if (count < 0) return -errno;
  for (int index = 0; index < count; index++) {
    uint32_t low = (uint32_t)set->events[index].data.u64;
    int32_t generation = (int32_t)(set->events[index].data.u64 >> 32);
    uint32_t kind = low >> RL_SLOT_BITS;
    if (kind == RL_KIND_RECV) socket_event(set, low & RL_SLOT_MASK, generation, set->events[index].events);
    else if (kind == RL_KIND_ACCEPT) accept_all(set, low & RL_SLOT_MASK, generation);
    /* A doorbell needs no record: its word says that it has rung. */
    else if (kind == RL_KIND_LOOP) source->control->backend_ready = 1;
  }
  /* Behind the events, so that who is served from the backlog is not due as well; before those that are, because it has waited. */
  serve_backlog(set);
  receive_due(set);
  return 0;
}

static bool epoll_peek(struct rl_source *source) {
  return epoll_enter(source, 0) < 0 || epoll_ready(source) || source->control->backend_ready;
}

/* libuv's poll sees new events, but not the backlog. */
static bool epoll_settle(struct rl_source *source) {
  if (epoll_ready(source)) epoll_enter(source, 0);
  return ((struct rl_epoll *)source)->counts->records > 0;
}

static void epoll_fetch(struct rl_source *source) {
  epoll_enter(source, 0);
}

/* Accepted sockets that nobody has taken are in no other list; the one that was being taken may be in both. */
static void epoll_quiesce(struct rl_source *source) {
  struct rl_epoll *set = (struct rl_epoll *)source;
  rl_batch_free(set->batch);
  set->batch = NULL;
  for (int index = 0; set->memory != NULL && index < set->counts->records; index++) {
    const int32_t *record = set->records + (size_t)index * RECORD_WORDS;
    bool is_accepted = (uint32_t)record[0] >> RL_SLOT_BITS == RL_KIND_ACCEPT && record[2] >= 0;
    if (is_accepted && !rl_source_holds(source, record[2])) close(record[2]);
  }
}

static void epoll_destroy(struct rl_source *source) {
  struct rl_epoll *set = (struct rl_epoll *)source;
  if (set->memory != NULL) munmap(set->memory, set->memory_size);
}

static const struct rl_source_kind EPOLL = {
    .ready = epoll_ready,
    .enter = epoll_enter,
    .peek = epoll_peek,
    .settle = epoll_settle,
    .fetch = epoll_fetch,
    .quiesce = epoll_quiesce,
    .destroy = epoll_destroy,
};

/* Cuts the memory in six: counts, records, listeners, then by slot sends, states and backlog. */
static bool map_set(struct rl_epoll *set, uint32_t slots, uint32_t listeners) {
  uint32_t backlog = 1;
  while (backlog < slots) backlog *= 2;
  size_t records_at = 64, listeners_at = records_at + sizeof(int32_t) * RECORD_WORDS * RECORDS_MAX;
  size_t sends_at = listeners_at + sizeof(int32_t) * listeners, states_at = sends_at + sizeof(int32_t) * RECORD_WORDS * slots;
  size_t backlog_at = states_at + sizeof(int32_t) * slots;
  set->memory_size = backlog_at + sizeof(int32_t) * backlog;
  set->memory = rl_map(set->memory_size);
  if (set->memory == NULL) return false;
  set->counts = (struct counts *)set->memory;
  set->records = (int32_t *)(set->memory + records_at);
  set->listeners = (int32_t *)(set->memory + listeners_at);
  set->sends = (int32_t *)(set->memory + sends_at);
  set->states = (int32_t *)(set->memory + states_at);
  set->backlog = (int32_t *)(set->memory + backlog_at);
  set->backlog_mask = backlog - 1;
  return true;
}

static napi_value offset_of(const struct rl_epoll *set, const int32_t *words) {
  return rl_number(set->source.env, (double)((const uint8_t *)words - set->memory));
}

/*
 * setupEpoll(slots, listeners, generationsAddress, slabAddress, slabBytes, poolAddress): an object that describes the set, or a negative error
 * number. The three addresses must stay valid until the loop hook has been stopped.
 */
static napi_value setup_epoll(napi_env env, napi_callback_info info) {
  napi_value args[6];
  if (!rl_args(env, info, 6, args)) return NULL;
  int fd = epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) return rl_number(env, -errno);
  struct rl_epoll *set = (struct rl_epoll *)rl_source_new(env, &EPOLL, sizeof *set, fd);
  if (set == NULL) return rl_number(env, -ENOMEM);
  if (!map_set(set, (uint32_t)rl_double(env, args[0]), (uint32_t)rl_double(env, args[1]))) {
    int error = errno;
    rl_source_unref(&set->source);
    return rl_number(env, -error);
  }
  set->batch = rl_batch_new(&set->counts->batched);
  set->generations = (const int32_t *)(uintptr_t)rl_double(env, args[2]);
  set->slab = (uint8_t *)(uintptr_t)rl_double(env, args[3]);
  /* Whole multiples of 8, as the records' lengths are rounded up to: a receive that fills the slab ends at its end. */
  set->slab_size = (size_t)rl_double(env, args[4]) & ~(size_t)7;
  set->pool = (const uint8_t *)(uintptr_t)rl_double(env, args[5]);
  napi_value memory = rl_source_lend(&set->source, set->memory, set->memory_size);
  napi_value result = memory == NULL ? NULL : rl_source_describe(&set->source);
  if (result == NULL) {
    rl_source_unref(&set->source);
    return rl_number(env, -ENOTSUP);
  }
  rl_set(env, result, "memory", memory);
  rl_set(env, result, "records", offset_of(set, set->records));
  rl_set(env, result, "sends", offset_of(set, set->sends));
  rl_set(env, result, "states", offset_of(set, set->states));
  rl_set(env, result, "backlog", offset_of(set, set->backlog));
  rl_set(env, result, "backlogMask", rl_number(env, set->backlog_mask));
  return result;
}

/* epollAdd(handle, fd, low, generation): watches a descriptor as its kind, in the low word, needs. 0, or a negative error number. */
static napi_value epoll_add(napi_env env, napi_callback_info info) {
  napi_value args[4];
  if (!rl_args(env, info, 4, args)) return NULL;
  struct rl_epoll *set = (struct rl_epoll *)rl_source_unwrap(env, args[0], &EPOLL);
  if (set == NULL) return NULL;
  int fd = rl_int(env, args[1]);
  uint32_t low = (uint32_t)rl_int(env, args[2]), kind = low >> RL_SLOT_BITS;
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)(uint32_t)rl_int(env, args[3]) << 32 | low};
  if (kind == RL_KIND_RECV) event.events = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET;
  /* Each write is an edge, so nobody needs to read the count back. */
  if (kind == RL_KIND_BELL) event.events = EPOLLIN | EPOLLET;
  if (kind == RL_KIND_ACCEPT) set->listeners[low & RL_SLOT_MASK] = fd;
  return rl_number(env, epoll_ctl(set->source.fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0);
}

/* epollRemove(handle, fd): 0, or a negative error number. */
static napi_value epoll_remove(napi_env env, napi_callback_info info) {
  napi_value args[2];
  struct epoll_event unused;
  if (!rl_args(env, info, 2, args)) return NULL;
  struct rl_source *source = rl_source_unwrap(env, args[0], &EPOLL);
  if (source == NULL) return NULL;
  return rl_number(env, epoll_ctl(source->fd, EPOLL_CTL_DEL, rl_int(env, args[1]), &unused) < 0 ? -errno : 0);
}

/* epollSend(handle, count): sends so many entries of the list, each as far as the kernel takes it now, and writes the results into them. */
static napi_value epoll_send(napi_env env, napi_callback_info info) {
  napi_value args[2];
  if (!rl_args(env, info, 2, args)) return NULL;
  struct rl_epoll *set = (struct rl_epoll *)rl_source_unwrap(env, args[0], &EPOLL);
  if (set == NULL) return NULL;
  int count = rl_int(env, args[1]);
  bool batched = set->batch != NULL && count >= BATCH_MIN;
  for (int index = 0, first = 0; index < count && batched; index++) {
    const int32_t *entry = set->sends + (size_t)index * RECORD_WORDS;
    bool is_full = rl_batch_add(set->batch, set->source.descriptors[entry[0]], true, set->pool + entry[1], (size_t)entry[2]);
    if (!is_full && index + 1 < count) continue;
    const int32_t *results = rl_batch_run(set->batch);
    for (; first <= index; first++) set->sends[(size_t)first * RECORD_WORDS + 3] = *results++;
  }
  for (int index = 0; index < count; index++) {
    int32_t *entry = set->sends + (size_t)index * RECORD_WORDS;
    if (batched && entry[3] != RL_BATCH_NOT_RUN) continue;
    ssize_t sent;
    do sent = send(set->source.descriptors[entry[0]], set->pool + entry[1], (size_t)entry[2], MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    entry[3] = sent < 0 ? -errno : (int32_t)sent;
  }
  return NULL;
}

void rl_epoll_exports(napi_env env, napi_value exports) {
  rl_export(env, exports, "setupEpoll", setup_epoll);
  rl_export(env, exports, "epollAdd", epoll_add);
  rl_export(env, exports, "epollRemove", epoll_remove);
  rl_export(env, exports, "epollSend", epoll_send);
}
