/* Socket and thread calls that Node has no words for. None is on the path of a request. */
#define _GNU_SOURCE
#include "ringloom.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/uio.h>
#include <unistd.h>

/*
 * Whether a listening socket makes its caller wait is one setting for all threads that accept from it. Who changes it for a moment must not meet another who does: an accept
 * between the two would wait for ever. Held for as long as two system calls that never wait.
 */
static pthread_mutex_t blocking_lock = PTHREAD_MUTEX_INITIALIZER;

union address {
  struct sockaddr any;
  struct sockaddr_in four;
  struct sockaddr_in6 six;
  struct sockaddr_un local;
  struct sockaddr_storage storage;
};

/* Length of the address, or 0 when `host` is not an IP address. */
static socklen_t parse_address(const char *host, int port, union address *address) {
  memset(address, 0, sizeof *address);
  if (inet_pton(AF_INET, host, &address->four.sin_addr) == 1) {
    address->four.sin_family = AF_INET;
    address->four.sin_port = htons((uint16_t)port);
    return sizeof address->four;
  }
  if (inet_pton(AF_INET6, host, &address->six.sin6_addr) == 1) {
    address->six.sin6_family = AF_INET6;
    address->six.sin6_port = htons((uint16_t)port);
    return sizeof address->six;
  }
  return 0;
}

/* Length of the address of a Unix socket: a path, or behind a first byte of 0 an abstract name, which is not terminated. 0 where it does not fit. */
static socklen_t parse_path(const char *path, size_t length, union address *address) {
  memset(address, 0, sizeof *address);
  if (length == 0 || length >= sizeof address->local.sun_path) return 0;
  address->local.sun_family = AF_UNIX;
  memcpy(address->local.sun_path, path, length);
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (path[0] == 0 ? 0 : 1));
}

/* An IP address and a port from 0 on, or the path of a Unix socket and a port of -1. */
static socklen_t address_argument(napi_env env, napi_value host, napi_value port, union address *address) {
  char text[sizeof address->local.sun_path + 1];
  size_t length;
  if (napi_get_value_string_utf8(env, host, text, sizeof text, &length) != napi_ok) return 0;
  int number = rl_int(env, port);
  return number < 0 ? parse_path(text, length, address) : parse_address(text, number, address);
}

/* { host, port, path } of the address of a Unix socket that takes `size` bytes; the path is empty for one that has no name. */
static napi_value describe_path(napi_env env, const union address *address, socklen_t size) {
  size_t start = offsetof(struct sockaddr_un, sun_path);
  size_t length = size > start ? size - start : 0;
  const char *text = address->local.sun_path;
  napi_value result, path, host;
  if (length > sizeof address->local.sun_path) length = sizeof address->local.sun_path;
  if (length > 0 && text[0] != 0) length = strnlen(text, length);
  napi_create_object(env, &result);
  napi_create_string_utf8(env, text, length, &path);
  napi_create_string_utf8(env, "", 0, &host);
  rl_set(env, result, "host", host);
  rl_set(env, result, "port", rl_number(env, 0));
  rl_set(env, result, "path", path);
  return result;
}

/* { host, port } of an address, and `path` where it is a Unix socket's; with `fd` when it is not negative. */
static napi_value describe_address(napi_env env, const union address *address, socklen_t size, int fd) {
  char text[INET6_ADDRSTRLEN] = "";
  napi_value result, host;
  if (address->any.sa_family == AF_UNIX) {
    result = describe_path(env, address, size);
    if (fd >= 0) rl_set(env, result, "fd", rl_number(env, fd));
    return result;
  }
  bool six = address->any.sa_family == AF_INET6;
  inet_ntop(address->any.sa_family, six ? (const void *)&address->six.sin6_addr : (const void *)&address->four.sin_addr, text, sizeof text);
  napi_create_object(env, &result);
  napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &host);
  rl_set(env, result, "host", host);
  rl_set(env, result, "port", rl_number(env, ntohs(six ? address->six.sin6_port : address->four.sin_port)));
  if (fd >= 0) rl_set(env, result, "fd", rl_number(env, fd));
  return result;
}

/*
 * listenSocket(host, port, backlog, sharing): { fd, host, port }, with the path of a Unix socket and port -1 also { path }; or a negative error number. The socket blocks, as io_uring wants it.
 * sharing: 0 never, 1 with whoever shares already (SO_REUSEPORT), 2 alone at first and then with sockets that come later. The
 * kernel judges a bind by the flags of that moment, so 2 proves that nobody listens here and leaves no moment in which somebody else could begin to.
 */
static napi_value listen_socket(napi_env env, napi_callback_info info) {
  napi_value args[4];
  union address address;
  if (!rl_args(env, info, 4, args)) return NULL;
  socklen_t length = address_argument(env, args[0], args[1], &address);
  if (length == 0) return rl_number(env, -EINVAL);
  int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return rl_number(env, -errno);
  int one = 1, zero = 0;
  bool is_local = address.any.sa_family == AF_UNIX;
  if (!is_local) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  /* Accepted sockets inherit it: answers leave as soon as they are written. */
  if (!is_local) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (address.any.sa_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
  int sharing = rl_int(env, args[3]);
  if (sharing == 1) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  if (bind(fd, &address.any, length) < 0 || listen(fd, rl_int(env, args[2])) < 0) {
    int error = errno;
    close(fd);
    return rl_number(env, -error);
  }
  if (sharing == 2) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  length = sizeof address;
  getsockname(fd, &address.any, &length);
  return describe_address(env, &address, length, fd);
}

/* isListening(fd): 0 where the socket listens, else a negative error number. */
static napi_value is_listening(napi_env env, napi_callback_info info) {
  napi_value args[1];
  if (!rl_args(env, info, 1, args)) return NULL;
  int listening = 0;
  socklen_t length = sizeof listening;
  if (getsockopt(rl_int(env, args[0]), SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) < 0) return rl_number(env, -errno);
  return rl_number(env, listening ? 0 : -EINVAL);
}

/*
 * acceptWaiting(fd): a connection that already waits, or -EAGAIN. The socket is non-blocking for the duration of the call: an accept that a ring has
 * armed on it keeps the mode that it was armed in, and one that is armed in this moment fails with EAGAIN and is armed again.
 */
static napi_value accept_waiting(napi_env env, napi_callback_info info) {
  napi_value args[1];
  if (!rl_args(env, info, 1, args)) return NULL;
  int fd = rl_int(env, args[0]);
  pthread_mutex_lock(&blocking_lock);
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0) {
    pthread_mutex_unlock(&blocking_lock);
    return rl_number(env, -EBADF);
  }
  if (!(flags & O_NONBLOCK)) fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  int accepted;
  do accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
  while (accepted < 0 && (errno == EINTR || errno == ECONNABORTED));
  int result = accepted < 0 ? -errno : accepted;
  if (!(flags & O_NONBLOCK)) fcntl(fd, F_SETFL, flags);
  pthread_mutex_unlock(&blocking_lock);
  return rl_number(env, result);
}

/*
 * setSocketFilter(fd, option, program): a classic BPF program (bytes of struct sock_filter) for SO_ATTACH_FILTER or
 * SO_ATTACH_REUSEPORT_CBPF; with an empty one the options that detach. 0, or a negative error number.
 */
static napi_value set_socket_filter(napi_env env, napi_callback_info info) {
  napi_value args[3];
  void *data = NULL;
  size_t length = 0;
  int none = 0;
  if (!rl_args(env, info, 3, args)) return NULL;
  if (napi_get_typedarray_info(env, args[2], NULL, &length, &data, NULL, NULL) != napi_ok) return rl_number(env, -EINVAL);
  struct sock_fprog program = {.len = (unsigned short)(length / sizeof(struct sock_filter)), .filter = data};
  bool detaches = length == 0;
  int failed = setsockopt(rl_int(env, args[0]), SOL_SOCKET, rl_int(env, args[1]), detaches ? (void *)&none : (void *)&program,
                          detaches ? sizeof none : sizeof program);
  return rl_number(env, failed < 0 ? -errno : 0);
}

/* socketAddress(host, port): the bytes of a sockaddr (the path of a Unix socket goes with port -1), or a negative error number. */
static napi_value socket_address(napi_env env, napi_callback_info info) {
  napi_value args[2], buffer;
  union address address;
  void *data;
  if (!rl_args(env, info, 2, args)) return NULL;
  socklen_t length = address_argument(env, args[0], args[1], &address);
  if (length == 0) return rl_number(env, -EINVAL);
  if (napi_create_arraybuffer(env, length, &data, &buffer) != napi_ok) return rl_number(env, -ENOMEM);
  memcpy(data, &address, length);
  return buffer;
}

/* openSocket(family, type): a socket of AF_UNIX (1), AF_INET (2) or AF_INET6 (10), close-on-exec; a stream's is without delay. Or a negative error number. */
static napi_value open_socket(napi_env env, napi_callback_info info) {
  napi_value args[2];
  if (!rl_args(env, info, 2, args)) return NULL;
  int one = 1;
  int fd = socket(rl_int(env, args[0]), rl_int(env, args[1]) | SOCK_CLOEXEC, 0);
  if (fd < 0) return rl_number(env, -errno);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return rl_number(env, fd);
}

/* nameSocket(fd, address, connects): bind(2) or connect(2), with the bytes of a sockaddr. 0, or a negative error number. */
static napi_value name_socket(napi_env env, napi_callback_info info) {
  napi_value args[3];
  void *address = NULL;
  size_t length = 0;
  if (!rl_args(env, info, 3, args)) return NULL;
  if (napi_get_arraybuffer_info(env, args[1], &address, &length) != napi_ok) return rl_number(env, -EINVAL);
  int fd = rl_int(env, args[0]);
  int failed = rl_int(env, args[2]) ? connect(fd, address, (socklen_t)length) : bind(fd, address, (socklen_t)length);
  return rl_number(env, failed < 0 ? -errno : 0);
}

/* socketMessage(fd, header, sends): sendmsg(2) or recvmsg(2), at once, with the struct msghdr that the typed array holds. A count, or a negative error number. */
static napi_value socket_message(napi_env env, napi_callback_info info) {
  napi_value args[3];
  void *header = NULL;
  size_t length = 0;
  ssize_t count;
  if (!rl_args(env, info, 3, args)) return NULL;
  bool is_header = napi_get_typedarray_info(env, args[1], NULL, &length, &header, NULL, NULL) == napi_ok && length >= sizeof(struct msghdr);
  if (!is_header) return rl_number(env, -EINVAL);
  int fd = rl_int(env, args[0]), sends = rl_int(env, args[2]);
  do count = sends ? sendmsg(fd, header, MSG_DONTWAIT | MSG_NOSIGNAL) : recvmsg(fd, header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  while (count < 0 && errno == EINTR);
  return rl_number(env, count < 0 ? -errno : (double)count);
}

/* connectSocket(host, port): a socket whose connecting has begun (the path of a Unix socket goes with port -1), close-on-exec, non-blocking, without delay; or a negative error number. */
static napi_value connect_socket(napi_env env, napi_callback_info info) {
  napi_value args[2];
  union address address;
  if (!rl_args(env, info, 2, args)) return NULL;
  socklen_t length = address_argument(env, args[0], args[1], &address);
  if (length == 0) return rl_number(env, -EINVAL);
  int one = 1;
  int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return rl_number(env, -errno);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  int error = connect(fd, &address.any, length) < 0 ? errno : 0;
  if (error == 0 || error == EINPROGRESS || error == EINTR) return rl_number(env, fd);
  close(fd);
  return rl_number(env, -error);
}

/* setBlocking(fd, on): io_uring fails an operation on a non-blocking descriptor where it would wait; epoll must not be made to wait. */
static napi_value set_blocking(napi_env env, napi_callback_info info) {
  napi_value args[2];
  if (!rl_args(env, info, 2, args)) return NULL;
  int fd = rl_int(env, args[0]);
  int on = rl_int(env, args[1]);
  pthread_mutex_lock(&blocking_lock);
  int flags = fcntl(fd, F_GETFL);
  int wanted = on ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
  int error = flags < 0 || (wanted != flags && fcntl(fd, F_SETFL, wanted) < 0) ? errno : 0;
  pthread_mutex_unlock(&blocking_lock);
  return rl_number(env, -error);
}

/* shutdownSocket(fd, how): at once. The ring's own opcode goes through a kernel worker thread, which costs more than this call. */
static napi_value shutdown_socket(napi_env env, napi_callback_info info) {
  napi_value args[2];
  if (!rl_args(env, info, 2, args)) return NULL;
  return rl_number(env, shutdown(rl_int(env, args[0]), rl_int(env, args[1])) < 0 ? -errno : 0);
}

static napi_value name_of(napi_env env, napi_callback_info info, int (*ask)(int, struct sockaddr *, socklen_t *)) {
  napi_value args[1];
  union address address;
  socklen_t length = sizeof address;
  if (!rl_args(env, info, 1, args)) return NULL;
  if (ask(rl_int(env, args[0]), &address.any, &length) < 0) return rl_number(env, -errno);
  int family = address.any.sa_family;
  if (family != AF_INET && family != AF_INET6 && family != AF_UNIX) return rl_number(env, -EAFNOSUPPORT);
  return describe_address(env, &address, length, -1);
}

/* peerName(fd): { host, port }, with the path of a Unix socket also { path }; or a negative error number. */
static napi_value peer_name(napi_env env, napi_callback_info info) {
  return name_of(env, info, getpeername);
}

/* socketName(fd): the same of our own end, or a negative error number. */
static napi_value socket_name(napi_env env, napi_callback_info info) {
  return name_of(env, info, getsockname);
}

/* sendQueueBytes(fd): how many bytes the kernel holds for the peer, until that acknowledges them; or a negative error number. */
static napi_value send_queue_bytes(napi_env env, napi_callback_info info) {
  napi_value args[1];
  int count = 0;
  if (!rl_args(env, info, 1, args)) return NULL;
  return rl_number(env, ioctl(rl_int(env, args[0]), SIOCOUTQ, &count) < 0 ? -errno : count);
}

/* setNoDelay(fd, on): TCP_NODELAY. 0, or a negative error number. */
static napi_value set_no_delay(napi_env env, napi_callback_info info) {
  napi_value args[2];
  if (!rl_args(env, info, 2, args)) return NULL;
  int on = rl_int(env, args[1]);
  return rl_number(env, setsockopt(rl_int(env, args[0]), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ? -errno : 0);
}

/* setKeepAlive(fd, on, seconds): SO_KEEPALIVE, with the idle time before the first probe where that is not 0. 0, or a negative error number. */
static napi_value set_keep_alive(napi_env env, napi_callback_info info) {
  napi_value args[3];
  if (!rl_args(env, info, 3, args)) return NULL;
  int fd = rl_int(env, args[0]), on = rl_int(env, args[1]), seconds = rl_int(env, args[2]);
  if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) < 0) return rl_number(env, -errno);
  if (!on || seconds <= 0) return rl_number(env, 0);
  return rl_number(env, setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds) < 0 ? -errno : 0);
}

/* duplicate(fd): another descriptor of the same file, close-on-exec; or a negative error number. */
static napi_value duplicate(napi_env env, napi_callback_info info) {
  napi_value args[1];
  if (!rl_args(env, info, 1, args)) return NULL;
  int fd = fcntl(rl_int(env, args[0]), F_DUPFD_CLOEXEC, 0);
  return rl_number(env, fd < 0 ? -errno : fd);
}

/* eventDescriptor(): a descriptor that `signalEvent` makes readable, close-on-exec; or a negative error number. */
static napi_value event_descriptor(napi_env env, napi_callback_info info) {
  (void)info;
  int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return rl_number(env, fd < 0 ? -errno : fd);
}

/* signalEvent(fd): wakes who waits for it, from any thread, and never blocks. 0, or a negative error number. */
static napi_value signal_event(napi_env env, napi_callback_info info) {
  napi_value args[1];
  uint64_t one = 1;
  if (!rl_args(env, info, 1, args)) return NULL;
  return rl_number(env, write(rl_int(env, args[0]), &one, sizeof one) < 0 ? -errno : 0);
}

/* closeDescriptor(fd): 0, or a negative error number. */
static napi_value close_descriptor(napi_env env, napi_callback_info info) {
  napi_value args[1];
  if (!rl_args(env, info, 1, args)) return NULL;
  return rl_number(env, close(rl_int(env, args[0])) < 0 ? -errno : 0);
}

/*
 * readNow(fd, bytes, position): what the page cache has of it, and never waits for a disk. A count, or a negative error number: -EAGAIN for nothing there, -EOPNOTSUPP where
 * the file system cannot tell. One call into the kernel and no ring: half of what an entry, its completion and a turn cost.
 */
static napi_value read_now(napi_env env, napi_callback_info info) {
  napi_value args[3], result;
  napi_typedarray_type type;
  size_t length = 0;
  void *data = NULL;
  if (!rl_args(env, info, 3, args)) return NULL;
  if (napi_get_typedarray_info(env, args[1], &type, &length, &data, NULL, NULL) != napi_ok || type != napi_uint8_array) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "Cannot readNow: the buffer is not a Uint8Array");
    return NULL;
  }
  struct iovec vector = {.iov_base = data, .iov_len = length < INT32_MAX ? length : INT32_MAX};
  ssize_t count = preadv2(rl_int(env, args[0]), &vector, 1, (off_t)rl_double(env, args[2]), RWF_NOWAIT);
  napi_create_int32(env, count < 0 ? -errno : (int32_t)count, &result);
  return result;
}

/* lockFile(fd, operation): flock(2). 0, or a negative error number; -EAGAIN with LOCK_NB when somebody else has it. */
static napi_value lock_file(napi_env env, napi_callback_info info) {
  napi_value args[2];
  if (!rl_args(env, info, 2, args)) return NULL;
  return rl_number(env, flock(rl_int(env, args[0]), rl_int(env, args[1])) < 0 ? -errno : 0);
}

/* setAffinity(cpus): pins the calling thread. 0, or a negative error number. */
static napi_value set_affinity(napi_env env, napi_callback_info info) {
  napi_value args[1], element;
  uint32_t length = 0;
  cpu_set_t set;
  if (!rl_args(env, info, 1, args)) return NULL;
  CPU_ZERO(&set);
  if (napi_get_array_length(env, args[0], &length) != napi_ok) return rl_number(env, -EINVAL);
  for (uint32_t index = 0; index < length; index++) {
    napi_get_element(env, args[0], index, &element);
    int cpu = rl_int(env, element);
    if (cpu < 0 || cpu >= CPU_SETSIZE) return rl_number(env, -EINVAL);
    CPU_SET(cpu, &set);
  }
  return rl_number(env, sched_setaffinity(0, sizeof set, &set) < 0 ? -errno : 0);
}

/* struct sched_attr of sched_setattr(2), which the C library does not declare. */
struct sched_attributes {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
};

/* setTimeSlice(micros): how long the calling thread wants to run in one go, where it has a normal policy; the kernel lets it preempt threads with a longer slice sooner. 0, or a negative error number. Kernels before 6.12 take it and do nothing. */
static napi_value set_time_slice(napi_env env, napi_callback_info info) {
  napi_value args[1];
  struct sched_attributes attributes;
  if (!rl_args(env, info, 1, args)) return NULL;
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) < 0) return rl_number(env, -errno);
  attributes.runtime = (uint64_t)rl_int(env, args[0]) * 1000;
  return rl_number(env, syscall(SYS_sched_setattr, 0, &attributes, 0) < 0 ? -errno : 0);
}

/* setMmapThreshold(bytes): from that size on, a block of the process's heap is a mapping of its own, which free(3) returns to the kernel at once (mallopt(3)). 0, or a negative error number: -ENOSYS where the C library has no such setting. */
static napi_value set_mmap_threshold(napi_env env, napi_callback_info info) {
  napi_value args[1];
  if (!rl_args(env, info, 1, args)) return NULL;
#ifdef M_MMAP_THRESHOLD
  return rl_number(env, mallopt(M_MMAP_THRESHOLD, rl_int(env, args[0])) == 1 ? 0 : -EINVAL);
#else
  return rl_number(env, -ENOSYS);
#endif
}

void rl_system_exports(napi_env env, napi_value exports) {
  rl_export(env, exports, "listenSocket", listen_socket);
  rl_export(env, exports, "isListening", is_listening);
  rl_export(env, exports, "acceptWaiting", accept_waiting);
  rl_export(env, exports, "setSocketFilter", set_socket_filter);
  rl_export(env, exports, "socketAddress", socket_address);
  rl_export(env, exports, "openSocket", open_socket);
  rl_export(env, exports, "nameSocket", name_socket);
  rl_export(env, exports, "socketMessage", socket_message);
  rl_export(env, exports, "connectSocket", connect_socket);
  rl_export(env, exports, "setBlocking", set_blocking);
  rl_export(env, exports, "shutdownSocket", shutdown_socket);
  rl_export(env, exports, "peerName", peer_name);
  rl_export(env, exports, "socketName", socket_name);
  rl_export(env, exports, "sendQueueBytes", send_queue_bytes);
  rl_export(env, exports, "setNoDelay", set_no_delay);
  rl_export(env, exports, "setKeepAlive", set_keep_alive);
  rl_export(env, exports, "duplicate", duplicate);
  rl_export(env, exports, "eventDescriptor", event_descriptor);
  rl_export(env, exports, "signalEvent", signal_event);
  rl_export(env, exports, "closeDescriptor", close_descriptor);
  rl_export(env, exports, "readNow", read_now);
  rl_export(env, exports, "lockFile", lock_file);
  rl_export(env, exports, "setAffinity", set_affinity);
  rl_export(env, exports, "setTimeSlice", set_time_slice);
  rl_export(env, exports, "setMmapThreshold", set_mmap_threshold);
}
